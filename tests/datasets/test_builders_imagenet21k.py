"""ImageNet-21k from official-looking tar files and folders."""

import gzip

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data import official, trees
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.datasets import prepare, write
from vit_jax.datasets.builders import imagenet21k

FACTS = imagenet21k.Facts(classes=3, images=160)


def build(from_dir, data_dir, config="fall11_21843", facts=FACTS):
  builder = imagenet21k.Builder(
    config=config, data_dir=str(data_dir), file_format="array_record"
  )
  recipe = imagenet21k.recipe(builder, str(from_dir), "raise", facts)
  return write.write(recipe, workers=1)


def content(data_dir, config="fall11_21843"):
  source = base.open_source(f"tfds:imagenet21k/{config}", "full", str(data_dir))
  return [
    (e["file_name"].decode(), e["image"], e["label"].tolist())
    for e in (source[i] for i in range(len(source)))
  ]


def class_tars(root):
  return trees.write(
    root,
    {f"{w}.tar": official.tar(f) for w, f in official.train_files().items()},
  )


def test_tar_files_folders_and_the_whole_give_the_same(tmp_path):
  folders = {
    f"{wnid}/{name}": data
    for wnid, files in official.train_files().items()
    for name, data in files.items()
  }
  places = {
    "tars": class_tars(tmp_path / "tars"),
    "folders": trees.write(tmp_path / "folders", folders),
    "whole": trees.write(
      tmp_path / "whole", {"fall11_whole.tar": official.train_tar()}
    ),
  }
  found = {}
  for name, place in places.items():
    said = build(place, tmp_path / "data" / name)
    assert "imagenet21k/fall11_21843 written to" in said
    found[name] = content(tmp_path / "data" / name)
  assert found["tars"] == found["folders"] == found["whole"]
  names = imagenet21k.class_names(21_843)
  wanted = [
    (name, data, [names.index(wnid)])
    for wnid, files in official.train_files().items()
    for name, data in files.items()
  ]
  assert sorted(found["tars"]) == sorted(wanted)


def test_both_lists_of_classes(tmp_path):
  # Its label is another where the two classes without images are left out.
  wnid = "n10000000"
  names = {n: imagenet21k.class_names(n) for n in (21_843, 21_841)}
  wnid = names[21_841][-1]
  trees.write(
    tmp_path / "tars",
    {f"{wnid}.tar": official.tar({"a_1.JPEG": official.jpeg(0)})},
  )
  for config, label in (("winter21_21843", 21_842), ("winter21_21841", 21_840)):
    build(tmp_path / "tars", tmp_path, config, imagenet21k.Facts(1, 0))
    assert content(tmp_path, config)[0][2] == [label]
    source = base.open_source(
      f"tfds:imagenet21k/{config}", "full", str(tmp_path)
    )
    assert source[0]["label"].dtype == np.int32
    assert source.num_classes == label + 1
    assert source.class_names[label] == wnid


def test_the_class_list():
  names = imagenet21k.class_names(21_843)
  assert len(names) == len({*names}) == 21_843
  assert names == sorted(names)
  assert {*names} - {*imagenet21k.class_names(21_841)} == {
    "n03931044",
    "n09859684",
  }
  # Of ImageNet-1k all but the teddy, which the whole has under another id.
  file = tfds.core.tfds_path("datasets/imagenet2012/labels.txt")
  assert {*file.read_text().split()} - {*names} == {"n04399382"}
  # The first and last outputs of the published checkpoints.
  assert (names[0], names[-1]) == ("n00004475", "n15102894")


def test_images_that_are_compressed_once_more(tmp_path):
  images = {f"a_{i}.JPEG": official.jpeg(i) for i in range(3)}
  packed = {name: gzip.compress(data) for name, data in images.items()}
  packed["a_0.JPEG"] = images["a_0.JPEG"]
  trees.write(tmp_path / "tars", {"n01440764.tar": official.tar(packed)})
  build(tmp_path / "tars", tmp_path, facts=imagenet21k.Facts(1, 3))
  assert {name: image for name, image, _ in content(tmp_path)} == images


def test_what_does_not_decompress(monkeypatch):
  data = gzip.compress(official.jpeg(1))
  with pytest.raises(errors.DataError, match="x cannot be decompressed"):
    imagenet21k._unzipped(data[:5] + b"\xff" * 500, "x")
  with pytest.raises(errors.DataError, match="x is cut off, or decompresses"):
    imagenet21k._unzipped(data[:-50], "x")
  monkeypatch.setattr(imagenet21k, "_MOST_BYTES", 1000)
  with pytest.raises(errors.DataError, match="to more than 1000 bytes"):
    imagenet21k._unzipped(gzip.compress(bytes(10_000)), "x")


def test_counts_are_checked(tmp_path):
  tars = class_tars(tmp_path / "tars")
  for facts, said in (
    (imagenet21k.Facts(4, 160), "160 images of 3 classes, not the published 1"),
    (imagenet21k.Facts(3, 161), "not the published 161 of 3"),
    (imagenet21k.Facts(4, 0), "of 3 classes, not the published 4"),
  ):
    with pytest.raises(errors.DataError, match=said):
      build(tars, tmp_path, facts=facts)
  with pytest.raises(errors.DataError, match="not the published 19,167"):
    prepare.prepare("tfds:imagenet21k/winter21_21843", str(tmp_path), str(tars))


def test_other_folders_are_refused(tmp_path):
  with pytest.raises(errors.ConfigError, match=r"needed: n01440764\.tar"):
    build(tmp_path, tmp_path)
  with pytest.raises(errors.ConfigError, match="has no images of ImageNet-21k"):
    build(tmp_path / "none", tmp_path)
  trees.write(tmp_path / "x", {"n00000000/a_1.JPEG": official.jpeg(1)})
  with pytest.raises(errors.DataError, match="n00000000 is none of the class"):
    build(tmp_path / "x", tmp_path)


def test_held_out_parts_are_the_published_ones():
  """google-research/big_vision, configs/vit_i21k.py."""
  sizes = {"full": 14_197_122}
  infos = tfds.core.SplitDict(
    [
      tfds.core.SplitInfo(name="full", shard_lengths=[n], num_bytes=1)
      for n in sizes.values()
    ]
  )
  found = {
    name: tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)[0]
    for name, spec in imagenet21k.HELD_OUT.items()
  }
  total = sizes["full"]
  assert {k: (v.from_ or 0, v.to or total) for k, v in found.items()} == {
    "train": (51_200, 14_197_122),
    "validation": (25_600, 51_200),
    "test": (0, 25_600),
  }
