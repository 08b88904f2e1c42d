"""The page loads nothing, escapes every name, and fits many classes."""

import dataclasses
import re

import numpy as np
import pytest

from vit_jax.analysis import confusion, confusion_page
from vit_jax.cli import flags

BAD = "<script>x&y"


def findings(classes, mistakes=2):
  names = (BAD, *(f"class {c}" for c in range(1, classes)))
  counts = np.full(classes, 4)
  counts[1] = 0
  right = counts.copy()
  right[0] = 1
  image = np.zeros((300, 200, 3), np.uint8)
  mistake = confusion.Mistake(f"{BAD}/1.png", image, BAD, "class 1", 0.75)
  return confusion.Findings(
    name="val",
    data="folder:x, split val",
    class_names=names,
    counts=counts,
    right=right,
    pairs={(0, 1): 2, (0, 2): 1},
    mistakes=[mistake] * mistakes,
    mean=0.9,
  )


@pytest.mark.parametrize("classes", [3, 50, 51, 21_843])
def test_the_page(classes):
  page = confusion_page.page("Mistakes of run", [findings(classes)])
  assert flags.is_page(page.encode()[:4096])
  assert BAD not in page
  assert "&lt;script&gt;x&amp;y" in page
  assert not re.search(r'(src|href)="(?!data:)', page)
  assert page.count("data:image/jpeg;base64,") == 2
  assert ('class="matrix"' in page) == (classes <= 50)
  assert "Most frequent confusions" in page
  # The class that is worst comes first.
  assert page.index("25.0%") < page.index("100.0%")
  assert len(page) < 200_000


def test_a_perfect_model_has_no_mistakes():
  perfect = dataclasses.replace(findings(3, 0), pairs={})
  page = confusion_page.page("Mistakes", [perfect])
  assert "<p>None.</p>" in page
  assert "Most frequent" not in page


def test_pictures_are_small():
  data = confusion_page._jpeg(np.zeros((1000, 500, 3), np.uint8))
  assert len(data) < 2000
  assert confusion_page._jpeg(np.zeros((8, 8, 1), np.uint8))
