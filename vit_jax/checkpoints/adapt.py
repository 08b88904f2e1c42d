"""Loaded weights for another image size, other classes, another head."""

from collections.abc import Mapping
import dataclasses
from typing import Any, TypeAlias

import numpy as np

from vit_jax.checkpoints.keys import Shape
from vit_jax.core import errors, tree
from vit_jax.models import segmenter
from vit_jax.nn import posemb, posemb_resize

Arrays: TypeAlias = dict[str, np.ndarray]


@dataclasses.dataclass
class Changes:
  """What was changed, by our names.

  Attributes:
    resized: position embeddings for another grid.
    reset: started anew, as zeros.
    dropped: not part of the model that was asked for.
  """

  resized: list[str] = dataclasses.field(default_factory=list)
  reset: list[str] = dataclasses.field(default_factory=list)
  dropped: list[str] = dataclasses.field(default_factory=list)


def adapt(
  arrays: Arrays, have: Any, want: Any, shapes: dict[str, Shape], method: str
) -> tuple[Arrays, Changes]:
  """The arrays of one model for another, that differs in size or head.

  Args:
    arrays: by our names.
    have: the config that they belong to.
    want: the config that they are for.
    shapes: of all arrays of that model.
    method: how positions are resized, see nn/posemb_resize.py.

  Raises:
    CheckpointError: the models differ in more than that; lists all arrays.
  """
  changes = Changes()
  out: Arrays = {}
  wrong: list[str] = []
  other_head = have.num_classes != want.num_classes or _representation(
    have
  ) != _representation(want)
  for name, shape in shapes.items():
    value = arrays.get(name)
    if name.startswith("head/") and other_head:
      out[name] = np.zeros(shape, np.float32)
      changes.reset.append(name)
      continue
    if value is not None and "posemb/" in name:
      old, new = _backbone(have).grid, _backbone(want).grid
      if old != new:
        value = posemb_resize.of_name(name, value, old, new, method)
        changes.resized.append(name)
    if value is None:
      wrong.append(f"{name} is missing")
    elif value.shape != shape:
      wrong.append(f"{name} is {value.shape} there, {shape} here")
    else:
      out[name] = value
  changes.dropped = [name for name in arrays if name not in shapes]
  # A task's own parameters, such as those that predict masked patches.
  ends = ("head/", "pre_logits/", "task/")
  wrong += [
    f"{name} is only there"
    for name in changes.dropped
    if not name.startswith(ends)
  ]
  if wrong:
    raise errors.CheckpointError(
      f"the weights are of another model: {'; '.join(wrong)}"
    )
  return out, changes


def changed(config: Any, change: Mapping[str, Any]) -> Any:
  """The config with other values of `image_size` and `num_classes`.

  Raises:
    ConfigError: the model cannot have them.
  """
  if not isinstance(config, segmenter.Config):
    return dataclasses.replace(config, **change)
  own = {k: v for k, v in change.items() if k != "image_size"}
  inner = {k: v for k, v in change.items() if k == "image_size"}
  backbone = dataclasses.replace(config.backbone, **inner)
  return dataclasses.replace(config, backbone=backbone, **own)


def _backbone(config: Any) -> Any:
  return config.backbone if isinstance(config, segmenter.Config) else config


def _representation(config: Any) -> int:
  """Width of the layer before the head; models but ViT have none."""
  fields = {field.name for field in dataclasses.fields(config)}
  return config.pre_logits_dim if "pre_logits_dim" in fields else 0


def learned_positions(config: Any, arrays: Arrays) -> tuple[Any, Arrays]:
  """The same ViT with its position embeddings as one learned table.

  Also those of a class token that has none, which are zeros. For formats that
  have no other kind; the outputs stay the same.
  """
  if config.posemb_at != "stem" or config.posemb in ("none", "relative"):
    return config, arrays
  positions = posemb.PositionTable(
    config.posemb,
    config.grid,
    config.width,
    config.class_token,
    config.class_token_position,
  )
  own = {k: v for k, v in arrays.items() if k.startswith("posemb/")}
  params = {k.removeprefix("posemb/"): v for k, v in own.items()}
  table = positions.apply({"params": tree.unflatten(params)})
  out = {k: v for k, v in arrays.items() if k not in own}
  out["posemb/table"] = np.asarray(table)
  plain = dict(posemb="learned_1d", class_token_position=config.class_token)
  return dataclasses.replace(config, **plain), out
