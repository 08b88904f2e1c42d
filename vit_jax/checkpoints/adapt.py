"""Adapts loaded weights to another image size, other classes, another head."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import flax.linen as nn
import numpy as np

from vit_jax.checkpoints.loaded import (
  Arrays,
  Loaded,
  flat,
  image_channels,
  model_shapes,
  nested,
)
from vit_jax.core import errors, tree
from vit_jax.models import segmenter
from vit_jax.nn import posemb, posemb_resize
from vit_jax.preprocess import decode
from vit_jax.preprocess.pipeline import Pipeline


def adapt(
  loaded: Loaded, want: Any, method: str, model: nn.Module | None
) -> Loaded:
  """The checkpoint for a model of another size or head, and a report.

  `want` is that model's config, `model` if not None has its other attributes;
  positions are resized by a method of nn/posemb_resize.py.

  Raises:
    CheckpointError: the models differ in more than that; lists all arrays.
  """
  have = loaded.model.config  # type: ignore[attr-defined]
  model = (loaded.model if model is None else model).clone(config=want)
  arrays = flat(loaded.variables)
  channels = image_channels(arrays, have)
  loaded = _decoded(loaded, channels)
  shapes = model_shapes(model, channels)
  other_head = _head_shape(have) != _head_shape(want)
  out: Arrays = {}
  resized, reset, wrong = [], [], []
  for name, shape in shapes.items():
    value = arrays.get(name)
    if name.startswith("head/") and other_head:
      value = np.zeros(shape, np.float32)
      reset.append(name)
    elif value is not None and "posemb/" in name:
      old, new = _backbone(have).grid, _backbone(want).grid
      if old != new:
        value = posemb_resize.of_name(name, value, old, new, method)
        resized.append(name)
    if value is None:
      wrong.append(f"{name} is missing")
    elif value.shape != shape:
      wrong.append(f"{name} is {value.shape} there, {shape} here")
    else:
      out[name] = value
  dropped = [name for name in arrays if name not in shapes]
  ends = ("head/", "pre_logits/")
  wrong += [f"{x} is only there" for x in dropped if not x.startswith(ends)]
  if wrong:
    raise errors.CheckpointError(
      f"the weights are of another model: {'; '.join(wrong)}"
    )
  params, stats = nested(out)
  return dataclasses.replace(
    loaded,
    model=model,
    params=params,
    batch_stats=stats,
    labels=() if reset else loaded.labels,  # Other classes, other names.
    report=dataclasses.replace(
      loaded.report,
      resized=tuple(resized),
      reset=tuple(reset),
      dropped=(*loaded.report.dropped, *dropped),
    ),
  )


def _decoded(loaded: Loaded, channels: int) -> Loaded:
  """The checkpoint with images decoded to the channels that it takes."""
  text = decoding(loaded.preprocess, channels)
  if text == loaded.preprocess:
    return loaded
  kind = {1: "grey", 3: "RGB"}[channels]
  note = f"preprocessing: decodes to {kind}, which the first layer takes"
  report = dataclasses.replace(
    loaded.report, assumptions=(*loaded.report.assumptions, note)
  )
  return dataclasses.replace(loaded, preprocess=text, report=report)


def decoding(text: str, channels: int) -> str:
  """A pipeline that decodes to so many channels; the same if it does so."""
  pipeline = Pipeline.parse(text)
  ops = tuple(
    dataclasses.replace(o, channels=channels)
    if isinstance(o, decode.Decode) and channels in decode.CHANNELS
    else o
    for o in pipeline.ops
  )
  return text if ops == pipeline.ops else str(Pipeline(ops))


def reordered(
  loaded: Loaded, numbers: Sequence[int], labels: Sequence[str]
) -> Loaded:
  """The checkpoint with the classes of its head in another order.

  `numbers` [C] and `labels` [C] have the old number and the name of each new
  class.

  Raises:
    CheckpointError: the head is none whose last axis is that of the classes.
  """
  head = tree.flatten(loaded.params["head"])
  odd = [k for k, v in head.items() if v.shape[-1] != len(numbers)]
  if odd:
    raise errors.CheckpointError(
      f"head/{odd[0]} is {head[odd[0]].shape}, with no class to each entry of"
      " its last axis; its classes cannot be put in another order"
    )
  moved = {
    k: np.ascontiguousarray(v[..., list(numbers)]) for k, v in head.items()
  }
  return dataclasses.replace(
    loaded,
    params={**loaded.params, "head": tree.unflatten(moved)},
    labels=tuple(labels),
  )


def changed(config: Any, change: Mapping[str, Any]) -> Any:
  """The config with another `image_size` or `num_classes`, if possible."""
  if not isinstance(config, segmenter.Config):
    return dataclasses.replace(config, **change)
  own = {k: v for k, v in change.items() if k != "image_size"}
  inner = {k: v for k, v in change.items() if k == "image_size"}
  backbone = dataclasses.replace(config.backbone, **inner)
  return dataclasses.replace(config, backbone=backbone, **own)


def _backbone(config: Any) -> Any:
  return config.backbone if isinstance(config, segmenter.Config) else config


def _head_shape(config: Any) -> tuple[int, int]:
  """Classes, and width of the layer before the head that only ViTs have."""
  return config.num_classes, getattr(config, "pre_logits_dim", 0)


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
