"""Images with several labels each, from a manifest (the form of JFT).

A name is "multilabel:PATH[@CONFIDENCE]"; labels of less confidence are left
out. An example that loses all its labels stays, with none. See
data/manifest.py for manifests.
"""

from vit_jax.core import errors
from vit_jax.data import index, paths
from vit_jax.data.sources import folder

# The last name of the manifest, with the confidence.
placeless = paths.last_name


def open_source(rest: str, split: str, data_dir: str) -> folder.Files:
  """A part of the images that a manifest lists."""
  return folder.Files(_index(rest), f"multilabel:{rest}", split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits of a manifest."""
  return tuple(_index(rest).splits)


def _index(rest: str) -> index.Index:
  path, at, text = rest.rpartition("@")
  if not at or text.endswith((".csv", ".jsonl")):
    return folder.open_index("multilabel", rest)
  try:
    confidence = float(text)
  except ValueError:
    confidence = -1.0
  if not 0.0 <= confidence <= 1.0:
    raise errors.ConfigError(
      f"{{name}}: the confidence {text} must be a number from 0 to 1",
      {"name": f"multilabel:{rest}"},
    )
  return folder.open_index("multilabel", path, min_confidence=confidence)
