"""BiT: ResNet-v2 with GroupNorm and standardised convolutions.

Source: arXiv:1912.11370.
"""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors
from vit_jax.nn import checks, resnet, stacking, std_convolution

# Parameters are not stored stacked: the first units differ in shape.
STACKED = ""

# Units of each stage, Table 1 of arXiv:1512.03385 and, for R200, of
# arXiv:1603.05027. Widths x1 to x4: Section 3.2, arXiv:1912.11370 and Table 6,
# arXiv:2010.11929.
DEPTHS = {
  "R50": (3, 4, 6, 3),
  "R101": (3, 4, 23, 3),
  "R152": (3, 8, 36, 3),
  "R200": (3, 24, 36, 3),
}
VARIANTS = {
  f"{name}x{factor}": dict(depths=depths, width_factor=float(factor))
  for name, depths in DEPTHS.items()
  for factor in (1, 2, 3, 4)
}


@dataclasses.dataclass(frozen=True)
class Config:
  """A BiT ResNet; the defaults are R50x1.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px of the images that it is trained on; the model
      takes any.
    depths: units of each stage.
    width_factor: multiplies the channels of all layers.
    standardization: what kernels are divided by; that of big_transfer and
      big_vision, or timm's "var + 1e-8".
    root_padding: what the max-pooling after the first convolution sees around
      it: nothing, as in big_vision, or zeros, as in big_transfer and timm.
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, statistics of norms and of kernels,
      the pooled vector and the head are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  depths: tuple[int, ...] = (3, 4, 6, 3)
  width_factor: float = 1.0
  standardization: std_convolution.Standardization = "var + 1e-10"
  root_padding: Literal["none", "zeros"] = "none"
  head_bias_init: float = 0.0
  dtype: Literal["float32", "bfloat16"] = "float32"

  def __post_init__(self):
    if self.num_classes < 0:
      raise errors.about(self, "{num_classes} must be at least 0 (0 is none)")
    if min(self.image_size) < 1:
      raise errors.about(self, "{image_size} must be at least 1 px each way")
    if min(self.depths, default=0) < 1:
      raise errors.about(
        self, "{depths} must be stages of at least 1 unit each"
      )
    resnet.check_width_factor("width_factor", self.width_factor)
    if self.head_bias_init and not self.num_classes:
      raise errors.about(self, "{head_bias_init} needs a head; use 0")


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant such as "R50x1", changed by overrides.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  Output channels are split over "fsdp", so that a kernel's statistics stay on
  one device; what no rule matches is replicated. For `core.mesh.shardings`.
  """
  kernels = r"(root|stage\d+_unit\d+/conv\w+)/kernel"
  rules = [(kernels, PartitionSpec(None, None, None, "fsdp"))]
  if config.num_classes:
    rules.append(("head/kernel", PartitionSpec("fsdp", None)))
  return rules


class Model(nn.Module):
  """A BiT ResNet.

  Attributes:
    config: what it is.
    remat: what the backward pass computes again to save memory: "none"
      (nothing), "dots" (all but the convolutions) or "full" (all but the
      units' inputs). Changes speed and memory only.
    unroll: equal units of a stage per turn of a compiled loop, 0 for all (no
      loop). Changes speed, compile time and memory only.
  """

  config: Config
  remat: stacking.Remat = "none"
  unroll: int = 1

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool = False
  ) -> dict[str, jax.Array]:
    """Represents and classifies images.

    Args:
      images: [B, h, w, c], a floating type; of any size, and any number of
        channels, which is fixed by the parameters.
      train: makes no difference, as nothing is random.

    Returns:
      grid [B, gh, gw, D] after the final norm and ReLU; tokens [B, gh * gw,
      D], the same; pre_logits [B, D], their mean; logits [B, C], if there is a
      head.

    Raises:
      ConfigError: images that are no [B, h, w, c].
      TypeError: images that are not of a floating type.
    """
    del train
    config = self.config
    checks.check_images(images)
    dtype = jnp.dtype(config.dtype)
    conv = functools.partial(
      std_convolution.StdConv,
      standardization=config.standardization,
      padding="symmetric",
      dtype=dtype,
    )
    norm = functools.partial(resnet.GroupNorm, dtype=dtype)
    width = resnet.root_width(config.width_factor)
    x = self._pool(conv(width, 7, 2, name="root")(images))
    unit = functools.partial(
      stacking.rematted(resnet.PreActivationUnit, self.remat),
      conv=conv,
      norm=norm,
    )
    x = resnet.stages(self, unit, x, config.depths, width)
    x = nn.relu(norm(name="norm")(x))
    y = x.mean(axis=(1, 2), dtype=jnp.float32)
    b, _, _, channels = x.shape
    out = {"tokens": x.reshape(b, -1, channels), "grid": x, "pre_logits": y}
    if config.num_classes:
      out["logits"] = nn.Dense(
        config.num_classes,
        kernel_init=nn.initializers.zeros,
        bias_init=nn.initializers.constant(config.head_bias_init),
        name="head",
      )(y)
    return out

  def _pool(self, x: jax.Array) -> jax.Array:
    """Max-pooling, 3 x 3 with a stride of 2."""
    padding = std_convolution.pads("symmetric", 3)
    if self.config.root_padding == "zeros":
      x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
      padding = "VALID"
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)
