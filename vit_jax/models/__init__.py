"""Models, one file each; `base.ModelModule` says what a file defines."""

from typing import TYPE_CHECKING, Any

import flax.linen as nn
from jaxtyping import PyTree

from vit_jax.core import config as config_lib, parts, tree

if TYPE_CHECKING:
  from flax import nnx


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


def as_nnx(
  model: nn.Module,
  params: PyTree,
  batch_stats: PyTree = None,
  rngs: "nnx.Rngs | None" = None,
) -> "nnx.bridge.ToNNX":
  """The model as a module of Flax NNX that holds these arrays (docs/nnx.md).

  It is called without variables, `view(images, train=False)`, and has the
  model's other methods too. Nothing is computed or copied here.

  Args:
    model: a model, such as `create` gives.
    params: its parameters; they become `nnx.Param`.
    batch_stats: the running statistics of a model with batch norm; they become
      `nnx.BatchStat`, and a call with `mutable=["batch_stats"]` updates them.
    rngs: the streams for `train=True`, such as `nnx.Rngs(dropout=0)`.
  """
  from flax import nnx

  kinds = (nnx.Param, params), (nnx.BatchStat, batch_stats or {})
  variables = {
    name: kind(array)
    for kind, arrays in kinds
    for name, array in tree.flatten(arrays).items()
  }
  view = nnx.bridge.ToNNX(model, rngs)
  for name, part in tree.unflatten(variables).items():
    setattr(view, name, nnx.data(part))
  return view


def from_nnx(view: "nnx.bridge.ToNNX") -> dict[str, PyTree]:
  """The variables of a view of `as_nnx`, for `model.apply`, by our names."""
  from flax import nnx

  kinds = {"params": nnx.Param, "batch_stats": nnx.BatchStat}
  states = {name: nnx.state(view, kind) for name, kind in kinds.items()}
  return {name: nnx.to_pure_dict(s) for name, s in states.items() if s}
