"""The digits builder, and building data sets."""

import dataclasses

import pytest
import tensorflow_datasets as tfds

from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.datasets import catalog, prepare
from vit_jax.preprocess.pipeline import Pipeline


def read(split, data_dir):
  source = base.open_source("tfds:digits", split, data_dir)
  batches = pipeline.eval_batches(
    source, Pipeline.parse("decode(1)"), batch_size=len(source)
  )
  return batches[0]


def test_preparing_twice_changes_nothing(digits_dir):
  said = prepare.prepare("tfds:digits", digits_dir)
  assert said == (
    f"tfds:digits is already in {digits_dir}/digits/1.0.0"
    " (examples: train 1446, test 351)"
  )


REFUSED = {
  "synthetic": "name=synthetic needs no preparation",
  "tfds:digit": "neither a data set of TFDS nor one of ours; did you mean dig",
  "tfds:../x": "name=tfds:../x must be tfds:NAME[/CONFIG][:VERSION]",
  "tfds:digits:9.9.9": "name=tfds:digits:9.9.9: Dataset digits cannot be loade",
  "tfds:digits/big": "name=tfds:digits/big: BuilderConfig big not found",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
  with pytest.raises(errors.ConfigError) as caught:
    prepare.prepare(name, str(tmp_path))
  assert REFUSED[name] in str(caught.value)
  assert "\n" not in str(caught.value)


def test_an_unreachable_host_is_one_line(tmp_path, monkeypatch):
  def fail(self, urls):
    raise ConnectionError("no route\nto host")

  monkeypatch.setattr(
    tfds.download.DownloadManager, "download_and_extract", fail
  )
  with pytest.raises(errors.DataError) as caught:
    prepare.prepare("tfds:fashion_mnist", str(tmp_path))
  assert str(caught.value).startswith("tfds:fashion_mnist cannot be built in")
  assert "no route to host" in str(caught.value)
  with pytest.raises(errors.ConfigError, match="is not prepared"):
    base.open_source("tfds:fashion_mnist", "train", str(tmp_path))


def test_size_is_said_before_and_counts_are_checked_after(
  tmp_path, monkeypatch, capsys
):
  facts = catalog.Facts(
    "tfds:digits",
    "",
    10,
    {"train": 1446, "test": 351},
    version="1.2.0",
    disk="90 kB",
  )
  monkeypatch.setattr(catalog, "CATALOG", {"tfds:digits": facts})
  prepare.prepare("tfds:digits", str(tmp_path / "right"))
  said = capsys.readouterr().err.splitlines()
  assert said[0] == (
    "tfds:digits downloads nothing and takes 90 kB in"
    f" {tmp_path}/right/digits/1.0.0"
  )
  wrong = dataclasses.replace(facts, splits={"test": 352})
  monkeypatch.setattr(catalog, "CATALOG", {"tfds:digits": wrong})
  with pytest.raises(errors.DataError, match="351 examples, not the publi"):
    prepare.prepare("tfds:digits", str(tmp_path / "wrong"))


def test_a_bucket_is_no_place_to_prepare_in():
  with pytest.raises(errors.ConfigError, match=r"data_dir=gs://b/d must be on"):
    prepare.prepare("tfds:digits", "gs://b/d")
