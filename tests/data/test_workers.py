"""Neither workers nor a restart change a batch, and a restart reads no more."""

import collections

from absl import flags
import grain
import numpy as np
import pytest

from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

B = 8
RANDOM = Pipeline.parse("decode|inception_crop(6)|flip_lr|random_shift(1)")


class Counted(base.Source):
  """Pixels that tell their index, and how often each was read."""

  num_classes = 0
  class_names = ()
  fingerprint = {}

  def __init__(self, size):
    self.size, self.reads = size, collections.Counter()

  def __len__(self):
    return self.size

  def __getitem__(self, index):
    self.reads[index] += 1
    image = np.random.default_rng(index).integers(0, 256, (9, 9, 3), np.uint8)
    return {"image": image, "label": index % 5, "id": index}


def train(source, num_steps=12, rows=slice(None), preprocess=RANDOM):
  return pipeline.train_batches(
    source, preprocess, batch_size=B, seed=3, num_steps=num_steps, rows=rows
  )


def assert_same(ours, theirs):
  assert ours.keys() == theirs.keys()
  for key in ours:
    assert ours[key].dtype == theirs[key].dtype
    np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [2, 8])
def test_workers_change_nothing(num_workers):
  flags.FLAGS.mark_as_parsed()
  source = base.open_source("synthetic:50x9x9x3x5", "train")
  # Large enough to come through shared memory, as the labels do not.
  large = Pipeline.parse("decode|inception_crop(80)|flip_lr|random_shift(1)")
  wanted = train(source, preprocess=large)
  iterator = pipeline.iterate(
    train(source, rows=slice(2, 6), preprocess=large),
    3,
    num_workers=num_workers,
  )
  try:
    made = list(iterator)
  finally:
    iterator.close()
  assert len(made) == 9
  for step, ours in enumerate(made, 3):
    theirs = {key: value[2:6] for key, value in wanted[step].items()}
    assert_same(ours, theirs)


def test_large_arrays_are_shared():
  x = np.random.default_rng(0).integers(0, 256, (4, 80, 80, 3), np.uint8)
  shared = pipeline._share({"image": x, "label": np.arange(4)})
  array = shared["image"]
  array.unlink_on_del()
  assert isinstance(array, grain.multiprocessing.SharedMemoryArray)
  np.testing.assert_array_equal(array, x)
  assert not isinstance(
    shared["label"], grain.multiprocessing.SharedMemoryArray
  )


@pytest.mark.parametrize("start", [0, 1, 1000, 123_456_789])
def test_a_restart_reads_only_what_it_makes(start):
  source = Counted(1000)
  batches = train(source, num_steps=2**31)
  made = next(pipeline.iterate(batches, start, num_threads=0))
  assert source.reads.total() == B
  assert sorted(source.reads.elements()) == sorted(made["id"].tolist())
  assert_same(made, train(Counted(1000), num_steps=2**31)[start])


def test_threads_read_no_more_than_they_may_make_ahead():
  source = Counted(1000)
  stream = pipeline.iterate(
    train(source, num_steps=2**31), 10**6, num_threads=2, prefetch=3
  )
  next(stream)
  stream.close()
  assert B <= source.reads.total() <= (1 + 3 + 2) * B


def test_a_process_reads_only_its_rows():
  source = Counted(1000)
  batch = train(source, rows=slice(2, 4))[5]
  assert sorted(source.reads.elements()) == sorted(batch["id"].tolist())
  assert len(batch["id"]) == 2


@pytest.mark.parametrize("size", [1, 2, 50, 70_000, 14_000_000])
def test_the_order_is_a_permutation_of_each_epoch(size):
  order = train(Counted(size)).order
  if size <= 50:
    for epoch in (0, 1, 10**6):
      seen = [order[epoch * size + k] for k in range(size)]
      assert sorted(seen) == list(range(size))
      assert {type(index) for index in seen} == {int}
  spread = np.random.SeedSequence((3, 1)).generate_state(1)[0]
  grains = grain.MapDataset.range(size).shuffle(seed=int(spread)).repeat()
  for position in (0, 1, 7, size - 1, size, 5 * size + 3):
    assert order[position] == grains[position]


def test_the_next_seed_has_no_epoch_of_this_one():
  def epochs(seed):
    order = pipeline.train_batches(
      Counted(40), RANDOM, batch_size=B, seed=seed, num_steps=1
    ).order
    return {tuple(order[40 * e + k] for k in range(40)) for e in range(3)}

  assert len(epochs(3)) == 3
  assert not epochs(3) & epochs(4)


def test_several_images_an_example_go_into_a_batch():
  preprocess = Pipeline.parse(
    "decode|multicrop(6, 4, 3)|keep('image', 'local_images')|value_range(-1, 1)"
  )
  batches = pipeline.train_batches(
    Counted(20), preprocess, batch_size=B, seed=0, num_steps=1
  )
  batch = batches[0]
  assert {k: v.shape for k, v in batch.items()} == {
    "image": (B, 2, 6, 6, 3),
    "local_images": (B, 3, 4, 4, 3),
    "id": (B,),
  }
  changed = preprocess.device(batch)
  for key in ("image", "local_images"):
    wanted = batch[key].astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(changed[key], wanted, atol=1e-6)
  assert pipeline.image_shape(Counted(20), preprocess) == (6, 6, 3)
