"""Loads files of weights that others publish."""

from collections.abc import Iterator, Sequence
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
  foreign,
  keys,
  prefixes,
  preprocessing,
  safetensors_io,
  shards,
)
from vit_jax.checkpoints.base import (
  CONFIG,
  OWN,
  Container,
  Inferred,
  Layout,
  Source,
  Untold,
)
from vit_jax.checkpoints.loaded import (
  MODELS,
  Arrays,
  Loaded,
  Report,
  given_config,
  image_channels,
  model_shapes,
  nested,
)
from vit_jax.checkpoints.tensors import Tensor, Tensors, refused
from vit_jax.core import config as config_lib, errors, parts

_MAX_JSON = 8 << 20
_MAX_SIDE_PX = 1 << 14
# Fields that no shape depends on, in which a given model may differ.
_FORMS = (
  *("gelu", "norm_epsilon", "norm_at", "standardization", "root_padding"),
  *("group_norm_epsilon", "window_pad"),
)


def load_file(
  path: pathlib.Path,
  model: nn.Module | None,
  change: dict[str, Any],
  candidates: Sequence[Layout],
  num_heads: int | None = None,
) -> Loaded:
  """A file of weights, with what lies beside it; see `loading.load`.

  It has one of the layouts `candidates`, and `change` has other values for
  fields of the model's config.
  """
  container = _container(path, candidates)
  candidates = [x for x in candidates if x.container is container]
  is_index = path.name.endswith(shards.SUFFIX)
  with (shards if is_index else container).opened(path) as tensors:
    layout, source, names, ignored, stripped = _recognised(
      path, candidates, tensors
    )
    source = dataclasses.replace(
      source, image_size=change.get("image_size"), num_heads=num_heads
    )
    kind = f"{layout.model} ({layout.format})"
    given = given_config(path, layout.model, kind, model)
    in_file = source.tensors
    source, folded = layout.folded(source)
    inferred = _inferred(layout, source, given)
    have = parts.find(MODELS, layout.model).Model(inferred.config)
    sentences = (*stripped, *folded, *inferred.assumptions, *_casts(in_file))
    arrays = _read(layout, source, have)
  want = adapt.changed(given or inferred.config, change)
  with _one_line(source):
    channels = image_channels(arrays, inferred.config)
    preprocess, assumed = _preprocess(layout, source, want, channels)
    labels = tuple(str(name) for name in layout.labels(source))
  params, stats = nested(arrays)
  loaded = Loaded(
    model=have,
    params=params,
    batch_stats=stats,
    source_format=layout.format,
    report=Report(
      used=tuple(names[name] for name in in_file),
      ignored=tuple(ignored),
      assumptions=(*sentences, *assumed),
    ),
    preprocess=preprocess,
    labels=labels if len(labels) == want.num_classes else (),
    metadata=source.config,
  )
  return adapt.adapt(loaded, want, layout.resize, model)


def _container(path: pathlib.Path, candidates: Sequence[Layout]) -> Container:
  """The kind of the file, by its first bytes."""
  if not path.is_file():
    raise errors.CheckpointError(f"{path} is not a regular file")
  if shards.is_part(path):
    raise errors.CheckpointError(
      f"{path} is one of several parts; name their folder, or the"
      f" model{shards.SUFFIX} in it"
    )
  if path.name.endswith(shards.SUFFIX):
    foreign.check_pointer(path)
    return safetensors_io
  with path.open("rb") as f:
    head = f.read(9)
  containers = {x.container.SUFFIX[1:]: x.container for x in candidates}
  for container in containers.values():
    if container.begins(head):
      return container
  foreign.check(path)
  raise refused(
    path,
    f"it does not begin like a file of {' or '.join(sorted(containers))}; if it"
    " is a pickle, convert it to safetensors where it comes from",
  )


def _recognised(
  path: pathlib.Path, candidates: Sequence[Layout], tensors: Tensors
) -> tuple[Layout, Source, dict[str, str], list[str], list[str]]:
  """Layout, source, names in the file, names left out, words on prefixes."""
  own = tensors.get(OWN)
  if own is not None and (own.dtype != np.uint8 or own.nbytes > _MAX_JSON):
    raise refused(path, f"{OWN} is not text")
  weights = {name: tensor for name, tensor in tensors.items() if name != OWN}
  # Of a whole training state, only the parameters are of use here.
  params = {k: v for k, v in weights.items() if k.startswith("params/")}
  params = params or weights
  in_file, sentences = prefixes.stripped(params)
  for layout in candidates:
    renamed: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    ignored = [name for name in weights if name not in params]
    for plain, name in in_file.items():
      new = layout.canonical(plain.removeprefix("params/"))
      if any(re.fullmatch(pattern, new) for pattern in layout.ignored):
        ignored.append(name)
        continue
      if new in names:
        raise refused(path, f"{name} and {names[new]} are the same weights")
      names[new] = name
      renamed[new] = _vector(layout, new, params[name])
    source = Source(path, renamed)
    if all(source.has(mark) for mark in layout.marks):
      side = {name: _json_beside(path, name) for name in layout.side_names}
      beside = layout.own_file(path)
      side.setdefault(CONFIG, _json_beside(path, beside.name))
      # Earlier our entry was among the arrays of an npz.
      if own is not None:
        side[CONFIG] = {OWN: _json(path, own.read().tobytes())}
      source = dataclasses.replace(source, side_files=side)
      return layout, source, names, ignored, sentences
  known = sorted({f"{x.format} ({x.model})" for x in candidates})
  raise errors.CheckpointError(
    f"{path} is of no known layout: its names, such as"
    f" {', '.join(list(params)[:3]) or 'none at all'}, are not of"
    f" {', '.join(known)}"
  )


def _vector(layout: Layout, name: str, tensor: Tensor) -> Tensor:
  """Removes the axes of [1, 1, 1, D] where the table has [D]."""
  if tensor.shape[:-1] != (1, 1, 1) or not any(
    re.fullmatch(pattern, name) for pattern in layout.vectors
  ):
    return tensor
  return Tensor(
    tensor.shape[-1:], tensor.dtype, lambda: tensor.read().reshape(-1)
  )


def _json_beside(weights: pathlib.Path, name: str) -> dict[str, Any]:
  """The content of a JSON file beside the weights; empty if there is none."""
  path = weights.with_name(name)
  if not path.is_file():
    return {}
  foreign.check_pointer(path)
  with path.open("rb") as f:
    return _json(path, f.read(_MAX_JSON + 1))


def _json(path: pathlib.Path, text: bytes) -> dict[str, Any]:
  if len(text) > _MAX_JSON:
    raise refused(path, f"over {_MAX_JSON} bytes of JSON")
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as e:
    raise refused(path, f"it has no readable JSON ({e})") from e
  if not isinstance(value, dict):
    raise refused(path, "its JSON is not an object")
  return value


def _inferred(layout: Layout, source: Source, given: Any) -> Inferred:
  """The config of the file's model, or of the given model for this file."""
  _check_names(layout, source)
  with _one_line(source):
    if given:
      inferred = layout.infer(source, given)
      # What the file does not tell, the model does.
      with contextlib.suppress(Untold):
        theirs = _from_file(layout, source, given).config
        inferred.assumptions += _other_forms(source, theirs, given)
    else:
      inferred = _from_file(layout, source, None)
      _check_heads(source, inferred.config, source.num_heads)
    if max(inferred.config.image_size) > _MAX_SIDE_PX:
      raise errors.CheckpointError(
        f"{source.path}: images of {inferred.config.image_size} px"
      )
  return inferred


@contextlib.contextmanager
def _one_line(source: Source) -> Iterator[None]:
  """Turns errors about impossible sizes and settings into one line."""
  try:
    yield
  except errors.ConfigError as e:
    raise errors.CheckpointError(f"{source.path}: {e}") from e
  except (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(ZeroDivisionError, OverflowError),
  ) as e:
    reason = " ".join(str(e).split())
    raise errors.CheckpointError(
      f"{source.path}: its shapes or its config.json make no model ({reason})"
    ) from e


def _from_file(layout: Layout, source: Source, given: Any) -> Inferred:
  """The config by the file alone, with the image size of `given`."""
  if OWN in source.config:
    module = parts.find(MODELS, layout.model)
    fields = dict(source.config[OWN]["model"])
    return Inferred(config_lib.build(module.Config, fields))
  if given:
    source = dataclasses.replace(
      source,
      image_size=source.image_size or given.image_size,
      num_heads=getattr(given, "num_heads", None),
    )
  return layout.infer(source, None)


def _other_forms(source: Source, theirs: Any, given: Any) -> list[str]:
  _check_heads(source, theirs, getattr(given, "num_heads", None))
  return [
    f"{name}={getattr(given, name)} as the model says; the file was made with"
    f" {getattr(theirs, name)}"
    for name in _FORMS
    if hasattr(given, name) and getattr(given, name) != getattr(theirs, name)
  ]


def _check_heads(source: Source, config: Any, num_heads: Any) -> None:
  """Refuses other heads than the file's, which no fused qkv would show."""
  have = getattr(config, "num_heads", None)
  if num_heads is not None and num_heads != have:
    raise errors.CheckpointError(
      f"{source.path} has num_heads={have}, not num_heads={num_heads}"
    )


def _check_names(layout: Layout, source: Source) -> None:
  """Says what a file is that only begins like one of the layout."""
  for pattern, what in layout.foreign:
    names = [name for name in source.tensors if re.fullmatch(pattern, name)]
    if names:
      raise errors.CheckpointError(
        f"{source.path} has {names[0]}: {what}; no model here has that"
      )


def _read(layout: Layout, source: Source, model: nn.Module) -> Arrays:
  """The arrays of the model by our names, in float32."""
  config = model.config  # type: ignore[attr-defined]
  rules = layout.rules(config)
  stem = config_lib.module_for(config).STEM
  rule = next(rule for rule in rules if rule.ours == stem)
  axis = rule.their_axes.split().index(rule.our_axes.split()[2])
  channels = source.size(re.escape(rule.theirs), axis, 3)
  shapes = model_shapes(model, channels)
  if faults := keys.faults(rules, source.tensors, shapes):
    raise errors.CheckpointError(
      f"{source.path} does not fit {layout.model} as {layout.format} names it:"
      f" {'; '.join(faults)}"
    )
  arrays = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
  keys.load(rules, source.tensors, arrays)
  return arrays


def _casts(tensors: Tensors) -> list[str]:
  kinds = [str(tensor.dtype) for tensor in tensors.values()]
  return [
    f"{kinds.count(kind)} tensors are {kind}: read as float32"
    for kind in sorted(set(kinds) - {"float32"})
  ]


def _preprocess(
  layout: Layout, source: Source, config: Any, channels: int
) -> tuple[str, list[str]]:
  """The pipeline for the model's images, and what was assumed for it."""
  size = config.image_size
  own = source.config.get(OWN, {})
  if tuple(own.get("model", {}).get("image_size", ())) == size:
    return preprocessing.checked(own["preprocess"]), []
  text, assumptions = layout.preprocess(source, size, channels)
  return preprocessing.checked(text), assumptions
