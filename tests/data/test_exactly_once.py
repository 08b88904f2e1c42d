"""Nobody is left out or counted twice; nothing but seed and step matters."""

from absl import flags
import numpy as np
import pytest

from tests.data import trees
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

RANDOM = Pipeline.parse("decode|inception_crop(6)|flip_lr")


class Numbers(base.Source):
  """One pixel each."""

  num_classes = 0
  class_names = ()
  fingerprint = {}

  def __init__(self, size):
    self.size = size

  def __len__(self):
    return self.size

  def __getitem__(self, index):
    return {"image": np.zeros((1, 1, 1), np.uint8), "id": index}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_evaluation_sees_each_example_once(batch_size, on_error):
  divisors = [p for p in range(1, batch_size + 1) if batch_size % p == 0]
  for count in [*range(1, 2 * batch_size + 3), 97]:
    for processes in divisors:
      size = batch_size // processes
      seen = []
      lengths = set()
      for p in range(processes):
        batches = pipeline.eval_batches(
          Numbers(count),
          Pipeline.parse("decode(1)"),
          batch_size=batch_size,
          rows=slice(p * size, (p + 1) * size),
          on_error=on_error,
        )
        lengths.add(len(batches))
        for batch in batches:
          assert len(batch["mask"]) == len(batch["id"]) == size
          seen += batch["id"][batch["mask"] == 1].tolist()
      # Every process takes part in every step, or the others would wait.
      assert len(lengths) == 1
      assert sorted(seen) == list(range(count))


def opened(kind, root):
  if kind == "folder":
    trees.classes(root / "a", {"ant": 9, "bee": 5})
    return base.open_source(f"folder:{root / 'a'}", "train[:90%]")
  trees.classes(root / "a", {"ant": 9, "bee": 5})
  trees.classes(root / "b", {"ant": 2, "bee": 3})
  return base.open_source(
    f"mix:0.7*folder:{root / 'a'}+0.3*folder:{root / 'b'}", "train"
  )


def train(source, rows=slice(None)):
  return pipeline.train_batches(
    source,
    RANDOM,
    batch_size=8,
    seed=5,
    num_steps=9,
    rows=rows,
    on_error="skip",
  )


def assert_same(ours, theirs):
  assert ours.keys() == theirs.keys()
  for key in ours:
    assert ours[key].dtype == theirs[key].dtype
    np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("kind", ["folder", "mix"])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_and_restarts_change_nothing(kind, processes, tmp_path):
  wanted = list(train(opened(kind, tmp_path)))
  size = 8 // processes
  for start in (0, 1, 5, 8):
    streams = [
      pipeline.iterate(
        train(opened(kind, tmp_path), slice(p * size, (p + 1) * size)), start
      )
      for p in range(processes)
    ]
    made = [
      {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
      for parts in zip(*streams, strict=True)
    ]
    assert len(made) == 9 - start
    for ours, theirs in zip(made, wanted[start:], strict=True):
      assert_same(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "num_workers"), [("folder", 1), ("mix", 2)])
def test_workers_change_nothing(kind, num_workers, tmp_path):
  flags.FLAGS.mark_as_parsed()
  batches = train(opened(kind, tmp_path), slice(2, 6))
  iterator = pipeline.iterate(batches, 4, num_workers=num_workers)
  try:
    made = list(iterator)
  finally:
    iterator.close()
  assert len(made) == 5
  for ours, step in zip(made, range(4, 9), strict=True):
    assert_same(ours, batches[step])
