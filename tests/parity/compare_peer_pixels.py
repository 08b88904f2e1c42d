"""Compares our pixels of photographs with timm's and transformers'.

    python tests/parity/compare_peer_pixels.py photos.npz pixels.npz

Both are files of `make_peer_pixels.py`. Prints a table with the differences in
levels of 255 for each case.
"""

import json
import sys

import numpy as np

from tests.checkpoints.test_preprocessing import prepare, read


def compare(photos, pixels):
  """Prints a row for each case."""
  with np.load(photos) as images, np.load(pixels) as theirs:
    print("| case | pipeline | largest | mean | values that differ |")
    print("| --- | --- | --- | --- | --- |")
    for name in [key for key in theirs if "/" not in key]:
      case = json.loads(str(theirs[name]))
      text, _ = read(case["family"], case["config"], case["size"])
      off = np.stack(
        [
          np.abs(
            prepare(text, images[key])[0] - theirs[f"{name}/{key}"].astype(int)
          )
          for key in images
        ]
      )
      print(
        f"| {name} | `{text}` | {off.max()} | {off.mean():.4f} |"
        f" {(off > 0).mean():.2%} |"
      )


if __name__ == "__main__":
  compare(*sys.argv[1:])
