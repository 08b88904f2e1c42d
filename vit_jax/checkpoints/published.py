"""Loads files of weights that others publish."""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import pathlib
import re
from typing import Any

import flax.linen as nn
import numpy as np

from vit_jax.checkpoints import (
  adapt,
  inputs,
  keys,
  layouts,
  npz,
  safetensors_io,
  tensors as tensors_lib,
)
from vit_jax.checkpoints.layout import (
  NPZ,
  SAFETENSORS,
  Inferred,
  Layout,
  Source,
)
from vit_jax.checkpoints.loaded import (
  FIRST,
  MODELS,
  OWN,
  Loaded,
  Report,
  model_shapes,
  nested,
)
from vit_jax.checkpoints.tensors import Tensor, Tensors
from vit_jax.core import config as config_lib, errors

_MAX_JSON = 8 << 20
_MAX_SIDE_PX = 1 << 14
# Forms that no shape tells, so that a given model may differ from the file.
_FORMS = (
  *("gelu", "norm_epsilon", "norm_at", "standardization", "root_padding"),
  *("group_norm_epsilon", "window_pad"),
)


def load_file(
  path: pathlib.Path, model: nn.Module | None, change: dict[str, Any]
) -> Loaded:
  """A file of weights, with what lies beside it.

  Args:
    path: the file.
    model: what it is for, or None.
    change: fields of the model's config that are to have other values.

  Raises:
    CheckpointError: see `loading.load`.
  """
  container, opened = _container(path)
  with opened(path) as found:
    layout, source, names, ignored = _recognised(path, container, found)
    source = dataclasses.replace(source, image_size=change.get("image_size"))
    given = None if model is None else _given(path, layout, model)
    inferred = _inferred(layout, source, given)
    have = inferred.config
    module = config_lib.module_of(MODELS, layout.model)
    rules = layout.rules(have)
    channels = _channels(rules, source)
    shapes = model_shapes(module.Model(have), channels)
    faults = keys.faults(rules, source.tensors, shapes)
    if faults:
      raise errors.CheckpointError(
        f"{path} does not fit {layout.model} as {layout.format} names it:"
        f" {'; '.join(faults)}"
      )
    arrays = {
      name: np.empty(shape, np.float32) for name, shape in shapes.items()
    }
    keys.load(rules, source.tensors, arrays)
  want = adapt.changed(given or have, change)
  wanted = model_shapes(module.Model(want), channels)
  arrays, changes = adapt.adapt(arrays, have, want, wanted, layout.resize)
  preprocess, more = _preprocess(layout, source, want)
  report = Report(
    used=tuple(names[name] for name in source.tensors),
    resized=tuple(changes.resized),
    reset=tuple(changes.reset),
    dropped=tuple(changes.dropped),
    ignored=tuple(ignored),
    assumptions=(*inferred.assumptions, *_casts(source.tensors), *more),
  )
  params, stats = nested(arrays)
  return Loaded(
    model=module.Model(want) if model is None else model.clone(config=want),
    params=params,
    batch_stats=stats,
    source_format=layout.format,
    report=report,
    preprocess=preprocess,
    labels=_labels(source, want) if "head/kernel" not in changes.reset else (),
    metadata=source.config,
  )


def _container(path: pathlib.Path) -> tuple[str, Any]:
  """What kind of file it is, by its first bytes."""
  if not path.is_file():
    raise errors.CheckpointError(f"{path} is no regular file")
  with path.open("rb") as f:
    start = f.read(9)
  if start.startswith(npz.MAGIC):
    return NPZ, npz.opened
  if start[8:9] == b"{":
    return SAFETENSORS, safetensors_io.opened
  raise tensors_lib.refused(
    path,
    "it begins like neither an npz nor a safetensors file; if it is a pickle,"
    " convert it to safetensors where it comes from",
  )


def _recognised(
  path: pathlib.Path, container: str, found: Tensors
) -> tuple[Layout, Source, dict[str, str], list[str]]:
  """The layout, the source, the file's own names, and those ignored."""
  own = found.get(OWN)
  if own is not None and (own.dtype != np.uint8 or own.nbytes > _MAX_JSON):
    raise tensors_lib.refused(path, f"{OWN} is no text")
  found = {name: tensor for name, tensor in found.items() if name != OWN}
  outside = [name for name in found if not name.startswith("params/")]
  if len(outside) == len(found):
    outside = []
  else:
    # A whole training state: the optimiser's part is of no use here.
    found = {k: v for k, v in found.items() if k.startswith("params/")}
  for layout in layouts.ALL:
    if layout.container != container:
      continue
    names: dict[str, str] = {}
    ignored = list(outside)
    tensors = {}
    for name, tensor in found.items():
      known = layout.canonical(name.removeprefix("params/"))
      if any(re.fullmatch(pattern, known) for pattern in layout.ignored):
        ignored.append(name)
        continue
      if known in names:
        raise tensors_lib.refused(
          path, f"{name} and {names[known]} are the same weights"
        )
      names[known] = name
      tensors[known] = _vector(layout, known, tensor)
    source = Source(path, tensors, {}, {})
    if all(source.has(mark) for mark in layout.marks):
      if container == SAFETENSORS:
        config = _json_beside(path, "config.json")
        preprocessor = _json_beside(path, "preprocessor_config.json")
        source = Source(path, tensors, config, preprocessor)
      elif own is not None:
        text = own.read().tobytes()
        source = Source(path, tensors, {OWN: _json(path, text)}, {})
      return layout, source, names, ignored
  known = sorted({f"{x.format} ({x.model})" for x in layouts.ALL})
  raise errors.CheckpointError(
    f"{path} is of no known layout: its names, such as"
    f" {', '.join(list(found)[:3]) or 'none at all'}, are not of"
    f" {', '.join(known)}"
  )


def _vector(layout: Layout, name: str, tensor: Tensor) -> Tensor:
  """[1, 1, 1, D] as [D], where the table has it so."""
  if tensor.shape[:-1] != (1, 1, 1) or not any(
    re.fullmatch(pattern, name) for pattern in layout.vectors
  ):
    return tensor
  return Tensor(
    tensor.shape[-1:], tensor.dtype, lambda: tensor.read().reshape(-1)
  )


def _json_beside(weights: pathlib.Path, name: str) -> dict[str, Any]:
  """What a JSON file beside the weights says; empty if there is none."""
  path = weights.with_name(name)
  if not path.is_file():
    return {}
  with path.open("rb") as f:
    return _json(path, f.read(_MAX_JSON + 1))


def _json(path: pathlib.Path, text: bytes) -> dict[str, Any]:
  if len(text) > _MAX_JSON:
    raise tensors_lib.refused(path, f"over {_MAX_JSON} bytes of JSON")
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as e:
    raise tensors_lib.refused(path, f"it has no readable JSON ({e})") from e
  if not isinstance(value, dict):
    raise tensors_lib.refused(path, "its JSON is no table")
  return value


def _given(path: pathlib.Path, layout: Layout, model: Any) -> Any:
  """The config of the model that was given; it is of the file's kind."""
  kind = type(model).__module__.rpartition(".")[-1]
  if kind != layout.model:
    raise errors.CheckpointError(
      f"{path} holds a {layout.model} ({layout.format}), the model is a {kind}"
    )
  return model.config


def _inferred(layout: Layout, source: Source, given: Any) -> Inferred:
  with _one_line(source):
    inferred = _of_file(layout, source, given)
    if given:
      theirs = inferred.config
      inferred = layout.infer(source, given)
      inferred.assumptions += _other_forms(theirs, given)
    if max(inferred.config.image_size) > _MAX_SIDE_PX:
      raise errors.CheckpointError(
        f"{source.path}: images of {inferred.config.image_size} px"
      )
  return inferred


@contextlib.contextmanager
def _one_line(source: Source) -> Iterator[None]:
  """Sizes and settings that make no model, as an error of the file."""
  try:
    yield
  except errors.ConfigError as e:
    raise errors.CheckpointError(f"{source.path}: {e}") from e
  except (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(ZeroDivisionError, OverflowError),
  ) as e:
    raise errors.CheckpointError(
      f"{source.path}: its shapes or its config.json make no model ({e})"
    ) from e


def _of_file(layout: Layout, source: Source, given: Any) -> Inferred:
  """What the file says for itself; `given` only helps with the image size."""
  if OWN in source.config:
    module = config_lib.module_of(MODELS, layout.model)
    said = dict(source.config[OWN]["model"])
    return Inferred(config_lib.build(module.Config, said))
  if given and not source.image_size:
    source = dataclasses.replace(source, image_size=given.image_size)
  return layout.infer(source, None)


def _other_forms(theirs: Any, given: Any) -> list[str]:
  names = {field.name for field in dataclasses.fields(given)}
  return [
    f"{name}={getattr(given, name)} as the model says; the file was made with"
    f" {getattr(theirs, name)}"
    for name in _FORMS
    if name in names and getattr(given, name) != getattr(theirs, name)
  ]


def _channels(rules: list[keys.Rule], source: Source) -> int:
  """Channels of the images: what the first convolution takes."""
  by_name = {rule.ours: rule for rule in rules}
  rule = next(by_name[name] for name in FIRST if name in by_name)
  axis = rule.their_axes.split().index(rule.our_axes.split()[2])
  return source.size(re.escape(rule.theirs), axis, 3)


def _casts(tensors: Tensors) -> list[str]:
  kinds = [str(tensor.dtype) for tensor in tensors.values()]
  return [
    f"{kinds.count(kind)} tensors are {kind}: read as float32"
    for kind in sorted(set(kinds) - {"float32"})
  ]


def _preprocess(
  layout: Layout, source: Source, config: Any
) -> tuple[str, list[str]]:
  size = config.image_size
  own = source.config.get(OWN, {})
  with _one_line(source):
    if tuple(own.get("model", {}).get("image_size", ())) == size:
      return inputs.checked(own["preprocess"]), []
    if layout.format == "timm":
      text, more = inputs.of_timm(source.config, layout.model, size)
    elif layout.format == "hf":
      text, more = inputs.of_hf(source.preprocessor, size)
    else:
      text, more = inputs.jax_default(size, layout.format), []
    return inputs.checked(text), more


def _labels(source: Source, config: Any) -> tuple[str, ...]:
  """The names of all classes, if config.json has them."""
  found = source.config.get("id2label") or source.config.get("label_names")
  if isinstance(found, dict):
    found = [found.get(str(i)) for i in range(len(found))]
  names = tuple(str(name) for name in found or ())
  placeholder = all(re.fullmatch(r"LABEL_\d+", name) for name in names)
  return () if placeholder or len(names) != config.num_classes else names
