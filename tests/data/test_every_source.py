"""The contract of data/base.py, for each source in data/sources."""

from concurrent import futures
import json
import pickle

import numpy as np
import pytest

from tests.data import tfds_sets, trees
from vit_jax.core import errors
from vit_jax.data import base
from vit_jax.preprocess import decode


def tfds(folder, digits_dir):
  del folder
  return "tfds:digits", "test[:20]", digits_dir


def folder(folder, digits_dir):
  del digits_dir
  return f"folder:{trees.classes(folder / 'photos')}", "train[:50%]", ""


def multilabel(folder, digits_dir):
  del digits_dir
  trees.write(folder, {f"{i}.png": trees.png(i) for i in range(6)})
  rows = [{"path": f"{i}.png", "labels": ["a", "b"][: i % 3]} for i in range(6)]
  file = folder / "list.jsonl"
  file.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return f"multilabel:{file}", "train", ""


def real(folder, digits_dir):
  del digits_dir
  images = [
    {
      "image": tfds_sets.piece(i),
      "label": i,
      "file_name": f"ILSVRC2012_val_{i + 1:08}.JPEG",
    }
    for i in range(4)
  ]
  tfds_sets.write(folder, "imagenet2012", {"validation": images})
  file = folder / "real.json"
  file.write_text(json.dumps([[7], [], [999, 3, 0], [5, 6]]))
  return f"real:{file}", "validation", str(folder)


def vtab(folder, digits_dir):
  del digits_dir
  images = [
    {"image": tfds_sets.piece(i), "label": i % 47, "file_name": f"{i}.jpg"}
    for i in range(1010)
  ]
  splits = {"train": images[:800], "validation": images[800:1000]}
  tfds_sets.write(folder, "dtd", {**splits, "test": images[1000:]})
  return "vtab:dtd", "test", str(folder)


def synthetic(folder, digits_dir):
  del folder, digits_dir
  return "synthetic:12x8x6x3x5", "train", ""


def mix(folder, digits_dir):
  photos, _, _ = globals()["folder"](folder, digits_dir)
  return f"mix:0.7*{photos}+0.3*{photos}", "train", ""


def holdout(folder, digits_dir):
  photos, _, _ = globals()["folder"](folder, digits_dir)
  return f"holdout:0.2*{photos}", "train", ""


# A function for each source, which makes a small instance of it: the data
# set's name, one of its splits and where TFDS data sets are.
SOURCES = {
  f.__name__: f
  for f in (tfds, folder, multilabel, real, vtab, synthetic, mix, holdout)
}


def test_every_source_has_an_instance():
  assert base.schemes() == sorted(SOURCES)


@pytest.fixture(scope="module", params=SOURCES)
def instance(request, tmp_path_factory, digits_dir):
  """Name, split and data_dir of a data set."""
  place = tmp_path_factory.mktemp(request.param)
  return SOURCES[request.param](place, digits_dir)


@pytest.fixture
def source(instance):
  return base.open_source(*instance)


def same(ours, theirs):
  assert ours.keys() == theirs.keys()
  for key in ours:
    np.testing.assert_array_equal(ours[key], theirs[key])
  return True


def test_examples_are_read_at_random(source):
  count = len(source)
  assert count > 3
  forth = [source[i] for i in range(count)]
  back = [source[i] for i in reversed(range(count))]
  assert all(map(same, forth, reversed(back)))
  for beyond in (count, count + 7):
    with pytest.raises(IndexError):
      source[beyond]


def test_an_example_has_an_image_and_its_index(source):
  for i in range(len(source)):
    example = source[i]
    assert example["id"] == i
    image = decode.Decode()(example, np.random.default_rng(0))["image"]
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


def test_a_label_is_a_class_or_padded_classes(source):
  for i in range(len(source)):
    label = source[i]["label"]
    if np.ndim(label):
      assert label.dtype == np.int32
      classes = label[label >= 0]
      assert (label[len(classes) :] == -1).all()
      assert len(label) == len(source[0]["label"])
    else:
      assert int(label) == label
      classes = [label]
    assert all(0 <= c < source.num_classes for c in classes)
  assert len(source.class_names) in (0, source.num_classes)
  assert all(isinstance(name, str) for name in source.class_names)


def test_another_process_reads_the_same(source):
  source[0]
  again = pickle.loads(pickle.dumps(source))  # noqa: S301
  assert len(again) == len(source)
  assert all(same(again[i], source[i]) for i in range(len(source)))
  assert again.fingerprint == source.fingerprint
  assert again.where(1) == source.where(1)
  assert again.parts == source.parts


def test_threads_read_the_same(source):
  indices = [*range(len(source))] * 4
  with futures.ThreadPoolExecutor(8) as pool:
    read = list(pool.map(lambda i: source[i], indices))
  assert all(same(read[k], source[i]) for k, i in enumerate(indices))


def test_the_fingerprint_is_stable_and_json(source, instance):
  fingerprint = source.fingerprint
  assert {"name", "version", "split", "shard_sizes"} <= set(fingerprint)
  assert fingerprint["split"] == instance[1]
  assert json.loads(json.dumps(fingerprint)) == fingerprint
  assert base.open_source(*instance).fingerprint == fingerprint


def test_where_names_the_record(source):
  places = [source.where(i) for i in range(len(source))]
  assert all(places)
  assert len(set(places)) > 1
  assert not any("\n" in place for place in places)


def test_parts_follow_each_other(source):
  sizes, weights = zip(*source.parts, strict=True)
  assert sum(sizes) == len(source)
  assert all(type(weight) is int and weight > 0 for weight in weights)


def test_splits(instance):
  name, split, data_dir = instance
  names = base.split_names(name, data_dir)
  assert split.partition("[")[0] in names
  assert all(len(base.open_source(name, s, data_dir)) for s in names)


@pytest.mark.parametrize("split", ["nowhere", "", "train[", "train[9999:]"])
def test_an_unknown_split_is_one_line(instance, split):
  name, _, data_dir = instance
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(name, split, data_dir)
  assert f"split={split}" in str(caught.value)
  assert "\n" not in str(caught.value)
