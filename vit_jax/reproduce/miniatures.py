"""The paper's questions that are asked again in miniature.

The rules were written before the runs. Differences are of accuracy, so that
0.01 is one point.
"""

from collections.abc import Mapping
import itertools
import statistics

from vit_jax.core import errors
from vit_jax.reproduce import claims
from vit_jax.reproduce.claims import Claim, Scores, Sum
from vit_jax.reproduce.miniature import RATE, Arm, Miniature
from vit_jax.sweeps.sweep import Trained

_ADAM = (1e-3, 3e-3, 1e-2)
_SGD = (0.03, 0.1, 0.3)
_SCALE = (
  "Fashion-MNIST (55,000 images of 28 px) instead of JFT or ImageNet; models of"
  " 0.1 M parameters instead of 86 M and more; 300 steps of 128 images"
)
_UPSTREAM = "accuracy on Fashion-MNIST's test images instead of 5-shot ImageNet"

_BOTH = (3e-4, 1e-3, 3e-3, 1e-2)


def _best(x: Mapping[str, float], scores: Mapping[str, Scores], series: str):
  """The arm of a series with the best mean on held-out images."""
  held_out = scores["val/top_1"]
  mine = [arm for arm in x if arm.startswith(series)]
  return max(mine, key=lambda arm: statistics.fmean(held_out[arm]))


def _own_rates(x, scores) -> list[Sum]:
  pair = (_best(x, scores, name) for name in ("class token", "GAP"))
  return claims.same(*pair, within=0.01)


def _lags(x, scores) -> list[Sum]:
  token = _best(x, scores, "class token")
  return [claims.better(token, token.replace("class token", "GAP"))]


FIGURE_9 = Miniature(
  name="figure9",
  serves=("figure=9",),
  question="Class token or global average pooling, and at which learning rate?",
  changed=f"{_SCALE}; {_UPSTREAM}; four rates for both instead of three"
  " curves.",
  arms=tuple(
    Arm(f"{name}, {rate:g}", {"model.pool": pool, RATE: rate}, name)
    for name, pool in (("class token", "token"), ("GAP", "gap"))
    for rate in _BOTH
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
_SOME = tuple(name for name in _POSITIONS if name != "none")


def _close_to_1d(x, scores) -> list[Sum]:
  """Each is nearer to 1-D than half of what positions bring."""
  del x, scores
  half = {"1-D, stem": 0.5, "none": -0.5}
  return [
    claims.minus(half, {name: sign, "1-D, stem": -sign})
    for name in _SOME[1:]
    for sign in (1.0, -1.0)
  ]


TABLE_8 = Miniature(
  name="table8",
  serves=("table=8",),
  question="Which position embeddings, and where do they enter?",
  changed=f"{_SCALE}; {_UPSTREAM}; 16 patches of 7 px.",
  arms=tuple(
    Arm(name, {"model.posemb": kind, "model.posemb_at": at}, name, _ADAM)
    for name, (kind, at) in _POSITIONS.items()
  ),
  claims=(
    Claim(
      "No position embedding is clearly worse than any (D.4).",
      "every kind is above none",
      lambda x, s: [claims.better(name, "none") for name in _SOME],
    ),
    Claim(
      "The kinds and where they enter make little difference (D.4).",
      "each is nearer to 1-D at the stem than half the gap between that and"
      " none",
      _close_to_1d,
    ),
  ),
)

_SHAPES = {
  "base": {},
  "depth 8": {"model.depth": 8},
  "depth 16": {"model.depth": 16},
  "width 96": {"model.width": 96},
  "width 128": {"model.width": 128},
  "MLP 256": {"model.mlp_dim": 256},
  "MLP 512": {"model.mlp_dim": 512},
  "patch 4": {"model.patch_size": (4, 4)},
  "patch 14": {"model.patch_size": (14, 14)},
  "all": {"model.depth": 6, "model.width": 80, "model.mlp_dim": 160},
}


def _shape(x: Mapping[str, float], kind: str) -> dict[str, float]:
  return {k: v for k, v in x.items() if k == "base" or k.startswith(kind)}


def _width_helps_least(x, scores) -> list[Sum]:
  """At the compute of width 96, by interpolation."""
  del scores
  place = x["width 96"]
  return [
    claims.minus(claims.at(_shape(x, kind), place), {"width 96": 1.0})
    for kind in ("depth", "MLP", "patch 4")
  ]


FIGURE_8 = Miniature(
  name="figure8",
  serves=("figure=8",),
  question="Which dimension of the Transformer is worth its compute?",
  changed=f"{_SCALE}; {_UPSTREAM}; around depth 4, width 64, MLP 128, patch 7"
  " instead of 8, 1024, 2048, 32.",
  arms=tuple(
    Arm(name, setting, name.split()[0], _ADAM)
    for name, setting in _SHAPES.items()
  ),
  axis="compute",
  claims=(
    Claim(
      "More depth helps (D.2).",
      "16 blocks are above 4",
      lambda x, s: [claims.better("depth 16", "base")],
    ),
    Claim(
      "More depth has diminishing returns (D.2).",
      "4 to 8 blocks bring more than 8 to 16",
      lambda x, s: [Sum({"depth 8": 2.0, "base": -1.0, "depth 16": -1.0})],
    ),
    Claim(
      "Smaller patches help without more parameters (D.2).",
      "patches of 4 px are above those of 7, and those above 14",
      lambda x, s: [
        claims.better("patch 4", "base"),
        claims.better("base", "patch 14"),
      ],
    ),
    Claim(
      "Scaling the width changes least (D.2).",
      "at the compute of width 96, depth, MLP and patch, interpolated, are"
      " above",
      _width_helps_least,
    ),
  ),
)

_FAMILIES = {"ViT": "vit", "ResNet": "bit", "hybrid": "hybrid"}
_COMPUTE = {
  "ViT, depth 2": ("vit", {"model.depth": 2}),
  "ViT, depth 6": ("vit", {"model.depth": 6}),
  "ViT, depth 16": ("vit", {"model.depth": 16}),
  "ResNet, 1 stage": ("bit", {"model.depths": (1,)}),
  "ResNet, 2 stages": ("bit", {"model.depths": (1, 1)}),
  "ResNet, 2 stages x2": (
    "bit",
    {"model.depths": (1, 1), "model.width_factor": 1.0},
  ),
  "hybrid, depth 1": ("hybrid", {"model.depth": 1}),
  "hybrid, depth 2": ("hybrid", {"model.depth": 2}),
  "hybrid, depth 4": ("hybrid", {"model.depth": 4}),
}


def _points(x: Mapping[str, float], family: str) -> dict[str, float]:
  return {k: v for k, v in x.items() if k.startswith(family)}


def _half_the_compute(x, scores) -> list[Sum]:
  del scores
  vits = _points(x, "ViT")
  return [
    claims.minus(claims.at(vits, x[name] / 2), {name: 1.0})
    for name in ("ResNet, 2 stages", "ResNet, 2 stages x2")
  ]


def _hybrid_gain(x: Mapping[str, float], name: str) -> Sum:
  return claims.minus({name: 1.0}, claims.at(_points(x, "ViT"), x[name]))


TABLE_6 = Miniature(
  name="table6",
  serves=("table=6", "figure=5"),
  question="ViT, ResNet or hybrid for the same compute?",
  changed=f"{_SCALE}; accuracy on Fashion-MNIST's test images after training on"
  " it instead of transfer; sizes of models instead of lengths of training.",
  arms=tuple(
    Arm(name, {":model": model, **setting}, name.split(",")[0], _ADAM)
    for name, (model, setting) in _COMPUTE.items()
  ),
  axis="compute",
  claims=(
    Claim(
      "ViT needs 2 to 4 times less compute than ResNets for the same accuracy"
      " (Section 4.4).",
      "ViT at half of each larger ResNet's compute, interpolated, is above it",
      _half_the_compute,
    ),
    Claim(
      "Hybrids are slightly better than ViT at small compute (Section 4.4).",
      "the smallest hybrid is above ViT at its compute, interpolated",
      lambda x, s: [_hybrid_gain(x, "hybrid, depth 1")],
    ),
    Claim(
      "The gap between hybrids and ViT closes with compute (Section 4.4).",
      "the smallest hybrid gains more over ViT than the largest does",
      lambda x, s: [
        claims.minus(
          _hybrid_gain(x, "hybrid, depth 1").weights,
          _hybrid_gain(x, "hybrid, depth 4").weights,
        )
      ],
    ),
  ),
)

_IMAGES = (500, 2_000, 8_000, 50_000)
_SMALL, _LARGE = f"{_IMAGES[0]:,}", f"{_IMAGES[-1]:,}"


def _crosses(small: str, large: str):
  """`small` wins on few images, and its lead shrinks with more."""
  lead = {f"{small}, {_SMALL}": 1.0, f"{large}, {_SMALL}": -1.0}
  end = {f"{small}, {_LARGE}": 1.0, f"{large}, {_LARGE}": -1.0}
  return lambda x, s: [Sum(lead), claims.minus(lead, end)]


TABLE_5 = Miniature(
  name="table5",
  serves=("table=5", "figure=3", "figure=4"),
  question="How much do ViT, hybrid and ResNet gain from more images?",
  changed=f"{_SCALE}, however many images; the first 500 to 50,000 images stand"
  " in for ImageNet, ImageNet-21k and JFT; transfer is 5-shot on the digits"
  " from the frozen representation (as Figure 4 does on ImageNet) instead of"
  " fine-tuning; no early stopping.",
  arms=tuple(
    Arm(
      f"{family}, {images:,}",
      {":model": model, ":images": images},
      family,
      _ADAM,
    )
    for family, model in _FAMILIES.items()
    for images in _IMAGES
  ),
  axis="images",
  metrics=("test/top_1", "digits/5_shot"),
  common={":probe": "true"},
  claims=(
    Claim(
      "ResNets are better with few images, and ViT catches up with more"
      " (Section 4.3, Figure 4).",
      "ResNet is above ViT on 500 images, and its lead is smaller on 50,000",
      _crosses("ResNet", "ViT"),
    ),
    Claim(
      "With enough images ViT is better (Section 4.3, Figures 3 and 4).",
      "ViT is above ResNet on 50,000 images",
      lambda x, s: [claims.better(f"ViT, {_LARGE}", f"ResNet, {_LARGE}")],
    ),
    Claim(
      "More images help ViT (Section 4.3, Figure 3).",
      "each of the four sizes is above the one before",
      lambda x, s: [
        claims.better(f"ViT, {b:,}", f"ViT, {a:,}")
        for a, b in itertools.pairwise(_IMAGES)
      ],
    ),
    Claim(
      "More images help ViT's transfer (Section 4.3, Figure 4).",
      "5-shot on the digits is higher after 50,000 images than after 500",
      lambda x, s: [claims.better(f"ViT, {_LARGE}", f"ViT, {_SMALL}")],
      "digits/5_shot",
    ),
    Claim(
      "ResNets transfer better from few images, ViT catches up (Figure 4).",
      "the first rule, for 5-shot on the digits",
      _crosses("ResNet", "ViT"),
      "digits/5_shot",
    ),
  ),
)

TABLE_7 = Miniature(
  name="table7",
  serves=("table=7",),
  question="Should ResNets be pre-trained with Adam or with SGD?",
  changed=f"{_SCALE}; a ResNet of two stages instead of R50x1 and R152x2;"
  " transfer is 5-shot on the digits from the frozen representation instead of"
  " fine-tuning on five sets; four rates each.",
  arms=(
    Arm("Adam", {":optim": "adamw"}, "Adam", (3e-4, *_ADAM)),
    Arm("SGD", {":optim": "sgd"}, "SGD", (0.01, *_SGD)),
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

_AXIAL = {
  "ViT, patch 7": {":model": "vit"},
  "ViT, patch 4": {":model": "vit", "model.patch_size": (4, 4)},
  "Axial-ViT, patch 7": {":model": "axial_vit"},
  "Axial-ViT, patch 4": {":model": "axial_vit", "model.patch_size": (4, 4)},
  "ResNet": {":model": "bit"},
  "AxialResNet": {":model": "axial_resnet"},
}

FIGURE_13 = Miniature(
  name="figure13",
  serves=("figure=13",),
  question="Does attention along rows and columns pay?",
  changed=f"{_SCALE}; {_UPSTREAM}; ResNets of two stages instead of 50 layers;"
  " Axial-ViT has no class token; speed on a TPU is not measured.",
  arms=tuple(
    Arm(name, setting, name.split(",")[0], _ADAM)
    for name, setting in _AXIAL.items()
  ),
  axis="compute",
  claims=(
    Claim(
      "Axial-ViT is better than ViT of the same patches, at more compute"
      " (D.6).",
      "it is above ViT at both patch sizes",
      lambda x, s: [
        claims.better(f"Axial-ViT, patch {p}", f"ViT, patch {p}")
        for p in (7, 4)
      ],
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

SECTION_4_6 = Miniature(
  name="section4.6",
  serves=("section=4.6",),
  question="Does masked patch prediction help what is fine-tuned after it?",
  changed="Fashion-MNIST instead of JFT, 600 steps of 128 images; fine-tuned on"
  " 1,200 digits (100 steps of Adam) instead of ImageNet; a ViT of 0.1 M"
  " parameters, 16 patches, colours of one channel (8 classes).",
  arms=tuple(
    Arm(name, {"start.checkpoint": start}, name, _ADAM)
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

ALL = (
  TABLE_5,
  TABLE_6,
  TABLE_7,
  TABLE_8,
  FIGURE_8,
  FIGURE_9,
  FIGURE_13,
  SECTION_4_6,
)


def serving(what: str) -> Miniature:
  """The miniature of "table=8" or "figure=9".

  Raises:
    ConfigError: there is none.
  """
  for one in ALL:
    if what in one.serves:
      return one
  known = sorted({name for one in ALL for name in one.serves})
  raise errors.ConfigError(
    f"{what} has no miniature (there are: {', '.join(known)})"
  )
