"""Where a file system cannot sync folders, TensorStore does not try to.

It would give up there. Nothing is lost: `manifest.write` syncs every file and
folder of a checkpoint before it counts, as far as the file system can.
"""

from typing import Any

from orbax.checkpoint._src.serialization import tensorstore_utils

from vit_jax.core import files, storage

# Orbax has no option for it. Every context that it makes is a copy of these.
_CONTEXTS: tuple[dict[str, Any], ...] = (
  tensorstore_utils._BASE_TS_CONTEXT,
  tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT,
)


def settle(folder: storage.AnyPath) -> None:
  """Lets TensorStore write below a folder without sync, if that lacks it."""
  if isinstance(folder, storage.BucketPath) or files.sync_folder(folder):
    return
  for context in _CONTEXTS:
    context["file_io_sync"] = False
