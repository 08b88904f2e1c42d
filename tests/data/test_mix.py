"""Mixtures: shares, and the epochs of each part."""

import numpy as np
import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

TWO = "mix:0.7*synthetic:50x4x4x3x5+0.3*synthetic:20x4x4x3x5"
PLAIN = Pipeline.parse("decode")


def ids(name, num_batches=30, batch_size=10, seed=0):
  source = base.open_source(name, "train")
  batches = pipeline.train_batches(
    source, PLAIN, batch_size=batch_size, seed=seed, num_steps=num_batches
  )
  return np.stack([b["id"] for b in batches])


def test_every_batch_has_its_shares():
  made = ids(TWO)
  assert ((made < 50).sum(axis=1) == 7).all()
  assert ((made >= 50).sum(axis=1) == 3).all()


def test_each_part_has_its_own_epochs():
  made = ids(TWO, num_batches=60).ravel()
  for first, last, size in ((0, 50, 50), (50, 70, 20)):
    drawn = made[(made >= first) & (made < last)]
    epochs = [drawn[k : k + size] for k in range(0, len(drawn) - size, size)]
    assert len(epochs) >= 8
    for epoch in epochs:
      assert sorted(epoch) == list(range(first, last))
    assert len({tuple(e) for e in epochs}) == len(epochs)


def test_equal_parts_are_in_different_orders():
  made = ids("mix:1*synthetic:40x4x4x3x5+1*synthetic:40x4x4x3x5", 8).ravel()
  first, second = made[made < 40], made[made >= 40] - 40
  assert sorted(first) == sorted(second) == list(range(40))
  assert not np.array_equal(first, second)


def test_seeds_differ():
  assert not np.array_equal(ids(TWO, seed=0), ids(TWO, seed=1))


def test_weights_are_exact_fractions():
  thirds = "mix:1*synthetic:9x4x4x3x5+2*synthetic:9x4x4x3x5"
  drawn = ids(thirds, num_batches=60, batch_size=3)
  assert ((drawn < 9).sum(axis=1) == 1).all()
  source = base.open_source(TWO.replace("0.7*", "0.75*"), "train")
  assert source.parts == ((50, 5), (20, 2))


def test_examples_are_those_of_the_parts(tmp_path):
  a = trees.classes(tmp_path / "a", {"ant": 3, "bee": 2})
  b = trees.classes(tmp_path / "b+2", {"ant": 1, "bee": 4})
  source = base.open_source(f"mix:1*folder:{a}+2*folder:{b}", "train")
  parts = [base.open_source(f"folder:{x}", "train") for x in (a, b)]
  assert len(source) == 10
  assert source.class_names == ("ant", "bee")
  for i in range(10):
    inner, k = parts[i >= 5], i % 5
    assert source[i] == {**inner[k], "id": i}
    assert source.where(i) == inner.where(k)
  for i in (-1, 10):
    with pytest.raises(IndexError):
      source[i]
  versions = [p["version"] for p in source.fingerprint["parts"].values()]
  assert versions == [p.fingerprint["version"] for p in parts]
  assert base.split_names(f"mix:1*folder:{a}+2*synthetic") == ("train",)


def test_evaluation_sees_each_example_of_each_part_once():
  source = base.open_source(TWO, "test")
  batches = pipeline.eval_batches(source, PLAIN, batch_size=16)
  seen = np.concatenate([b["id"][b["mask"] == 1] for b in batches])
  assert sorted(seen) == list(range(70))


REFUSED = {
  "mix:": "must be mix:WEIGHT*NAME+WEIGHT*NAME...",
  "mix:1*synthetic": "must be mix:WEIGHT*NAME",
  "mix:synthetic+synthetic": "must be mix:WEIGHT*NAME",
  "mix:0*synthetic+1*synthetic": "with weights > 0",
  "mix:-1*synthetic+1*synthetic": "with weights > 0",
  "mix:1*mix:1*synthetic+1*synthetic": "data sets other than mixtures",
  "mix:1*synthetik+1*synthetic": "unknown scheme synthetik; did you mean",
  "mix:1*synthetic+1*synthetic:9x4x4x3x5": (
    "synthetic:9x4x4x3x5 has other classes than synthetic (5: 0, 1, 2, ..., not"
    " 10: 0, 1, 2, ...)"
  ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(name, "train")
  assert REFUSED[name] in str(caught.value)
  assert "\n" not in str(caught.value)


def listed(folder, rows, names):
  """A manifest of two images, and the order of its classes."""
  trees.write(folder, {f"{i}.png": trees.png(i) for i in range(2)})
  (folder / "list.csv").write_text(f"path,label\n{rows}")
  (folder / "classes.txt").write_text(names)
  return f"folder:{folder / 'list.csv'}"


def test_classes_in_another_order_get_the_numbers_of_the_first(tmp_path):
  rows = "0.png,ant\n1.png,bee\n"
  a = listed(tmp_path / "a", rows, "bee\nant\n")
  b = listed(tmp_path / "b", rows, "ant\nbee\n")
  source = base.open_source(f"mix:1*{a}+1*{b}", "train")
  assert source.class_names == ("bee", "ant")
  assert trees.by_file(source) == {"0.png": 1, "1.png": 0}
  for part in ((0, 1), (2, 3)):
    assert sorted(source[i]["label"] for i in part) == [0, 1]


def test_a_part_without_names_is_taken_by_number(tmp_path, capsys):
  a = "synthetic:4x8x8x3x2"
  b = listed(tmp_path / "b", "0.png,ant\n1.png,bee\n", "ant\nbee\n")
  source = base.open_source(f"mix:1*{a}+1*{b}", "train")
  assert source.class_names == ("ant", "bee")
  assert [source[i]["label"] for i in range(4)] == [0, 1, 0, 1]
  said = f"class names of {a} are not known, labels taken by number\n"
  assert capsys.readouterr().err == said


def test_parts_of_other_classes_are_refused(tmp_path):
  a = listed(tmp_path / "a", "0.png,ant\n1.png,bee\n", "bee\nant\n")
  b = listed(tmp_path / "b", "0.png,ant\n1.png,cat\n", "ant\ncat\n")
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(f"mix:1*{a}+1*{b}", "train")
  assert f"name=mix:1*{a}+1*{b}: {b} has other classes than {a}" in str(
    caught.value
  )
