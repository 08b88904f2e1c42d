"""Writes a loaded checkpoint in any format that has such a model."""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import tempfile
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
  manifest,
  npz,
  safetensors_io,
  tensors,
)
from vit_jax.checkpoints.layout import NPZ, Layout
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.core import (
  config as config_lib,
  errors,
  files,
  owners,
  storage,
)

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
  path = _checked_place(to, out)
  if to == "orbax":
    return _save_run(checkpoint, path)
  # A bucket was refused.
  file = pathlib.Path(path)
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
    npz.write(file, theirs)
    return Saved(file, layout.format, tuple(notes))
  if file.suffix != ".safetensors":
    file /= _WEIGHTS
  safetensors_io.write(file, theirs)
  for name, content in _beside(checkpoint, layout, config).items():
    files.write(file.with_name(name), json.dumps(content, indent=2) + "\n")
  return Saved(file, layout.format, tuple(notes))


def convert(
  source: str | os.PathLike, to: str, out: str | os.PathLike, **kwargs: Any
) -> tuple[Loaded, Saved]:
  """Loads a checkpoint, with the arguments of `load`, and saves it."""
  path = _checked_place(to, out)
  if to != "orbax":
    _refuse_itself(storage.path(source), path)
  checkpoint = loading.load(source, **kwargs)
  return checkpoint, save(checkpoint, to, out)


def _checked_place(to: str, out: str | os.PathLike) -> storage.AnyPath:
  """The path of `out`, which may be written in this format.

  Raises:
    ConfigError: no such format, or the place belongs to something else.
  """
  errors.check_one_of("to", to, FORMATS)
  path = storage.path(out)
  if to == "orbax":
    owners.check_folder("out", path, but=owners.RUN)
    return path
  if isinstance(path, storage.BucketPath):
    raise errors.ConfigError(
      f"out={out}: {to} is written to a disk alone; name a file of this"
      " machine, then copy it (gcloud storage cp)"
    )
  if path.is_dir() or not path.exists():
    owners.check_folder("out", path)
  if to == "npz":
    owners.check_file(
      "out", path, lambda head: head[:2] == b"PK", "an npz file"
    )
  elif path.suffix == ".safetensors" or path.is_dir():
    folder = path if path.is_dir() else path.parent
    for name in ("config.json", "preprocessor_config.json"):
      owners.check_file(
        "out",
        folder / name,
        lambda _: _is_converted_here(folder / "config.json"),
        "of a converted checkpoint",
      )
  return path


def _is_converted_here(config: pathlib.Path) -> bool:
  """Whether this config.json was written beside weights by `save`."""
  try:
    return loaded_lib.OWN in json.loads(config.read_bytes())
  except (OSError, ValueError, TypeError):
    return False


def _refuse_itself(source: storage.AnyPath, path: storage.AnyPath) -> None:
  for ours in (path, path / _WEIGHTS):
    for theirs in (source, source / _WEIGHTS):
      if ours.is_file() and theirs.is_file() and os.path.samefile(ours, theirs):
        raise errors.ConfigError(
          f"out={path} is the checkpoint itself, which would be lost; name"
          " another place"
        )


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
  if isinstance(path, storage.BucketPath):
    if path.is_dir():
      raise errors.ConfigError(
        f"out={path} is not empty, and nothing can be renamed in a bucket; name"
        " another folder"
      )
    _write_step(path / "checkpoints", state, meta)
    return Saved(path, "orbax")
  with files.locked(path / ".lock") as lock:
    if lock is None:
      raise errors.ConfigError(
        f"out={path} is in use by another process; name another folder"
      )
    _replace_run(path, state, meta)
  return Saved(path, "orbax")


def _replace_run(
  path: pathlib.Path, state: dict[str, Any], meta: dict[str, Any]
) -> None:
  """Puts one step into a folder that has no checkpoints but converted ones."""
  home = path / "checkpoints"
  if home.exists() and not _is_converted(home):
    raise errors.ConfigError(
      f"out={path} is a run that was trained, which is not replaced; name"
      " another folder"
    )
  with tempfile.TemporaryDirectory(dir=path, prefix=".converted-") as work:
    new = pathlib.Path(work) / "new"
    _write_step(new, state, meta)
    if home.exists():
      home.rename(pathlib.Path(work) / "old")
    new.rename(home)


def _is_converted(home: pathlib.Path) -> bool:
  """Whether these checkpoints came from a conversion and nothing else."""
  if any(name.isdigit() and name != "0" for name in os.listdir(home)):
    return False
  try:
    meta = manifest.read(home / "0")["meta"]
  except errors.CheckpointError:
    return False
  return "converted_from" in meta


def _write_step(
  folder: storage.AnyPath, state: dict[str, Any], meta: dict[str, Any]
) -> None:
  # Orbax takes seconds to import, which the other formats need not wait for.
  from vit_jax.checkpoints import native

  with native.Checkpointer(folder, keep=1) as saved:
    saved.save(0, jax.device_put(state), meta)
