"""Small experiments about scale: model size, compute, number of images."""

from collections.abc import Mapping
import itertools

from vit_jax.reproduce import claims
from vit_jax.reproduce.claims import Claim, Contrast
from vit_jax.reproduce.small_experiment import (
  ADAM_RATES,
  SCALE,
  UPSTREAM,
  Arm,
  SmallExperiment,
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


def _width_helps_least(x, scores) -> list[Contrast]:
  """Other dimensions, interpolated, at the compute of width 96."""
  del scores
  place = x["width 96"]
  return [
    claims.minus(claims.at(_shape(x, kind), place), {"width 96": 1.0})
    for kind in ("depth", "MLP", "patch 4")
  ]


FIGURE_8 = SmallExperiment(
  name="figure8",
  serves=("figure=8",),
  question="Which dimension of the Transformer is worth its compute?",
  changed=f"{SCALE}; {UPSTREAM}; around depth 4, width 64, MLP 128, patch 7"
  " instead of 8, 1024, 2048, 32.",
  arms=tuple(
    Arm(name, setting, name.split()[0], ADAM_RATES)
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
      "8 blocks are above 4, and 4 to 8 bring more than 8 to 16",
      lambda x, s: [
        claims.better("depth 8", "base"),
        Contrast({"depth 8": 2.0, "base": -1.0, "depth 16": -1.0}),
      ],
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


def _half_the_compute(x, scores) -> list[Contrast]:
  del scores
  vits = _points(x, "ViT")
  return [
    claims.minus(claims.at(vits, x[name] / 2), {name: 1.0})
    for name in ("ResNet, 2 stages", "ResNet, 2 stages x2")
  ]


def _hybrid_gain(x: Mapping[str, float], name: str) -> Contrast:
  return claims.minus({name: 1.0}, claims.at(_points(x, "ViT"), x[name]))


TABLE_6 = SmallExperiment(
  name="table6",
  serves=("table=6", "figure=5"),
  question="ViT, ResNet or hybrid for the same compute?",
  changed=f"{SCALE}; accuracy on Fashion-MNIST's test images after training on"
  " it instead of transfer; sizes of models instead of lengths of training.",
  arms=tuple(
    Arm(name, {":model": model, **setting}, name.split(",")[0], ADAM_RATES)
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
  """`small` wins on few images, and its lead shrinks with more images."""
  lead = {f"{small}, {_SMALL}": 1.0, f"{large}, {_SMALL}": -1.0}
  end = {f"{small}, {_LARGE}": 1.0, f"{large}, {_LARGE}": -1.0}
  return lambda x, s: [Contrast(lead), claims.minus(lead, end)]


TABLE_5 = SmallExperiment(
  name="table5",
  serves=("table=5", "figure=3", "figure=4"),
  question="How much do ViT, hybrid and ResNet gain from more images?",
  changed=f"{SCALE}, however many images; the first 500 to 50,000 images stand"
  " in for ImageNet, ImageNet-21k and JFT; transfer is 5-shot on the digits"
  " from the frozen representation (as Figure 4 does on ImageNet) instead of"
  " fine-tuning; no early stopping.",
  arms=tuple(
    Arm(
      f"{family}, {images:,}",
      {":model": model, ":images": images},
      family,
      ADAM_RATES,
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

_AXIAL = {
  "ViT, patch 7": {":model": "vit"},
  "ViT, patch 4": {":model": "vit", "model.patch_size": (4, 4)},
  "Axial-ViT, patch 7": {":model": "axial_vit"},
  "Axial-ViT, patch 4": {":model": "axial_vit", "model.patch_size": (4, 4)},
  "ResNet": {":model": "bit"},
  "AxialResNet": {":model": "axial_resnet"},
}

FIGURE_13 = SmallExperiment(
  name="figure13",
  serves=("figure=13",),
  question="Does attention along rows and columns pay?",
  changed=f"{SCALE}; {UPSTREAM}; ResNets of two stages instead of 50 layers;"
  " Axial-ViT has no class token; speed on a TPU is not measured.",
  arms=tuple(
    Arm(name, setting, name.split(",")[0], ADAM_RATES)
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
