"""Loads a checkpoint of any known format, own runs included."""

import os
from typing import Any

import flax.linen as nn

from vit_jax.checkpoints import manifest, published, runs
from vit_jax.checkpoints.loaded import Loaded
from vit_jax.core import errors, storage
from vit_jax.core.storage import AnyPath

_WEIGHTS = "model.safetensors"


def load(
  path: str | os.PathLike,
  model: nn.Module | None = None,
  *,
  resolution: int | tuple[int, int] | None = None,
  num_classes: int | None = None,
) -> Loaded:
  """Loads published weights or an own run; what they are is seen in them.

  Args:
    path: an npz or safetensors file, a folder with one (and a config.json, as
      timm and transformers lay it out), a run's workdir, its checkpoints or
      one step of them; of a bucket (gs://) a run alone.
    model: what the weights are for; None infers it from the file.
    resolution: size of the images in px, a side or (height, width); position
      embeddings are resized.
    num_classes: another number than the file's gets a new head, of zeros.

  Raises:
    CheckpointError: nothing that can be loaded, a damaged or hostile file, or
      tensors that do not fit the model; all of them are listed.
    ConfigError: the model cannot have this resolution.
  """
  place = storage.path(path)
  if not place.exists():
    raise errors.CheckpointError(f"{path} does not exist")
  change: dict[str, Any] = {}
  if resolution is not None:
    sides = (resolution,) * 2 if isinstance(resolution, int) else resolution
    change["image_size"] = tuple(sides)
  if num_classes is not None:
    change["num_classes"] = num_classes
  if is_run(place):
    return runs.load_run(place, model, change)
  file = _weights_in(place) or place
  if isinstance(file, storage.BucketPath):
    raise errors.CheckpointError(
      f"{file}: published weights are read from a disk alone; copy them first"
      f" (gcloud storage cp -r {path} FOLDER)"
    )
  return published.load_file(file, model, change)


def is_run(path: str | os.PathLike) -> bool:
  """Whether a folder is an own run's, or a part of one."""
  place = storage.path(path)
  return place.is_dir() and not _weights_in(place)


def _weights_in(place: AnyPath) -> AnyPath | None:
  """The file of weights in a folder that is no run's."""
  run = (place / "checkpoints").is_dir() or (place / manifest.FILE).exists()
  if run or not place.is_dir():
    return None
  if (place / _WEIGHTS).exists():
    return place / _WEIGHTS
  found = [*place.glob("*.safetensors"), *place.glob("*.npz")]
  if len(found) > 1:
    names = ", ".join(sorted(p.name for p in found))
    raise errors.CheckpointError(
      f"{place} has several files: {names}; name one"
    )
  return found[0] if found else None
