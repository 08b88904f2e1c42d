"""What data sets are said to hold, and their contact sheets."""

import json

import cv2
import numpy as np
import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.datasets import describe


def test_digits(digits_dir):
  facts = describe.describe("tfds:digits", digits_dir)
  assert json.loads(json.dumps(facts)) == facts
  assert {k: v["examples"] for k, v in facts["splits"].items()} == {
    "train": 1446,
    "test": 351,
  }
  test = facts["splits"]["test"]
  counts = [38, 40, 38, 40, 33, 39, 25, 27, 34, 37]
  assert test["per_class"] == {str(c): n for c, n in enumerate(counts)}
  assert (test["labels_seen"], test["sampled"]) == (351, 351)
  assert test["height"] == test["width"] == [8, 8, 8]
  assert describe.text(facts).splitlines()[5:] == [
    "tfds:digits 1.0.0, split test: 351 examples of 10 classes",
    "  classes with examples: 10; from 25 (6) over 37 (median) to 40 (1)",
    "  height: 8 to 8 px, median 8",
    "  width: 8 to 8 px, median 8",
    f"  bytes: {test['bytes'][0]} to {test['bytes'][2]},"
    f" median {test['bytes'][1]}",
  ]
  assert "median 8 (of 1,000 examples)" in describe.text(facts)


def test_a_folder(tmp_path):
  trees.classes(tmp_path / "train", {"ant": 3, "bee": 9})
  trees.classes(tmp_path / "val", {"bee": 2})
  wide = cv2.imencode(".png", np.zeros((10, 30, 3), np.uint8))[1].tobytes()
  trees.write(
    tmp_path,
    {
      "train/ant/wide.png": wide,
      "train/ant/bad.png": b"no image",
      "train/ant/notes.txt": b"",
    },
  )
  facts = describe.describe(f"folder:{tmp_path}")
  train, val = (facts["splits"][s] for s in ("train", "val"))
  assert train["per_class"] == {"ant": 5, "bee": 9}
  assert val["per_class"] == {"bee": 2}
  assert train["height"] == [8, 8, 10]
  assert train["width"] == [8, 8, 30]
  assert len(train["unreadable"]) == 1
  said = describe.text(facts)
  assert "train/ant/bad.png: is no JPEG" in said
  assert "ignored: 1 other files, such as train/ant/notes.txt" in said


def test_several_labels(tmp_path):
  trees.write(tmp_path, {"0.png": trees.png(0), "1.png": trees.png(1)})
  (tmp_path / "list.csv").write_text("path,labels\n0.png,a|b\n1.png,b\n")
  name = f"multilabel:{tmp_path / 'list.csv'}"
  facts = describe.describe(name)
  assert facts["splits"]["train"]["per_class"] == {"a": 1, "b": 2}
  mixed = describe.describe(f"mix:1*{name}+1*{name}")
  assert mixed["splits"]["train"]["per_class"] == {"a": 2, "b": 4}


def red_and_blue(root):
  for i, (name, color) in enumerate(
    (("red", (255, 0, 0)), ("blue", (0, 0, 255)))
  ):
    image = np.full((20, 40, 3), color, np.uint8)[..., ::-1]
    png = cv2.imencode(".png", image)[1].tobytes()
    trees.write(root, {f"{name}/{k}.png": png + b"x" * i for k in range(7)})
  return base.open_source(f"folder:{root}", "train")


def test_a_contact_sheet(tmp_path):
  source = red_and_blue(tmp_path)
  sheet = describe.contact_sheet(source)
  # Fourteen tiles, ten a row, 128 px and 20 px of text.
  assert sheet.shape == (2 * 148, 1280, 3)
  assert sheet.dtype == np.uint8
  centres = [
    sheet[64 + 148 * (k // 10), 64 + 128 * (k % 10)] for k in range(15)
  ]
  # Sorted by label: the seven blue ones first.
  assert [c.tolist() for c in centres] == (
    [[0, 0, 255]] * 7 + [[255, 0, 0]] * 7 + [[255, 255, 255]]
  )
  # Wide images keep their shape.
  assert (sheet[20, :128] == 255).all()
  texts = [
    sheet[148 * (k // 10) + 128 :][:20, 128 * (k % 10) :][:, :128]
    for k in (0, 6, 7, 14)
  ]
  assert all((t < 128).any() for t in texts[:3])
  np.testing.assert_array_equal(texts[0], texts[1])
  assert not np.array_equal(texts[0], texts[2])
  assert (texts[3] == 255).all()


def test_a_sheet_of_what_cannot_be_read(tmp_path):
  trees.write(tmp_path, {"a/0.png": b"no image", "a/1.png": trees.png(1)})
  sheet = describe.contact_sheet(
    base.open_source(f"folder:{tmp_path}", "train")
  )
  assert sheet[64, 64].tolist() == [200, 0, 0]


def test_a_sheet_has_at_most_sixty(digits_dir):
  source = base.open_source("tfds:digits", "train", digits_dir)
  assert describe.contact_sheet(source).shape == (6 * 148, 1280, 3)


def test_a_sheet_has_every_class(tmp_path):
  trees.classes(tmp_path, {"ant": 300, "bee": 2, "cat": 50})
  source = base.open_source(f"folder:{tmp_path}", "train")
  chosen = describe._chosen(source)
  assert len({*chosen}) == 60
  labels = [source.label(i) for i in chosen]
  assert [labels.count(c) for c in range(3)] == [29, 2, 29]


def test_writing_a_sheet(tmp_path):
  source = red_and_blue(tmp_path / "x")
  file = tmp_path / "sheet.png"
  describe.write_sheet(f"folder:{tmp_path / 'x'}", "train", str(file))
  written = cv2.imread(str(file))[..., ::-1]
  np.testing.assert_array_equal(written, describe.contact_sheet(source))
  with pytest.raises(errors.StorageError, match="cannot be written"):
    describe.write_sheet(
      f"folder:{tmp_path / 'x'}", "train", str(tmp_path / "no/sheet.png")
    )
  other = tmp_path / "x/red/0.txt"
  other.write_text("not a picture")
  with pytest.raises(errors.ConfigError, match="exists and is not a PNG"):
    describe.write_sheet(f"folder:{tmp_path / 'x'}", "train", str(other))
  assert other.read_text() == "not a picture"
