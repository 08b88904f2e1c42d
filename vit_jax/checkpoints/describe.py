"""What a checkpoint says about its model; starts no device.

Several processes may find out together what to train before any of them starts
its devices, which all have to do at the same time.
"""

from collections.abc import Collection
import dataclasses
import os
from typing import Any

from vit_jax.checkpoints import loading, runs
from vit_jax.core import errors, parts, storage


@dataclasses.dataclass(frozen=True)
class Description:
  """A model's config, and the pipeline and channels of its images."""

  config: Any
  preprocess: str
  channels: int


def describe(
  path: str | os.PathLike,
  *,
  layout: str = "",
  allow_parts: Collection[str] = (),
) -> Description:
  """The description of published weights or a run; see `loading.load`."""
  if not storage.path(path).exists():
    raise errors.CheckpointError(f"{path} does not exist")
  if loading.is_run(path) and not layout:
    with parts.only(allow_parts):
      return Description(*runs.describe_run(storage.path(path)))
  loaded = loading.load(path, layout=layout, allow_parts=allow_parts)
  config: Any = loaded.model.config  # type: ignore[attr-defined]
  return Description(config, loaded.preprocess, loaded.channels)
