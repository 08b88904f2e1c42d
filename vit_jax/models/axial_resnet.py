"""AxialResNet: a ResNet whose 3 x 3 convolutions are axial attention.

Source: Appendix D.6 and Figure 13, arXiv:2010.11929, after arXiv:2003.07853.
"""

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import config as config_lib, errors
from vit_jax.models import bit
from vit_jax.nn import axial, checks, resnet, stacking, std_convolution

# Parameters are not stored stacked: the first units differ in shape.
STACKED = ""

# That of Figure 13.
VARIANTS = {"R50": dict(depths=bit.DEPTHS["R50"])}


@dataclasses.dataclass(frozen=True)
class Config:
  """An AxialResNet; the defaults are AxialResNet50.

  The paper says no more than that all 3 x 3 convolutions of a ResNet-50 become
  attention along rows and columns with relative positions. The ResNet is that
  of its other rows, BiT's R50x1 (models/bit.py), with its units, norms and
  widths.

  Differs from Axial-ResNet of arXiv:2003.07853 in these, and as
  `nn.axial.RowAttention` says.

  Attributes:
    num_classes: C; 0 is a model without a head.
    image_size: (h, w) in px.
    depths: units of each stage.
    width_factor: multiplies the channels of all layers.
    num_heads: H of every attention.
    head_bias_init: initial bias of the head.
    dtype: of the computation. Parameters, statistics of norms and of kernels,
      softmax, the pooled vector and the head are float32.
  """

  num_classes: int = 1000
  image_size: tuple[int, int] = (224, 224)
  depths: tuple[int, ...] = (3, 4, 6, 3)
  width_factor: float = 1.0
  num_heads: int = 8
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
    width = resnet.root_width(self.width_factor)
    if self.num_heads < 1 or width % (2 * self.num_heads):
      raise errors.about(
        self,
        f"{{width_factor}} makes {width} channels, which must be a multiple of"
        " twice {num_heads}, whose queries have half the features of values",
      )
    if self.head_bias_init and not self.num_classes:
      raise errors.about(self, "{head_bias_init} needs a head; use 0")


def variant(name: str, **overrides: Any) -> Config:
  """The config of a variant: "R50", changed by overrides.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  return config_lib.variant(Config, VARIANTS, name, overrides)


def sharding_rules(config: Config) -> list[tuple[str, PartitionSpec]]:
  """(regex of the parameter name, PartitionSpec); the first match wins.

  Output channels are split over "fsdp", so that a kernel's statistics stay on
  one device; what no rule matches is replicated. For `core.mesh.shardings`.
  """
  layers = r"(root|stage\d+_unit\d+/(conv\w+|attention/(rows|columns)/qkv))"
  rules = [(layers + "/kernel", PartitionSpec(None, None, None, "fsdp"))]
  if config.num_classes:
    rules.append(("head/kernel", PartitionSpec("fsdp", None)))
  return rules


class Model(nn.Module):
  """An AxialResNet.

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
      images: [B, h, w, c], a floating type; any number of channels, which is
        fixed by the parameters.
      train: makes no difference, as nothing is random.

    Returns:
      grid [B, gh, gw, D] after the final norm and ReLU; tokens [B, gh * gw,
      D], the same; pre_logits [B, D], their mean; logits [B, C], if there is a
      head.

    Raises:
      ConfigError: images of another size, as each offset has parameters.
      TypeError: images that are not of a floating type.
    """
    del train
    config = self.config
    checks.check_images(images, config.image_size)
    dtype = jnp.dtype(config.dtype)
    conv = functools.partial(
      std_convolution.StdConv,
      standardization="var + 1e-10",
      padding="symmetric",
      dtype=dtype,
    )
    norm = functools.partial(resnet.GroupNorm, dtype=dtype)
    attend = functools.partial(
      axial.RowAttention, config.num_heads, conv, norm, dtype
    )
    width = resnet.root_width(config.width_factor)
    x = conv(width, 7, 2, name="root")(images)
    padding = std_convolution.pads("symmetric", 3)
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=padding)
    unit = functools.partial(
      stacking.rematted(resnet.PreActivationUnit, self.remat),
      conv=functools.partial(_layer, conv, attend),
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


def _layer(
  conv: resnet.Layer,
  attend: resnet.Layer,
  width: int,
  size: int,
  stride: int = 1,
  *,
  name: str,
) -> nn.Module:
  """What a unit gets where it asks for a convolution of this size."""
  if size == 1:
    return conv(width, size, stride, name=name)
  return axial.GridAttention(stride, attend, name="attention")
