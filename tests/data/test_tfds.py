"""Opening data sets: what is there, what is refused, and what is imported."""

import io
import json
import pathlib
import pickle
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.data.sources import tfds as tfds_source


def open_digits(split, data_dir):
  return base.open_source("tfds:digits", split, data_dir)


def test_digits(digits_dir):
  source = open_digits("train", digits_dir)
  assert len(source) == 1446
  assert source.num_classes == 10
  assert source.class_names == tuple("0123456789")
  example = source[5]
  assert set(example) == {"image", "label", "id"}
  assert example["id"] == 5
  assert example["image"].startswith(b"\x89PNG")
  assert source.fingerprint == {
    "name": "digits",
    "version": "1.0.0",
    "split": "train",
    "shard_sizes": [["digits-train.array_record-00000-of-00001", 0, 1446]],
    "split_bytes": source.fingerprint["split_bytes"],
  }
  assert set(source.fingerprint["split_bytes"]) == {"train", "test"}
  assert json.loads(json.dumps(source.fingerprint)) == source.fingerprint


def test_parts_of_a_split(digits_dir):
  whole = open_digits("train", digits_dir)
  first = open_digits("train[:100]", digits_dir)
  rest = open_digits("train[100:]", digits_dir)
  assert len(first) == 100
  assert len(rest) == 1346
  assert rest[0]["image"] == whole[100]["image"]
  assert rest[0]["id"] == 0
  assert first.fingerprint != rest.fingerprint != whole.fingerprint


def test_pickled_sources_read_the_same(digits_dir):
  source = open_digits("test", digits_dir)
  source[0]
  again = pickle.loads(pickle.dumps(source))  # noqa: S301
  assert [again[i] for i in (0, 350)] == [source[i] for i in (0, 350)]
  assert again.fingerprint == source.fingerprint


def test_a_version_is_the_newest_that_is_whole(digits_dir, tmp_path):
  home = tmp_path / "digits"
  shutil.copytree(pathlib.Path(digits_dir) / "digits/1.0.0", home / "1.0.0")
  for version in ("1.0.2", "1.0.10"):
    shutil.copytree(home / "1.0.0", home / version)
    info = home / version / "dataset_info.json"
    info.write_text(
      info.read_text().replace('"version": "1.0.0"', f'"version": "{version}"')
    )
  (home / "2.0.0").mkdir()
  opened = open_digits("test", str(tmp_path))
  assert opened.fingerprint["version"] == "1.0.10"
  named = base.open_source("tfds:digits:1.0.2", "test", str(tmp_path))
  assert named.fingerprint["version"] == "1.0.2"


REFUSED = {
  ("tfd:digits", "train"): "name=tfd:digits: unknown scheme tfd; did you mean",
  ("digits", "train"): "name=digits: unknown scheme digits (a name is scheme:",
  ("tfds:", "train"): "name=tfds: must be tfds:NAME[/CONFIG][:VERSION]",
  ("tfds:../etc", "train"): "must be tfds:NAME[/CONFIG][:VERSION]",
  ("tfds:digits/../..", "train"): "must be tfds:NAME[/CONFIG][:VERSION]",
  ("tfds:digits:1", "train"): "must be tfds:NAME[/CONFIG][:VERSION]",
  ("tfds:digit", "train"): (
    "name=tfds:digit is not prepared in DIR (data sets there: digits;"
    " did you mean digits?); run: python -m vit_jax data prepare"
    " tfds:digit --data_dir=DIR"
  ),
  ("tfds:digits:2.0.0", "train"): "(versions there: 1.0.0); run: python -m",
  ("tfds:digits/big", "train"): "name=tfds:digits/big is not prepared in DIR",
  ("tfds:digits", "tran"): (
    "split=tran is not a split of tfds:digits; did you mean train? (splits:"
    " test, train, and parts of them such as train[:90%])"
  ),
  ("tfds:digits", ""): "split= is not a split of tfds:digits",
  ("tfds:digits", "train[:9"): "split=train[:9 is not a split of tfds:digits",
  ("tfds:digits", "train[:0%]"): "split=train[:0%] has no examples",
  (
    "synthetic:10x8x8x3",
    "train",
  ): "name=synthetic:10x8x8x3 must be synthetic:N",
  ("synthetic:0x8x8x3x5", "train"): "must be synthetic:NxHxWxCxCLASSES",
  ("synthetic", "trian"): "split=trian is unknown; did you mean train?",
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what, digits_dir):
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(*what, digits_dir)
  said = str(caught.value)
  assert REFUSED[what].replace("DIR", digits_dir) in said
  assert "\n" not in said


def test_a_config_is_asked_for(digits_dir, tmp_path):
  whole = pathlib.Path(digits_dir) / "digits/1.0.0"
  for name in ("big", "small"):
    shutil.copytree(whole, tmp_path / "digits" / name / "1.0.0")
  with pytest.raises(errors.ConfigError, match="has the configs big, small"):
    open_digits("train", str(tmp_path))


def test_commands_to_prepare_it_can_be_pasted(digits_dir, tmp_path):
  home = tmp_path / "Bob's data"
  shutil.copytree(digits_dir, home)
  with pytest.raises(errors.ConfigError) as absent:
    base.open_source("tfds:digit", "train", str(home))
  *_, folder = shlex.split(str(absent.value).partition("run: ")[2])
  assert folder == f"--data_dir={home}"
  info = home / "digits/1.0.0/dataset_info.json"
  info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
  with pytest.raises(errors.ConfigError) as other:
    open_digits("train", str(home))
  command = str(other.value).partition("another directory: ")[2]
  assert shlex.split(command)[-1] == f"--from_dir={home}"


def test_tfrecord_is_refused(digits_dir, tmp_path):
  shutil.copytree(digits_dir, tmp_path, dirs_exist_ok=True)
  info = tmp_path / "digits/1.0.0/dataset_info.json"
  info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
  said = "is in tfrecord, which cannot be read at random; convert it into"
  with pytest.raises(errors.ConfigError, match=said) as caught:
    open_digits("train", str(tmp_path))
  assert str(caught.value).endswith(f"--data_dir=DIR --from_dir={tmp_path}")


def test_reading_imports_no_tensorflow(digits_dir):
  code = f"""
import sys
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline
assert "tensorflow_datasets" not in sys.modules
source = base.open_source("tfds:digits", "train", {digits_dir!r})
batches = pipeline.train_batches(
  source, Pipeline.parse("decode(1)"), batch_size=4, seed=0, num_steps=2)
assert [b["image"].shape for b in pipeline.iterate(batches)] == [(4,8,8,1)] * 2
print([m for m in sys.modules if m.split(".")[0] == "tensorflow"])
"""
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert done.stdout == "[]\n"


PIXELS = b"\xff\xd8 pixels"
CLASSES = tfds.features.ClassLabel(num_classes=9)
COMMON = {
  "image": (tfds.features.Image(encoding_format="jpeg"), PIXELS),
  "label": (CLASSES, 7),
  "text": (tfds.features.Text(), "ä\x00".encode()),
  "labels": (tfds.features.Sequence(CLASSES), [8, 0, 3]),
}
OTHERS = {
  "numbers": (tfds.features.Sequence(np.float32), [0.5, 2.0]),
  "table": (
    tfds.features.Tensor(shape=(2, 2), dtype=np.int64),
    np.array([[1, 2], [3, 4]]),
  ),
  "flag": (tfds.features.Scalar(np.bool_), True),
  "seen": (
    tfds.features.LabeledImage(labels=2, shape=(None, None, 1)),
    PIXELS,
  ),
  "nested": (tfds.features.FeaturesDict({"a": CLASSES}), {"a": 3}),
}


@pytest.mark.parametrize("other", ["", *OTHERS])
def test_records_are_read_as_tfds_reads_them(other, monkeypatch):
  chosen = COMMON | ({other: OTHERS[other]} if other else {})
  features = tfds.features.FeaturesDict({k: f for k, (f, _) in chosen.items()})
  record = features.serialize_example(
    {k: io.BytesIO(v) if v is PIXELS else v for k, (_, v) in chosen.items()}
  )
  skip = tfds.decode.SkipDecoding()
  decoders = {k: skip for k, (_, v) in chosen.items() if v is PIXELS}
  wanted = features.deserialize_example_np(record, decoders=decoders)
  calls = []
  real = features.deserialize_example_np

  def counted(*args, **kwargs):
    calls.append(1)
    return real(*args, **kwargs)

  monkeypatch.setattr(features, "deserialize_example_np", counted)
  found = tfds_source._parser(features)(record)
  assert len(calls) == bool(other)
  assert found.keys() == wanted.keys()
  for key in wanted:
    assert type(found[key]) is type(wanted[key])
    np.testing.assert_array_equal(found[key], wanted[key])
