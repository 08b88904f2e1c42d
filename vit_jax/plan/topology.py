"""TPU slices by name, such as v3:16x32."""

import dataclasses
import importlib.util
import math
import re
from typing import Any

from jax.experimental import topologies

from vit_jax.core import errors
from vit_jax.plan import chips

# A v4 is used with one device per chip; the compiler's default is two.
_OPTIONS = {"v4": {"chip_config_name": "megacore"}}


@dataclasses.dataclass(frozen=True)
class Topology:
  """A TPU slice.

  Attributes:
    kind: kind of its chips, a key of `chips.CHIPS`.
    shape: number of chips along each axis.
  """

  kind: str
  shape: tuple[int, ...]

  @classmethod
  def parse(cls, text: str) -> "Topology":
    """The slice of a text such as "v3:16x32": kind of chip, chips per axis.

    Raises:
      ConfigError: the text has another form, or the kind of chip is unknown.
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
    """The figures of its chips."""
    return chips.CHIPS[self.kind]

  @property
  def num_devices(self) -> int:
    """Number of devices, as JAX counts them."""
    return math.prod(self.shape) * self.chip.devices

  def devices(self) -> list[Any]:
    """Devices to compile programs for; nothing can run on them.

    Raises:
      ConfigError: the compiler does not know the slice.
    """
    try:
      described = topologies.get_topology_desc(
        platform="tpu", topology_name=str(self), **_OPTIONS.get(self.kind, {})
      )
    except RuntimeError as e:
      reason = str(e).strip().splitlines()[0]
      raise errors.ConfigError(
        f"topology={self}: the compiler knows no such slice ({reason})"
      ) from e
    return list(described.devices)


def compiler_available() -> bool:
  """Whether the TPU compiler is installed (the extra `plan`)."""
  return importlib.util.find_spec("libtpu") is not None
