"""Numbers that need no training: parameters, operations, tokens, exaFLOPs."""

import functools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp

from vit_jax import models
from vit_jax.core import errors
from vit_jax.plan import flops

# Images of JFT-300M, from the text of the paper.
JFT_IMAGES = 303e6
# A backward pass costs two forward passes, and a multiply-add is two
# operations; with these the formula gives the ViT rows of Table 6.
_PASSES, _OPERATIONS = 3, 2
_PRODUCTS = {"dot_general", "conv_general_dilated"}
_RESNET = re.compile(r"(?:ResNet|R)(\d+)(?:x(\d))?(?: \(BiT\))?")
_AXIAL = {
  "AxialResNet50": ("axial_resnet", "R50"),
  "Axial-ViT-B/32": ("axial_vit", "B/32"),
  "Axial-ViT-B/16": ("axial_vit", "B/16"),
}
_HYBRID = re.compile(r"R50(?:x1)?\+ViT-(\w/\d+)")


def model_of(label: str) -> tuple[str, str, dict[str, Any]]:
  """(family, variant, other fields) of a model that the paper names.

  Raises:
    ConfigError: this code base does not have the model.
  """
  if label == "ViT-b/32":
    # Figure 4: ViT-B with every hidden dimension halved.
    return "vit", "B/32", dict(width=384, mlp_dim=1536, num_heads=6)
  if label in _AXIAL:
    return *_AXIAL[label], {}
  if match := _HYBRID.fullmatch(label):
    return "hybrid", f"R50+{match[1]}", {}
  if match := _RESNET.fullmatch(label):
    return "bit", f"R{match[1]}x{match[2] or 1}", {}
  if re.fullmatch(r"ViT-\w+/\d+", label):
    return "vit", label.removeprefix("ViT-"), {}
  raise errors.ConfigError(f"model {label} is not here")


def is_resnet(label: str) -> bool:
  """Whether a model is a ResNet, which takes images of any size."""
  return model_of(label)[0] == "bit"


def make(
  label: str, size_px: int = 224, num_classes: int = 1000, **more: Any
) -> Any:
  """The model that the paper calls `label`, with more fields of its config."""
  family, variant, fields = model_of(label)
  fields = {**fields, "image_size": (size_px, size_px), **more}
  return models.create(family, variant, num_classes, **fields)


def parameters(label: str, size_px: int = 224, num_classes: int = 1000) -> int:
  """Number of a model's parameters."""
  return _counts(label, size_px, num_classes)[0]


def macs(label: str) -> float:
  """Multiply-adds in products and convolutions for an image of 224 px."""
  return _counts(label, 224, 1000)[1]


@functools.cache
def _counts(label: str, size_px: int, num_classes: int) -> tuple[int, float]:
  """Parameters and multiply-adds, from one trace of a model that draws them."""
  model = make(label, size_px, num_classes)
  trace = jax.make_jaxpr(model.init_with_output, return_shape=True)
  images = jax.ShapeDtypeStruct((1, size_px, size_px, 3), jnp.float32)
  jaxpr, (_, variables) = trace(jax.random.key(0), images)
  number = sum(math.prod(x.shape) for x in jax.tree.leaves(variables))
  products = flops.count(jaxpr.jaxpr, only=_PRODUCTS)
  return number, products / _OPERATIONS


def exaflops(label: str, epochs: int) -> float:
  """ExaFLOPs of pre-training on JFT-300M, by the formula behind Table 6."""
  images = epochs * JFT_IMAGES
  return images * _PASSES * _OPERATIONS * macs(label) / 1e18


def tokens(label: str, size_px: int) -> int:
  """Tokens of an image in the Transformer, including the class token.

  Raises:
    ConfigError: the model is a ResNet, or the size is not a multiple of the
      patch size.
  """
  config = make(label, size_px).config
  if not hasattr(config, "grid"):
    raise errors.ConfigError(f"model {label} has no tokens")
  gh, gw = config.grid
  return gh * gw + config.class_token
