"""Writes the table of image files and what becomes of each, as Markdown.

usage: python -m tests.preprocess.hostile_table > results/data/hostile_files.md
"""

import numpy as np

from tests.preprocess import image_files
from vit_jax.core import errors
from vit_jax.preprocess import decode

_HEAD = """\
# Image files of every kind

What `decode` makes of each file of `tests/preprocess/image_files.py`: an image,
with the largest difference of a value from the picture that was encoded, or an
error that names the record. `python -m tests.preprocess.hostile_table` makes
this table, `tests/preprocess/test_decode.py` asserts each row.
"""


def outcome(data: bytes) -> str | np.ndarray:
  """The pixels of a file, or the text of its error."""
  example = {"image": data, "label": 0, "id": 7}
  try:
    return decode.Decode()(example, np.random.default_rng(0))["image"]
  except errors.DataError as e:
    return str(e)


def table() -> str:
  """Both tables."""
  lines = [_HEAD, "| file | bytes | read as | off by at most |"]
  lines += ["| --- | ---: | --- | ---: |"]
  for name, (data, wanted, _) in image_files.READ.items():
    image = outcome(data)
    shape = " x ".join(map(str, image.shape))
    off = np.abs(image.astype(int) - wanted).max()
    lines.append(f"| {name} | {len(data):,} | {image.dtype} {shape} | {off} |")
  lines += ["", "| file | bytes | error |", "| --- | ---: | --- |"]
  for name, (data, _) in image_files.REFUSED.items():
    lines.append(f"| {name} | {len(data):,} | {outcome(data)} |")
  read, refused = len(image_files.READ), len(image_files.REFUSED)
  return "\n".join([*lines, "", f"{read} are read, {refused} are refused."])


if __name__ == "__main__":
  print(table())
