"""The same shards by an Apache Beam pipeline, really run."""

import sys

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.datasets import planned, prepare

RUNNER = "--runner=DirectRunner --direct_num_workers=2"


def build(root, data_dir, beam=RUNNER, **options):
  return prepare.prepare(
    f"folder:{root}",
    str(data_dir),
    options=prepare.Options(out="mine", beam=beam, **options),
  )


@pytest.fixture
def root(tmp_path):
  return trees.classes(tmp_path / "images")


def files(data_dir):
  return {p.name: p.read_bytes() for p in (data_dir / "mine/1.0.0").iterdir()}


def test_a_pipeline_writes_the_same_files(root, tmp_path, monkeypatch):
  monkeypatch.setattr(planned, "_SHARD_BYTES", 5000)
  monkeypatch.setattr(planned, "_LEAST_ITEMS", 8)
  said = build(root, tmp_path / "beam")
  assert said.endswith("(examples: train 100)")
  build(root, tmp_path / "pool", beam="", workers=1)
  assert len(list((tmp_path / "beam").glob("**/*.array_record*"))) == 6
  assert files(tmp_path / "beam") == files(tmp_path / "pool")


def test_a_pipeline_that_fails(root, tmp_path):
  trees.write(root, {"ant/bad.png": b"<html>"})
  with pytest.raises(errors.DataError) as caught:
    build(root, tmp_path)
  assert "ant/bad.png" in str(caught.value)
  assert "\n" not in str(caught.value)
  # Goes on, without the pipeline as well.
  assert "1 of 101 left out" in build(
    root, tmp_path, beam="", workers=1, on_error="skip"
  )


@pytest.mark.parametrize(
  ("options", "said"),
  [
    ("--runner=NoRunner", "NoRunner"),
    ("--runer=DirectRunner", "--runer=DirectRunner"),
    ("direct", "direct"),
    ("--runner='", "No closing quotation"),
  ],
)
def test_wrong_options(options, said, root, tmp_path):
  with pytest.raises(errors.ConfigError) as caught:
    build(root, tmp_path, beam=options)
  assert said in str(caught.value)
  assert "\n" not in str(caught.value)


def test_without_beam(root, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  with pytest.raises(
    errors.ConfigError, match=r"pip install 'vit_jax\[beam\]'"
  ):
    build(root, tmp_path)
