"""Size and SHA-256 of the files of a data set, noted when it is prepared."""

from collections.abc import Iterator, Mapping
import hashlib
import json
import pathlib
from typing import Any

from vit_jax.core import files

FILE = "vit_jax_checksums.json"


def of_file(file: pathlib.Path) -> dict[str, Any]:
  """{"bytes", "sha256"} of a file."""
  with file.open("rb") as f:
    digest = hashlib.file_digest(f, "sha256").hexdigest()
  return {"bytes": file.stat().st_size, "sha256": digest}


def record(
  directory: pathlib.Path, known: Mapping[str, dict[str, Any]] | None = None
) -> None:
  """Notes the checksums of every file in the folder of a TFDS version.

  Files with a known one, by file name, need not be read again.
  """
  known = known or {}
  sums = {
    name: known.get(name) or of_file(directory / name)
    for name in sorted(_names(directory))
  }
  files.write(directory / FILE, json.dumps(sums, indent=2) + "\n")


def faults(directory: pathlib.Path) -> Iterator[str]:
  """Files that are not as they were when the data set was prepared."""
  try:
    noted = dict(json.loads((directory / FILE).read_text()))
  except (OSError, ValueError) as e:
    yield f"{directory / FILE} cannot be read ({e})"
    return
  there = _names(directory)
  yield from (f"{directory / n} is missing" for n in sorted({*noted} - there))
  yield from (f"{directory / n} was added" for n in sorted(there - {*noted}))
  for name in sorted(there & {*noted}):
    if of_file(directory / name) != noted[name]:
      yield f"{directory / name} has another size or checksum than at first"


def _names(directory: pathlib.Path) -> set[str]:
  return {
    file.name
    for file in directory.iterdir()
    if file.is_file() and file.name != FILE and not file.name.startswith(".")
  }
