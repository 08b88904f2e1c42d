"""Models, one file each; `base.ModelModule` says what a file defines."""

from typing import Any

import flax.linen as nn

from vit_jax.core import config as config_lib, parts


def create(
  name: str, variant: str = "", num_classes: int = 1000, **overrides: Any
) -> nn.Module:
  """A Flax model, such as create("vit", variant="B/16", num_classes=10).

  Its speed knobs are attributes: `create(...).clone(remat="full")`.

  Args:
    name: file name of a module of this package, or a module of yours.
    variant: one of its variants; "" for the defaults of its Config.
    num_classes: C; 0 is a model without a head.
    **overrides: other fields of its Config.

  Raises:
    ConfigError: no such model, variant or field, or values that do not fit.
  """
  module = parts.find(__name__, name)
  values = {"num_classes": num_classes, **overrides}
  if variant:
    return module.Model(module.variant(variant, **values))
  fields = {**config_lib.to_config_dict(module.Config()), **values}
  return module.Model(config_lib.build(module.Config, fields))


def list_variants() -> dict[str, tuple[str, ...]]:
  """The variants of each model, by the model's name."""
  return {
    name: tuple(parts.find(__name__, name).VARIANTS)
    for name in parts.names(__name__)
  }
