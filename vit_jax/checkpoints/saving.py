"""Writes a loaded checkpoint in any format that has such a model."""

from collections.abc import Mapping
import dataclasses
import json
import os
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints import (
  adapt,
  inputs,
  keys,
  layouts,
  loaded as loaded_lib,
  loading,
  npz,
  safetensors,
  tensors,
)
from vit_jax.checkpoints.layout import NPZ, Layout
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.core import config as config_lib, errors, storage

FORMATS = ("npz", "timm", "hf", "orbax")
_WEIGHTS = "model.safetensors"


@dataclasses.dataclass(frozen=True)
class Saved:
  """What was written.

  Attributes:
    path: the file, or the run's folder.
    format: its layout, such as "big_vision" for "npz".
    notes: what is said in another way there, or is slightly different.
  """

  path: storage.AnyPath
  format: str
  notes: tuple[str, ...] = ()


def save(checkpoint: Loaded, to: str, out: str | os.PathLike) -> Saved:
  """Writes a checkpoint; what is there is replaced when all is written.

  Args:
    checkpoint: what `load` gave, with the parameters that are to be saved.
    to: "npz" is the layout of google-research's code for this model; "timm"
      and "hf" are model.safetensors and config.json in a folder, or a file
      that ends in .safetensors, with config.json beside it; "orbax" is a
      workdir with one step, as of an own run.
    out: the file or folder; gs:// for "orbax" alone.

  Raises:
    ConfigError: no such format.
    CheckpointError: the format has no such model; says why.
    StorageError: it cannot be written.
  """
  errors.check_one_of("to", to, FORMATS)
  path = storage.path(out)
  if to == "orbax":
    return _save_run(checkpoint, path)
  if isinstance(path, storage.BucketPath):
    raise errors.ConfigError(
      f"out={out}: {to} is written to a disk alone; name a file of this"
      " machine, then copy it (gcloud storage cp)"
    )
  config = checkpoint.model.config  # type: ignore[attr-defined]
  arrays = loaded_lib.flat(checkpoint.variables)
  layout, config, arrays, notes = _fitting(checkpoint, to, config, arrays)
  shapes = {name: array.shape for name, array in arrays.items()}
  rules = layout.rules(config)
  if lost := set(shapes) - {n for rule in rules for n, _ in rule.our_names()}:
    raise errors.CheckpointError(
      f"{layout.format} has no place for {', '.join(sorted(lost))}"
    )
  theirs = keys.save(rules, arrays)
  notes += layout.notes(config)
  if layout.container == NPZ:
    if notes:
      # Other programs pass over it; here it makes the outputs the same.
      text = json.dumps(_own(checkpoint, config)).encode()
      theirs[loaded_lib.OWN] = tensors.of_array(np.frombuffer(text, np.uint8))
    npz.write(path, theirs)
    return Saved(path, layout.format, tuple(notes))
  if path.suffix != ".safetensors":
    path /= _WEIGHTS
  safetensors.write(path, theirs)
  for name, content in _beside(checkpoint, layout, config).items():
    with tensors.replacing(path.with_name(name)) as f:
      f.write((json.dumps(content, indent=2) + "\n").encode())
  return Saved(path, layout.format, tuple(notes))


def convert(
  source: str | os.PathLike, to: str, out: str | os.PathLike, **kwargs: Any
) -> tuple[Loaded, Saved]:
  """Loads a checkpoint, with the arguments of `load`, and saves it."""
  checkpoint = loading.load(source, **kwargs)
  return checkpoint, save(checkpoint, to, out)


def _fitting(
  checkpoint: Loaded, to: str, config: Any, arrays: Mapping[str, Any]
) -> tuple[Layout, Any, dict[str, Any], list[str]]:
  """The layout, and the model in a form that it can hold."""
  kind = config_lib.module_for(config).__name__.rpartition(".")[-1]
  candidates = [
    layout
    for layout in layouts.ALL
    if layout.model == kind and to in (layout.container, layout.format)
  ]
  # Where it came from first: that gives back the same names.
  candidates.sort(key=lambda x: x.format != checkpoint.source_format)
  for layout in candidates:
    if not layout.objections(config):
      return layout, config, dict(arrays), []
  objections = [
    f"{layout.format}: {', '.join(layout.objections(config))}"
    for layout in candidates
  ]
  if kind in ("vit", "hybrid"):
    plain, arrays = adapt.learned_positions(config, dict(arrays))
    for layout in candidates:
      if not layout.objections(plain):
        note = "position embeddings are written as one learned table"
        return layout, plain, arrays, [note]
  raise errors.CheckpointError(
    f"{to} has no such {kind}"
    + (f" ({'; '.join(objections)})" if objections else "")
  )


def _beside(
  checkpoint: Loaded, layout: Layout, config: Any
) -> dict[str, dict[str, Any]]:
  """The JSON files beside the weights."""
  said = layout.describe(config)
  size, labels = config.image_size, checkpoint.labels
  files = {"config.json": said}
  if layout.format == "timm":
    hub = inputs.to_timm(checkpoint.preprocess, size)
    said["pretrained_cfg"] = hub | {"num_classes": config.num_classes}
    if labels:
      said["label_names"] = list(labels)
  else:
    names = labels or [f"LABEL_{i}" for i in range(config.num_classes)]
    said["id2label"] = {str(i): name for i, name in enumerate(names)}
    said["label2id"] = {name: i for i, name in enumerate(names)}
    said["num_labels"] = config.num_classes
    files["preprocessor_config.json"] = inputs.to_hf(
      checkpoint.preprocess, size
    )
  said[loaded_lib.OWN] = _own(checkpoint, config)
  return files


def _own(checkpoint: Loaded, config: Any) -> dict[str, Any]:
  """What other formats have no words for."""
  return {"model": _plain(config), "preprocess": checkpoint.preprocess}


def _plain(config: Any) -> dict[str, Any]:
  """A model's config as JSON."""
  fields = config_lib.to_config_dict(config)
  return json.loads(config_lib.to_json(fields))


def _save_run(checkpoint: Loaded, path: storage.AnyPath) -> Saved:
  # Orbax takes seconds to import, which the other formats need not wait for.
  from vit_jax.checkpoints import native

  config = checkpoint.model.config  # type: ignore[attr-defined]
  name = config_lib.module_for(config).__name__.rpartition(".")[-1]
  stats = checkpoint.batch_stats
  state = {
    "params": checkpoint.params,
    "task_state": {loaded_lib.STATS: stats} if stats else {},
  }
  meta = {
    "config": {"model": {"name": name, **_plain(config)}},
    "preprocess": checkpoint.preprocess,
    "labels": list(checkpoint.labels),
    "converted_from": checkpoint.source_format,
  }
  with native.Checkpointer(path / "checkpoints", keep=1) as saved:
    saved.save(0, jax.device_put(state), meta)
  return Saved(path, "orbax")
