"""Images with several labels each, from a manifest (the form of JFT)."""

from vit_jax.core import errors
from vit_jax.data import files, index


def open_source(rest: str, split: str, data_dir: str) -> files.Files:
  """ "PATH[@CONFIDENCE]": labels of less confidence are left out.

  For manifests see data/manifest.py. An example whose labels are all left out
  stays, with none.
  """
  del data_dir
  return files.Files(_index(rest), f"multilabel:{rest}", split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits of a manifest."""
  del data_dir
  return tuple(_index(rest).splits)


def _index(rest: str) -> index.Index:
  path, at, text = rest.rpartition("@")
  if not at or text.endswith((".csv", ".jsonl")):
    return files.open_index("multilabel", rest)
  try:
    least = float(text)
  except ValueError:
    least = -1.0
  if not 0.0 <= least <= 1.0:
    raise errors.ConfigError(
      f"{{name}}: the confidence {text} must be a number from 0 to 1",
      {"name": f"multilabel:{rest}"},
    )
  return files.open_index("multilabel", path, min_confidence=least)
