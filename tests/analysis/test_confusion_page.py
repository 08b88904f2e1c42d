"""The page loads nothing, escapes every name, and fits many classes."""

import dataclasses
import re

import cv2
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
  mistake = confusion.Mistake(f"{BAD}/1.png", image, "class 2", BAD, 0.75)
  return confusion.Findings(
    name=f"val {BAD}",
    data=f"folder:{BAD}, split val",
    class_names=names,
    counts=counts,
    right=right,
    pairs={(0, 1): 2, (0, 2): 1},
    mistakes=[mistake, dataclasses.replace(mistake, label=BAD)][:mistakes],
    mean=0.9,
  )


def rows(page, heading):
  """The texts of the cells of the table below a heading."""
  table = page.partition(f"<h3>{heading}</h3>")[2].partition("</table>")[0]
  return [
    re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row)
    for row in table.split("<tr>")[1:]
  ]


@pytest.mark.parametrize("classes", [3, 50, 51, 21_843])
def test_the_page(classes):
  page = confusion_page.page(f"Mistakes of {BAD}", [findings(classes)])
  assert flags.is_page(page.encode()[:4096])
  assert BAD not in page
  assert "<h1>Mistakes of &lt;script&gt;x&amp;y</h1>" in page
  assert not re.search(r'(src|href)="(?!data:)', page)
  assert page.count("data:image/jpeg;base64,") == 2
  assert ('class="matrix"' in page) == (classes <= 50)
  assert "Most frequent confusions" in page
  assert len(page) < 200_000
  # Class 1 has no image; of the others 50 are shown, the worst first.
  shown = rows(page, "By class")[1:]
  assert len(shown) == min(50, classes - 1)
  assert shown[0] == ["&lt;script&gt;x&amp;y", "4", "25.0%"]
  assert all(share == "100.0%" for _, _, share in shown[1:])
  rest = classes - len(shown)
  assert f"Not shown: {rest:,} of {classes:,} classes" in page


def test_all_classes_are_shown():
  every = dataclasses.replace(findings(3), counts=np.array([4, 4, 4]))
  assert "Not shown" not in confusion_page.page("Mistakes", [every])


def test_what_it_says():
  other = dataclasses.replace(
    findings(3, 1),
    name="test",
    class_names=("ant", "bee", "cat"),
    counts=np.array([4, 0, 10]),
    right=np.array([1, 0, 10]),
  )
  page = confusion_page.page("Mistakes", [findings(3), other])
  assert page.count("<h2>") == 2
  page = page.partition("<h2>test</h2>")[2]
  assert "78.57% of 14 images are right" in page
  assert "over the classes, 90.00% on average" in page
  assert "The 1 of 3 wrong images" in page
  assert ">class 2, taken for <b>&lt;script" in page
  assert "(75.0%)" in page
  assert rows(page, "By class")[1:] == [
    ["ant", "4", "25.0%"],
    ["cat", "10", "100.0%"],
  ]
  # A row is a class, a column what it is taken for.
  assert rows(page, "What is taken for what") == [
    ["", "ant", "bee", "cat"],
    ["ant", "1", "2", "1"],
    ["bee", "", "", ""],
    ["cat", "", "", "10"],
  ]
  assert rows(page, "Most frequent confusions") == [
    ["class", "taken for", "images"],
    ["ant", "bee", "2"],
    ["ant", "cat", "1"],
  ]


def test_only_the_most_frequent_confusions_are_listed():
  pairs = {(0, c): 99 - c for c in range(1, 40)}
  page = confusion_page.page(
    "", [dataclasses.replace(findings(60), pairs=pairs)]
  )
  listed = rows(page, "Most frequent confusions")[1:]
  assert [int(count) for _, _, count in listed] == [*range(98, 68, -1)]


def test_a_perfect_model_has_no_mistakes():
  perfect = dataclasses.replace(findings(3, 0), pairs={})
  page = confusion_page.page("Mistakes", [perfect])
  assert "<p>None.</p>" in page
  assert "Most frequent" not in page


@pytest.mark.parametrize(
  ("shape", "want"),
  [
    # The longer side is cut to 160 px, and nothing is enlarged.
    ((1000, 500, 3), (160, 80, 3)),
    ((5, 2000, 3), (1, 160, 3)),
    ((8, 12, 3), (8, 12, 3)),
    ((8, 16, 1), (8, 16, 3)),
  ],
)
def test_pictures_are_small(shape, want):
  image = np.zeros(shape, np.uint8)
  # The left half is red, or white.
  image[:, : shape[1] // 2, 0] = 255
  data = np.frombuffer(confusion_page._jpeg(image), np.uint8)
  read = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
  assert read.shape == want
  red, _, blue = read[0, 0].astype(int)
  assert red > 200
  assert (blue < 60) == (shape[2] == 3)
  assert read[0, -1].max() < 60
