"""The catalog against what the installed TFDS says of the same data sets."""

import re

import pytest
import tensorflow_datasets as tfds

from tests.data import tfds_sets
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.data.sources import vtab
from vit_jax.datasets import catalog, verify

OURS = ("digits", "imagenet21k")


def test_each_vtab_task_is_there_with_its_group():
  found = {n: f for n, f in catalog.CATALOG.items() if n.startswith("vtab:")}
  assert [n.removeprefix("vtab:") for n in found] == [*vtab.TASKS]
  assert found["vtab:eurosat"].splits == {
    "train800": 800,
    "val200": 200,
    "train800val200": 1000,
    "test": 5400,
  }
  assert found["vtab:dsprites_location"].splits["test"] == 73_728
  assert found["vtab:smallnorb_azimuth"].splits["test"] == 12_150
  assert found["vtab:clevr_count"].splits["test"] == 15_000
  assert found["vtab:kitti_distance"].group == "VTAB structured"
  assert found["vtab:kitti_distance"].prepare == "tfds:kitti"


def test_every_fact_has_a_source_and_a_known_scheme():
  for name, of in catalog.CATALOG.items():
    assert of.name == name
    assert of.source or not of.splits
    if name != "real":
      base.scheme(name)
    assert not of.prepare or of.prepare in catalog.CATALOG


def of_tfds():
  names = [n.removeprefix("tfds:") for n in catalog.CATALOG if "tfds:" in n]
  return [n for n in names if not n.startswith(OURS)]


@pytest.mark.parametrize("name", of_tfds())
def test_tfds_builds_this_version_with_these_classes(name):
  of = catalog.facts(f"tfds:{name}")
  builder = tfds.builder(name, data_dir="nowhere", try_gcs=False)
  assert str(builder.version) == of.version
  label = dict(builder.info.features.items()).get("label")
  assert (label.num_classes if label else 0) == of.classes
  assert bool(of.by_hand) == bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)


@pytest.mark.parametrize(
  "name",
  [
    "cifar10",
    "cifar100",
    "oxford_iiit_pet",
    "dtd",
    "sun397/tfds",
    "svhn_cropped",
    "patch_camelyon",
    "clevr",
    "dmlab",
    "dsprites",
    "kitti",
    "smallnorb",
    "fashion_mnist",
  ],
)
def test_downloads_are_of_the_size_of_tfds_checksums(name):
  builder = tfds.builder(name, data_dir="nowhere", try_gcs=False)
  size = sum(of.size for of in builder.url_infos.values())
  assert catalog.facts(f"tfds:{name}").download == str(
    tfds.core.utils.Size(size)
  )


def test_names():
  assert catalog.facts("tfds:cifar10").classes == 10
  assert catalog.facts("tfds:cifar10:3.0.2") is catalog.facts("tfds:cifar10")
  assert catalog.facts("vtab:pets").classes == 37
  assert catalog.facts("real:/some/where/real.json").classes == 1000
  assert catalog.facts("tfds:nothing") is None
  assert catalog.facts("folder:cifar10") is None
  assert catalog.facts("synthetic") is None


def test_the_table_names_what_is_needed_by_hand():
  lines = catalog.text().splitlines()
  assert " ".join(lines[0].split()) == (
    "name group classes images download on disk prepare by hand"
  )
  row = next(li for li in lines if li.startswith("tfds:imagenet2012 "))
  assert "train 1,281,167, validation 50,000" in row
  assert "155.84 GiB" in row
  mark = re.search(r"\[\d+\]$", row)[0]
  note = next(li for li in lines if li.startswith(f"  {mark} "))
  assert "ILSVRC2012_img_train.tar" in note and "image-net.org" in note
  assert sum(li.startswith("vtab:") for li in lines) == 19
  assert not any(li.startswith("tfds:clevr") for li in lines)


def test_verify_compares_with_the_published_counts(digits_dir, tmp_path):
  assert "is whole: published counts" in verify.verify(
    "tfds:digits", digits_dir
  )
  few = {"image": tfds_sets.piece(0), "label": 1, "id": "0"}
  tfds_sets.write(tmp_path, "cifar10", {"train": [few] * 3, "test": [few]})
  with pytest.raises(errors.DataError) as caught:
    verify.verify("tfds:cifar10", str(tmp_path))
  assert str(caught.value) == (
    "tfds:cifar10: 2 faults: split train has 3 examples, not the published"
    " 50,000; split test has 1 examples, not the published 10,000"
  )


def test_other_major_versions_have_counts_of_their_own(monkeypatch, digits_dir):
  of = catalog.Facts("tfds:digits", "", 10, {"train": 3}, version="1.2.0")
  monkeypatch.setitem(catalog.CATALOG, "tfds:digits", of)
  with pytest.raises(
    errors.DataError, match="1,446 examples, not the published 3"
  ):
    verify.verify("tfds:digits", digits_dir)
  of = catalog.Facts("tfds:digits", "", 10, {"train": 3}, version="2.0.0")
  monkeypatch.setitem(catalog.CATALOG, "tfds:digits", of)
  assert "published" not in verify.verify("tfds:digits", digits_dir)
