"""Slices of TPU pods by name, such as v3:16x32, whether at hand or not."""

import dataclasses
import importlib.util
import math
import re
from typing import Any

from jax.experimental import topologies

from vit_jax.core import errors
from vit_jax.plan import chips

# One device a chip, which is how a v4 is used; the compiler's default is two.
_OPTIONS = {"v4": {"chip_config_name": "megacore"}}


@dataclasses.dataclass(frozen=True)
class Topology:
  """A slice.

  Attributes:
    kind: of its chips, a key of `chips.CHIPS`.
    shape: chips along each axis.
  """

  kind: str
  shape: tuple[int, ...]

  @classmethod
  def parse(cls, text: str) -> "Topology":
    """ "v3:16x32", the kind of chip and the chips along each axis.

    Raises:
      ConfigError: no such text, or a kind of chip that nothing is known of.
    """
    kind, _, shape = text.strip().partition(":")
    if kind not in chips.CHIPS:
      raise errors.ConfigError(
        f"topology={text}: nothing is known of chips of kind"
        f" {kind or '(none)'}{errors.did_you_mean(kind, chips.CHIPS)}"
        f" (there are: {', '.join(chips.CHIPS)})"
      )
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", shape):
      raise errors.ConfigError(
        f"topology={text} must be KIND:AxB or KIND:AxBxC, the chips along each"
        f" axis, such as {kind}:4x4"
      )
    return cls(kind, tuple(map(int, shape.split("x"))))

  def __str__(self) -> str:
    return f"{self.kind}:{'x'.join(map(str, self.shape))}"

  @property
  def chip(self) -> chips.Chip:
    """What is known of its chips."""
    return chips.CHIPS[self.kind]

  @property
  def num_devices(self) -> int:
    """Devices as JAX counts them."""
    return math.prod(self.shape) * self.chip.devices

  def devices(self) -> list[Any]:
    """Devices that programs can be compiled for, but not run on.

    Raises:
      ConfigError: the compiler knows no such slice.
    """
    try:
      found = topologies.get_topology_desc(
        platform="tpu", topology_name=str(self), **_OPTIONS.get(self.kind, {})
      )
    except RuntimeError as e:
      reason = str(e).strip().splitlines()[0]
      raise errors.ConfigError(
        f"topology={self}: the compiler knows no such slice ({reason})"
      ) from e
    return list(found.devices)


def compiler_available() -> bool:
  """Whether the TPU compiler is installed (the extra `plan`)."""
  return importlib.util.find_spec("libtpu") is not None
