"""Loads a checkpoint of any known format, own runs included."""

from collections.abc import Collection
import os
import pathlib
import shlex
from typing import Any

import flax.linen as nn

from vit_jax.checkpoints import (
  foreign,
  layouts,
  manifest,
  published,
  runs,
  shards,
)
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.core import errors, parts, storage
from vit_jax.core.storage import AnyPath

_WEIGHTS = "model.safetensors"


def load(
  path: str | os.PathLike,
  model: nn.Module | None = None,
  *,
  resolution: int | tuple[int, int] | None = None,
  num_classes: int | None = None,
  num_heads: int | None = None,
  layout: str = "",
  allow_parts: Collection[str] = (),
) -> Loaded:
  """Loads published weights or a run, and recognises which it is.

  Args:
    path: an npz or safetensors file, a folder with one (and a config.json, as
      timm and transformers lay it out), a run's workdir, its checkpoints or
      one step of them; from a bucket (gs://) only a run.
    model: the model that the weights are for; None infers it from the file.
    resolution: size of the images in px, a side or (height, width); position
      embeddings are resized.
    num_classes: another number than the file's gets a new head, of zeros.
    num_heads: H, for published weights that do not tell it: a fused qkv without
      a config.json beside it.
    layout: a format or a module of `layouts`; a name with a dot is a module of
      one's own, which is imported, see base.py. "" recognises the layout by
      the names of the tensors.
    allow_parts: modules and packages from outside of vit_jax that may be
      imported because the checkpoint names them; to import is to run them.

  Raises:
    CheckpointError: there is nothing that can be loaded, the file is damaged
      or hostile, or tensors do not fit the model; all of them are listed.
    ConfigError: the model cannot have this resolution, or there is no such
      layout.
  """
  candidates = layouts.named(layout) if layout else layouts.find_all()
  if "." in layout:
    # Who names a layout trusts the model that it is of.
    allow_parts = (*allow_parts, layout.partition(".")[0])
  if not storage.path(path).exists():
    raise errors.CheckpointError(f"{path} does not exist")
  change = _change(resolution, num_classes)
  file = weights(path)
  if file.is_dir():
    for name, value in (("layout", layout), ("num_heads", num_heads)):
      if value:
        raise errors.ConfigError(
          f"{name}={value} is for files of weights, and {path} is a run; leave"
          " it out"
        )
    with parts.only(allow_parts):
      return runs.load_run(file, model, change)
  if isinstance(file, storage.BucketPath):
    raise errors.CheckpointError(
      f"{file}: published weights can only be read from a disk; copy them first"
      f" (gcloud storage cp -r {shlex.quote(str(path))} FOLDER)"
    )
  with parts.only(allow_parts):
    return published.load_file(file, model, change, candidates, num_heads)


def _change(
  resolution: int | tuple[int, int] | None, num_classes: int | None
) -> dict[str, Any]:
  """The fields of the model's config that are to have other values."""
  change: dict[str, Any] = {}
  if resolution is not None:
    sides = (resolution,) * 2 if isinstance(resolution, int) else resolution
    change["image_size"] = tuple(sides)
  if num_classes is not None:
    change["num_classes"] = num_classes
  return change


def is_run(path: str | os.PathLike) -> bool:
  """Whether the path is a folder of a run, or a step of one."""
  return weights(path).is_dir()


def weights(path: str | os.PathLike) -> AnyPath:
  """The file of published weights in a folder; or the path, if it is none.

  Raises:
    CheckpointError: there are several such files, or only some that are not
      read here.
  """
  place = storage.path(path)
  run = (place / "checkpoints").is_dir() or (place / manifest.FILE).exists()
  if run or not place.is_dir():
    return place
  for name in (_WEIGHTS, f"model{shards.SUFFIX}"):
    if (place / name).exists():
      return place / name
  suffixes = {layout.container.SUFFIX for layout in layouts.find_all()}
  files = [file for x in sorted(suffixes) for file in place.glob(f"*{x}")]
  if files and all(shards.is_part(file) for file in map(pathlib.Path, files)):
    raise errors.CheckpointError(
      f"{place} has {len(files)} parts of a model, but no model{shards.SUFFIX}"
      " that names them all"
    )
  if len(files) > 1:
    names = ", ".join(sorted(p.name for p in files))
    raise errors.CheckpointError(
      f"{place} has several files: {names}; name one"
    )
  if not files and isinstance(place, pathlib.Path):
    foreign.check_folder(place)
  return files[0] if files else place
