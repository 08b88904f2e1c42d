"""Models, one file each; `base.ModelModule` says what a file defines."""

import pkgutil
from typing import Any

import flax.linen as nn

from vit_jax.core import config as config_lib


def create(
  name: str, variant: str = "", num_classes: int = 1000, **overrides: Any
) -> nn.Module:
  """A Flax model, such as create("vit", variant="B/16", num_classes=10).

  Its speed knobs are attributes: `create(...).clone(remat="full")`.

  Args:
    name: file name of a module of this package.
    variant: one of its variants; "" for the defaults of its Config.
    num_classes: C; 0 is a model without a head.
    **overrides: other fields of its Config.

  Raises:
    ConfigError: no such model, variant or field, or values that do not fit.
  """
  module = config_lib.module_of(__name__, name)
  values = {"num_classes": num_classes, **overrides}
  if variant:
    return module.Model(module.variant(variant, **values))
  fields = {**config_lib.to_config_dict(module.Config()), **values}
  return module.Model(config_lib.build(module.Config, fields))


def list_variants() -> dict[str, tuple[str, ...]]:
  """The variants of each model, by the model's name."""
  names = {module.name for module in pkgutil.iter_modules(__path__)}
  modules = {
    name: config_lib.module_of(__name__, name)
    for name in sorted(names - {"base"})
  }
  return {name: tuple(module.VARIANTS) for name, module in modules.items()}
