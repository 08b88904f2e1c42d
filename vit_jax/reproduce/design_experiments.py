"""Small experiments about optimiser, positions, class token and objective."""

from collections.abc import Mapping
import statistics

from vit_jax.reproduce import claims
from vit_jax.reproduce.claims import Claim, Contrast, Scores
from vit_jax.reproduce.small_experiment import (
  ADAM_RATES,
  RATE,
  SCALE,
  UPSTREAM,
  Arm,
  SmallExperiment,
)
from vit_jax.sweeps.sweep import Trained

_POOL_RATES = (3e-4, 1e-3, 3e-3, 1e-2)


def _best(x: Mapping[str, float], scores: Mapping[str, Scores], series: str):
  """The arm of a series with the best mean score on held-out images."""
  held_out = scores["val/top_1"]
  arms = [arm for arm in x if arm.startswith(series)]
  return max(arms, key=lambda arm: statistics.fmean(held_out[arm]))


def _own_rates(x, scores) -> list[Contrast]:
  pair = (_best(x, scores, name) for name in ("class token", "GAP"))
  return claims.same(*pair, within=0.01)


def _lags(x, scores) -> list[Contrast]:
  token = _best(x, scores, "class token")
  return [claims.better(token, token.replace("class token", "GAP"))]


FIGURE_9 = SmallExperiment(
  name="figure9",
  serves=("figure=9",),
  question="Class token or global average pooling, and at which learning rate?",
  changed=f"{SCALE}; {UPSTREAM}; four rates for both instead of three curves.",
  arms=tuple(
    Arm(f"{name}, {rate:g}", {"model.pool": pool, RATE: rate}, name)
    for name, pool in (("class token", "token"), ("GAP", "gap"))
    for rate in _POOL_RATES
  ),
  axis="rate",
  metrics=("test/top_1", "val/top_1"),
  common={":scored": "val+test"},
  claims=(
    Claim(
      "Both work equally well, each with a learning rate of its own (D.3).",
      "at the rates that are best on held-out images, within one point",
      _own_rates,
    ),
    Claim(
      "GAP lags at the class token's learning rate (D.3, Figure 9).",
      "at the class token's best rate on held-out images, GAP is below",
      _lags,
    ),
  ),
)

_POSITIONS = {
  "none": ("none", "stem"),
  "1-D, stem": ("learned_1d", "stem"),
  "1-D, every layer": ("learned_1d", "every_layer"),
  "1-D, shared": ("learned_1d", "shared"),
  "2-D, stem": ("learned_2d", "stem"),
  "2-D, every layer": ("learned_2d", "every_layer"),
  "2-D, shared": ("learned_2d", "shared"),
  "relative": ("relative", "every_layer"),
}
_WITH_POSITIONS = tuple(name for name in _POSITIONS if name != "none")


def _close_to_1d(x, scores) -> list[Contrast]:
  """Each differs from 1-D by less than half of what positions gain."""
  del x, scores
  half = {"1-D, stem": 0.5, "none": -0.5}
  return [
    claims.minus(half, {name: sign, "1-D, stem": -sign})
    for name in _WITH_POSITIONS[1:]
    for sign in (1.0, -1.0)
  ]


TABLE_8 = SmallExperiment(
  name="table8",
  serves=("table=8",),
  question="Which position embeddings, and where do they enter?",
  changed=f"{SCALE}; {UPSTREAM}; 16 patches of 7 px.",
  arms=tuple(
    Arm(name, {"model.posemb": kind, "model.posemb_at": at}, name, ADAM_RATES)
    for name, (kind, at) in _POSITIONS.items()
  ),
  claims=(
    Claim(
      "No position embedding is clearly worse than any (D.4).",
      "every kind is above none",
      lambda x, s: [claims.better(name, "none") for name in _WITH_POSITIONS],
    ),
    Claim(
      "The kinds and where they enter make little difference (D.4).",
      "each is nearer to 1-D at the stem than half the gap between that and"
      " none",
      _close_to_1d,
    ),
  ),
)

TABLE_7 = SmallExperiment(
  name="table7",
  serves=("table=7",),
  question="Should ResNets be pre-trained with Adam or with SGD?",
  changed=f"{SCALE}; a ResNet of two stages instead of R50x1 and R152x2;"
  " transfer is 5-shot on the digits from the frozen representation instead of"
  " fine-tuning on five sets; four rates each.",
  arms=(
    Arm("Adam", {":optim": "adamw"}, "Adam", (3e-4, *ADAM_RATES)),
    Arm("SGD", {":optim": "sgd"}, "SGD", (0.01, 0.03, 0.1, 0.3)),
  ),
  metrics=("digits/5_shot", "test/top_1"),
  common={":model": "bit", ":probe": "true"},
  claims=(
    Claim(
      "Pre-training with Adam transfers better than with SGD (D.1, Table 7).",
      "5-shot on the digits is higher after Adam",
      lambda x, s: [claims.better("Adam", "SGD")],
      "digits/5_shot",
    ),
  ),
)

_FASHION = {":steps": 600, RATE: 3e-3}
_STARTS = {
  "scratch": "",
  "masked patches": Trained(
    "masked", "recipe.py", {":task": "masked_patch", **_FASHION}
  ),
  "supervised": Trained("supervised", "recipe.py", _FASHION),
}

SECTION_4_6 = SmallExperiment(
  name="section4.6",
  serves=("section=4.6",),
  question="Does masked patch prediction help what is fine-tuned after it?",
  changed="Fashion-MNIST instead of JFT, 600 steps of 128 images; fine-tuned on"
  " 1,200 digits (100 steps of Adam) instead of ImageNet; a ViT of 0.1 M"
  " parameters, 16 patches, colours of one channel (8 classes).",
  arms=tuple(
    Arm(name, {"start.checkpoint": start}, name, ADAM_RATES)
    for name, start in _STARTS.items()
  ),
  common={":data": "digits", ":images": 1200, ":steps": 100},
  claims=(
    Claim(
      "Self-supervised pre-training is better than none (Section 4.6: by 2 %).",
      "masked patches are above scratch",
      lambda x, s: [claims.better("masked patches", "scratch")],
    ),
    Claim(
      "It is behind supervised pre-training (Section 4.6: by 4 %).",
      "supervised is above masked patches",
      lambda x, s: [claims.better("supervised", "masked patches")],
    ),
  ),
)
