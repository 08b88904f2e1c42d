"""ResNets with GroupNorm and standardised convolutions: units and stages."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.nn import stacking

GROUPS = 32
# A unit's output is this many times as wide as its 3 x 3 convolution.
EXPANSION = 4
Layer = Callable[..., nn.Module]


class GroupNorm(nn.Module):
  """Group normalisation (arXiv:1803.08494), as in big_vision's BiT.

  Differs from `nn.GroupNorm` in the variance, which is the mean of squared
  deviations: the mean of squares minus the square of the mean loses digits.

  Attributes:
    epsilon: added to the variance.
    dtype: type of the result; intermediate values are float32.
  """

  epsilon: float = 1e-5
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "B h w c"]) -> Float[Array, "B h w c"]:
    """Normalises over pixels and groups of channels."""
    channels = x.shape[-1]
    scale = self.param("scale", nn.initializers.ones, (channels,))
    bias = self.param("bias", nn.initializers.zeros, (channels,))
    y = x.astype(jnp.float32).reshape(*x.shape[:-1], GROUPS, channels // GROUPS)
    axes = (1, 2, 4)
    y -= y.mean(axes, keepdims=True)
    variance = jnp.square(y).mean(axes, keepdims=True)
    y = (y / jnp.sqrt(variance + self.epsilon)).reshape(x.shape)
    scale, bias = scale[None, None, None], bias[None, None, None]
    return (y * scale + bias).astype(self.dtype)


class Unit(nn.Module):
  """The fields of a bottleneck.

  Attributes:
    width: channels of the 3 x 3 convolution.
    stride: stride of this convolution and of the shortcut.
    conv: makes the convolutions.
    norm: makes the norms.
  """

  width: int
  stride: int
  conv: Layer
  norm: Layer


class PreActivationUnit(Unit):
  """The bottleneck of ResNet-v2: norm and ReLU come before a convolution.

  Source: arXiv:1603.05027, with the stride in the 3 x 3 convolution as in
  arXiv:1912.11370.
  """

  @nn.compact
  def __call__(
    self, x: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ 4*{self.width}"]:
    """Returns a map of h / stride x w / stride, rounded up."""
    conv, norm, wide = self.conv, self.norm, EXPANSION * self.width
    y = nn.relu(norm(name="norm1")(x))
    if self.stride > 1 or x.shape[-1] != wide:
      x = conv(wide, 1, self.stride, name="conv_shortcut")(y)
    y = conv(self.width, 1, name="conv1")(y)
    y = nn.relu(norm(name="norm2")(y))
    y = conv(self.width, 3, self.stride, name="conv2")(y)
    y = nn.relu(norm(name="norm3")(y))
    return x + conv(wide, 1, name="conv3")(y)


class PostActivationUnit(Unit):
  """The bottleneck of the published hybrids: a norm follows a convolution.

  Source: arXiv:1512.03385, with the stride in the 3 x 3 convolution and with
  the last norm's scale starting at 0 as in google-research's
  vision_transformer.
  """

  @nn.compact
  def __call__(
    self, x: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ 4*{self.width}"]:
    """Returns a map of h / stride x w / stride, rounded up."""
    conv, norm, wide = self.conv, self.norm, EXPANSION * self.width
    y = conv(self.width, 1, name="conv1")(x)
    y = nn.relu(norm(name="norm1")(y))
    y = conv(self.width, 3, self.stride, name="conv2")(y)
    y = nn.relu(norm(name="norm2")(y))
    y = conv(wide, 1, name="conv3")(y)
    y = norm(scale_init=nn.initializers.zeros, name="norm3")(y)
    if self.stride > 1 or x.shape[-1] != wide:
      x = conv(wide, 1, self.stride, name="conv_shortcut")(x)
      x = norm(name="norm_shortcut")(x)
    return nn.relu(x + y)


def stages(
  parent: Any,
  unit: Layer,
  x: Float[Array, "B h w c"],
  depths: Sequence[int],
  width: int,
) -> Float[Array, "B _ _ _"]:
  """Runs all stages; to be called in a compact method of `parent`.

  Unit 2 of stage 1 is called "stage1_unit02". Each stage but the first halves
  the image and doubles the width in its first unit. Its other units are equal
  in shape, and run as a compiled loop if `parent.unroll` asks for one.

  Args:
    parent: the module that has the units, with a field `unroll` (see
      `stacking.stack`).
    unit: makes a unit from its width and stride.
    x: the output of the root.
    depths: units of each stage.
    width: channels of the 3 x 3 convolutions of the first stage.
  """
  for i, depth in enumerate(depths):
    names = [f"stage{i + 1}_unit{j + 1:02d}" for j in range(depth)]
    make = functools.partial(unit, width * 2**i)
    x = make(2 if i else 1, name=names[0])(mesh_lib.split_batch(x))
    if 0 < parent.unroll < depth - 1 and not parent.is_initializing():
      x = _looped(parent, make(1, parent=None), names[1:], x)
      continue
    for name in names[1:]:
      x = make(1, name=name)(mesh_lib.split_batch(x))
  return x


def _looped(
  parent: nn.Module,
  unit: nn.Module,
  names: Sequence[str],
  x: Float[Array, "B h w c"],
) -> Float[Array, "B h w c"]:
  """Runs units as a loop over their parameters, stacked only for the loop."""
  params = [parent.variables["params"][name] for name in names]

  def turn(
    x: Float[Array, "B h w c"], params: Any
  ) -> tuple[Float[Array, "B h w c"], None]:
    y: Any = unit.apply({"params": params}, mesh_lib.split_batch(x))
    return y, None

  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
  x, _ = jax.lax.scan(turn, x, stacked, unroll=parent.unroll)
  return x


class Stem(nn.Module):
  """The ResNet of the published hybrids.

  Attributes:
    depths: units of each stage; () is the root alone.
    width: channels of the root.
    conv: makes the convolutions.
    norm: makes the norms.
    remat: see `stacking.rematted`.
    unroll: see `stages`.
  """

  depths: Sequence[int]
  width: int
  conv: Layer
  norm: Layer
  remat: stacking.Remat = "none"
  unroll: int = 1

  @nn.compact
  def __call__(
    self, images: Float[Array, "B h w c"]
  ) -> Float[Array, "B _ _ _"]:
    """Returns the feature map, each halving of the image rounded up."""
    x = self.conv(self.width, 7, 2, name="conv_root")(images)
    x = nn.relu(self.norm(name="norm_root")(x))
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
    unit = functools.partial(
      stacking.rematted(PostActivationUnit, self.remat),
      conv=self.conv,
      norm=self.norm,
    )
    return stages(self, unit, x, self.depths, self.width)


def root_width(width_factor: float) -> int:
  """Channels of the first convolution."""
  return int(64 * width_factor)


def check_width_factor(field: str, width_factor: float) -> None:
  """Raises a ConfigError unless all norms have groups of equal size."""
  width = 64 * width_factor
  if width < GROUPS or width % GROUPS:
    raise errors.ConfigError(
      f"{{{field}}}: 64 x {width_factor:g} = {width:g} channels are not a"
      f" multiple of the {GROUPS} groups of a norm; use a multiple of"
      f" {GROUPS / 64}",
      {field: width_factor},
    )
