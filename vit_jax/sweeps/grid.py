"""Settings of many runs: products, zips, sums and random draws.

A setting is a dict: a key that begins with ":" is an argument of the config
file (":res"), any other the dotted path of a config field ("optim.peak_lr").
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
import random
from typing import Any

from vit_jax.core import errors

Setting = dict[str, Any]
Settings = tuple[Setting, ...]


def axis(key: str, values: Iterable[Any]) -> Settings:
  """One setting for each value of one key."""
  return tuple({key: value} for value in values)


def product(*parts: Settings) -> Settings:
  """Every combination; the last part changes fastest."""
  return tuple(_join(c) for c in itertools.product(*parts))


def zipped(*parts: Settings) -> Settings:
  """The first of each, the second of each, ...

  Raises:
    ConfigError: the parts have different lengths.
  """
  if len({len(part) for part in parts}) > 1:
    lengths = ", ".join(str(len(part)) for part in parts)
    raise errors.ConfigError(f"zipped parts have different lengths: {lengths}")
  return tuple(_join(c) for c in zip(*parts, strict=True))


def draw(
  number: int,
  seed: int,
  uniform: Mapping[str, tuple[float, float]] | None = None,
  log_uniform: Mapping[str, tuple[float, float]] | None = None,
  choice: Mapping[str, Sequence[Any]] | None = None,
) -> Settings:
  """Random settings, the same for the same seed.

  Args:
    number: how many settings.
    seed: seed of the random numbers.
    uniform: (low, high) by key.
    log_uniform: (low, high) by key, both above 0; the logarithm is uniform.
    choice: values by key, all equally likely.
  """
  rng = random.Random(seed)
  settings = []
  for _ in range(number):
    setting: Setting = {}
    for key, (low, high) in (uniform or {}).items():
      setting[key] = rng.uniform(low, high)
    for key, (low, high) in (log_uniform or {}).items():
      if not 0 < low <= high:
        raise errors.ConfigError(
          f"log_uniform of {key}: 0 < {low} <= {high} must hold"
        )
      value = math.exp(rng.uniform(math.log(low), math.log(high)))
      # Four digits: readable, and the same on every platform's logarithm.
      setting[key] = float(f"{value:.4g}")
    for key, values in (choice or {}).items():
      setting[key] = rng.choice(values)
    settings.append(setting)
  return tuple(settings)


def _join(parts: Iterable[Setting]) -> Setting:
  """One setting with the keys of all parts, which must have none in common."""
  joined: Setting = {}
  for part in parts:
    for key in part:
      if key in joined:
        raise errors.ConfigError(f"{key} is set by two parts of a sweep")
    joined.update(part)
  return joined
