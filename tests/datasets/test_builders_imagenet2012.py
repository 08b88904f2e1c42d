"""ImageNet-1k from official-looking tar files and folders."""

import dataclasses

import pytest
import tensorflow_datasets as tfds

from tests.data import official, trees
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.datasets import prepare, verify, write
from vit_jax.datasets.builders import imagenet2012

WNIDS = ["n01440764", "n01443537", "n15075141"]
LABELS = dict(zip(WNIDS, (0, 1, 999), strict=True))


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
  return official.write_tars(tmp_path_factory.mktemp("official") / "tars")


@pytest.fixture(scope="module")
def facts(tars):
  return official.facts(tars)


def build(from_dir, data_dir, facts, **options):
  builder = imagenet2012.Builder(
    data_dir=str(data_dir), file_format="array_record"
  )
  recipe = imagenet2012.recipe(builder, str(from_dir), "raise", facts)
  return write.write(recipe, workers=1, **options)


def examples(data_dir, split):
  source = base.open_source("tfds:imagenet2012", split, str(data_dir))
  return [source[i] for i in range(len(source))]


def content(data_dir, split):
  return [
    (e["file_name"].decode(), e["image"], int(e["label"]))
    for e in examples(data_dir, split)
  ]


@pytest.fixture(scope="module")
def built(tars, facts, tmp_path_factory):
  data_dir = tmp_path_factory.mktemp("built")
  said = build(tars, data_dir, facts)
  assert said == (
    f"tfds:imagenet2012 written to {data_dir}/imagenet2012/5.1.0"
    " (examples: train 160, validation 20)"
  )
  return data_dir


def test_images_labels_and_names_are_those_of_the_files(built):
  wanted = [
    (name, data, LABELS[wnid])
    for wnid, files in official.train_files().items()
    for name, data in files.items()
  ]
  found = content(built, "train")
  assert sorted(found) == sorted(wanted)
  # Shuffled, not class by class.
  assert len({label for _, _, label in found[:20]}) == 3
  wanted = [
    (name, data, LABELS[wnid])
    for (name, data), wnid in zip(
      official.validation_files().items(), official.VALIDATION, strict=True
    )
  ]
  assert sorted(content(built, "validation")) == wanted


def test_the_data_set_is_tfds_own(built):
  info = tfds.builder("imagenet2012", data_dir=str(built)).info
  assert str(info.version) == "5.1.0"
  assert {k: v.num_examples for k, v in info.splits.items()} == {
    "train": 160,
    "validation": 20,
  }
  source = base.open_source("tfds:imagenet2012", "train", str(built))
  assert source.num_classes == 1000
  assert [source.class_names[i] for i in (0, 1, 999)] == WNIDS
  # Three classes are not the published data set, and `verify` says so.
  with pytest.raises(errors.DataError, match="2 faults: split train has 160 "):
    verify.verify("tfds:imagenet2012", str(built))


def folders(tmp_path, val):
  return trees.write(
    tmp_path / "folders",
    {
      **{
        f"train/{wnid}/{name}": data
        for wnid, files in official.train_files().items()
        for name, data in files.items()
      },
      **val,
    },
  )


def test_folders_give_the_same(built, facts, tmp_path):
  val = official.validation_files()
  flat = {f"val/{name}": data for name, data in val.items()}
  sorted_ = {
    f"val/{wnid}/{name}": data
    for (name, data), wnid in zip(val.items(), official.VALIDATION, strict=True)
  }
  for i, files in enumerate((flat, sorted_)):
    place = tmp_path / str(i)
    root = folders(place, files)
    build(root, place / "data", facts)
    for split in ("train", "validation"):
      assert content(place / "data", split) == content(built, split)


def damaged(tmp_path, change):
  """The tar files with one changed, and facts that fit."""
  root = official.write_tars(tmp_path / "tars")
  change(root)
  return root, official.facts(root)


def rewrite(name, change):
  def do(root):
    file = root / name
    file.write_bytes(change(file.read_bytes()))

  return do


TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def one_less(data):
  files = dict(list(official.validation_files().items())[1:])
  return official.tar(files)


def one_less_to_train(data):
  files = official.train_files()
  files["n01440764"].popitem()
  return official.tar({f"{w}.tar": official.tar(f) for w, f in files.items()})


def strange_class(data):
  files = official.train_files()
  files["n00000001"] = files.pop("n01443537")
  return official.tar({f"{w}.tar": official.tar(f) for w, f in files.items()})


def few(data):
  files = official.train_files()
  (name, image), *_ = files["n15075141"].items()
  del files["n15075141"][name]
  files["n01440764"]["n01440764_999.JPEG"] = image
  return official.tar({f"{w}.tar": official.tar(f) for w, f in files.items()})


CHANGED = {
  "one less": (VAL, one_less, "has 19 images, not 20"),
  "one less to train": (
    TRAIN,
    one_less_to_train,
    "train has 159 images of 3 classes, not the published 160 of 3",
  ),
  "a class": (TRAIN, strange_class, "n00000001 is none of the classes"),
  "a count": (TRAIN, few, "train has 71 images of n01440764; published are 30"),
  "cut off": (TRAIN, lambda d: d[:300_000], "cut off"),
  "no tar": (VAL, lambda d: b"<html>" * 1000, "is not a complete tar file"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_files_are_refused(case, tmp_path):
  name, change, said = CHANGED[case]
  root, facts = damaged(tmp_path, rewrite(name, change))
  with pytest.raises(errors.DataError) as caught:
    build(root, tmp_path / "data", facts)
  assert said in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_changed_tar_is_found_by_its_checksum(tars, facts, tmp_path):
  wrong = {k: (size, "0" * 64) for k, (size, _) in facts.tars.items()}
  with pytest.raises(errors.DataError, match="not the published 0000"):
    build(tars, tmp_path, dataclasses.replace(facts, tars=wrong))


def test_the_published_facts_are_checked_by_the_command(tars, tmp_path):
  with pytest.raises(errors.DataError, match="not the published 147,897,477"):
    prepare.prepare("tfds:imagenet2012", str(tmp_path), str(tars))


def test_what_is_needed_is_said(tmp_path):
  with pytest.raises(errors.ConfigError, match="needed: ILSVRC2012_img_train"):
    prepare.prepare("tfds:imagenet2012", str(tmp_path), str(tmp_path))
  with pytest.raises(errors.ConfigError, match="--from_dir=DIR: ILSVRC201"):
    prepare.prepare("tfds:imagenet2012", str(tmp_path))


def test_an_image_in_a_wrong_folder(facts, tmp_path):
  files = {
    f"val/n01440764/{name}": data
    for name, data in official.validation_files().items()
  }
  root = folders(tmp_path, files)
  with pytest.raises(errors.DataError, match="of the class n15075141, not n01"):
    build(root, tmp_path / "data", facts)


def test_published_numbers():
  facts = imagenet2012.FACTS
  labels = tfds.core.tfds_path(imagenet2012._VALIDATION).read_text().split()
  assert len(labels) == facts.images["validation"] == 50 * facts.classes
  assert {labels.count(w) for w in WNIDS} == {50}
  # TFDS's own table of the same files.
  table = tfds.core.tfds_path("datasets/imagenet2012/checksums.tsv").read_text()
  for name, (size, digest) in facts.tars.items():
    assert f"{name}\t{size}\t{digest}" in table.replace(" ", "\t")
