"""ImageNet's validation images with their reassessed labels."""

import hashlib
import json

import numpy as np
import pytest

from tests.data import tfds_sets
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.data.sources import real
from vit_jax.datasets import verify
from vit_jax.preprocess.pipeline import Pipeline

LABELS = [[7], [], [999, 3, 0], [5, 6]]
# TFDS stores the images in another order than their names'.
NUMBERS = [3, 1, 4, 2]


def image(number, name="ILSVRC2012_val_{:08}.JPEG"):
  return {
    "image": tfds_sets.piece(number),
    "label": number * 100,
    "file_name": name.format(number),
  }


@pytest.fixture(scope="module")
def imagenet_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp("imagenet")
  examples = {
    "train": [image(9, "n01440764_{}.JPEG")],
    "validation": [image(n) for n in NUMBERS],
  }
  tfds_sets.write(path, "imagenet2012", examples)
  (path / "real.json").write_text(json.dumps(LABELS))
  return path


def read(path, split="validation", file="real.json"):
  return base.open_source(f"real:{path / file}", split, str(path))


def test_labels_are_joined_by_file_name(imagenet_dir):
  source = read(imagenet_dir)
  assert len(source) == 4
  for i, number in enumerate(NUMBERS):
    example = source[i]
    assert set(example) == {"image", "label", "id"}
    assert example["image"] == tfds_sets.piece(number)
    labels = LABELS[number - 1]
    assert example["label"].tolist() == labels + [-1] * (3 - len(labels))
    assert example["label"].dtype == np.int32
    assert example["id"] == i
  assert source.num_classes == 1000
  assert source.class_names[0] == "n01440764"
  assert read(imagenet_dir, "validation[2:]")[0]["label"].tolist() == [5, 6, -1]


def test_a_batch_says_which_images_count(imagenet_dir):
  batches = pipeline.eval_batches(
    read(imagenet_dir), Pipeline.parse("decode|resize(8)"), batch_size=3
  )
  label = np.concatenate([b["label"] for b in batches])
  mask = np.concatenate([b["mask"] for b in batches])
  assert label.shape == (6, 3)
  # Image 2 has no label; the last two rows are padding.
  assert (label >= 0).any(axis=1)[mask == 1].tolist() == [
    True,
    True,
    True,
    False,
  ]


def test_the_fingerprint_holds_the_labels(imagenet_dir):
  other = imagenet_dir / "other.json"
  other.write_text(json.dumps([[7], [], [999, 3, 1], [5, 6]]))
  assert read(imagenet_dir).fingerprint == read(imagenet_dir).fingerprint
  changed = read(imagenet_dir, file="other.json").fingerprint
  assert changed != read(imagenet_dir).fingerprint
  assert changed["name"] == "real"
  assert str(imagenet_dir) not in str(changed)


def test_other_images_are_refused(imagenet_dir, tmp_path):
  with pytest.raises(errors.ConfigError, match="split=train must be of the"):
    read(imagenet_dir, "train")
  short = imagenet_dir / "short.json"
  short.write_text(json.dumps(LABELS[:3]))
  source = read(imagenet_dir, file="short.json")
  with pytest.raises(errors.DataError) as caught:
    source[2]
  assert "record 2: the image is named 'ILSVRC2012_val_00000004.JPEG', not" in (
    str(caught.value)
  )
  tfds_sets.write(
    tmp_path, "imagenet2012", {"validation": [image(1, "a\n{}.JPEG")]}
  )
  (tmp_path / "real.json").write_text("[[1]]")
  with pytest.raises(errors.DataError) as caught:
    read(tmp_path)[0]
  assert "is named 'a\\n1.JPEG', not ILSVRC" in str(caught.value)


HOSTILE = {
  "text": (b"<html>404</html>", "is not JSON"),
  "no text": (b"\xff\xfe\x00", "is not JSON"),
  "cut": (b"[[1], [2", "is not JSON"),
  "deep": (b"[" * 100_000, "is not JSON"),
  "a dict": (b'{"0": [1]}', "must be a list with a list for each image"),
  "nothing": (b"[]", "must be a list with a list for each image"),
  "numbers": (b"[1, 2]", "entry 0 is 1, not a list of classes within 0..999"),
  "a class too many": (b"[[0], [1000]]", "entry 1 is [1000], not a list"),
  "negative": (b"[[-1]]", "entry 0 is [-1], not a list of classes"),
  "not whole": (b"[[1.0]]", "entry 0 is [1.0], not a list of classes"),
  "true": (b"[[true]]", "entry 0 is [True], not a list of classes"),
  "huge": (b"[[1" + b"0" * 4000 + b"]]", "entry 0 is [1000"),
  "many digits": (b"[[1" + b"0" * 5000 + b"]]", "is not JSON"),
  "endless": (b"[[NaN]]", "entry 0 is [nan], not a list of classes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, tmp_path):
  data, said = HOSTILE[name]
  file = tmp_path / "real.json"
  file.write_bytes(data)
  with pytest.raises(errors.DataError) as caught:
    real.read(str(file))
  assert f"{file}" in str(caught.value)
  assert said in str(caught.value)
  assert len(str(caught.value)) < 400


def test_files_that_are_no_labels(tmp_path):
  with pytest.raises(errors.ConfigError, match=r"download real\.json from"):
    real.read(str(tmp_path / "real.json"))
  with pytest.raises(errors.ConfigError, match="cannot be read"):
    real.read(str(tmp_path))
  large = tmp_path / "large.json"
  with large.open("wb") as f:
    f.truncate((16 << 20) + 1)
  with pytest.raises(errors.DataError, match=r"it is not real\.json"):
    real.read(str(large))


def test_verify_knows_the_published_labels(imagenet_dir, monkeypatch):
  name = f"real:{imagenet_dir / 'real.json'}"
  # That there are 50,000 examples is of the published data set too.
  monkeypatch.setattr(verify.catalog, "facts", lambda name: None)
  with pytest.raises(errors.DataError, match=r"not the published real\.json"):
    verify.verify(name, str(imagenet_dir))
  digest = hashlib.sha256((imagenet_dir / "real.json").read_bytes())
  monkeypatch.setattr(real, "SHA256", digest.hexdigest())
  assert "the published labels" in verify.verify(name, str(imagenet_dir))
