"""Examples that cannot be read: replaced or left out, named and counted."""

import logging
import re

import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

N = 40
BAD = {3, 7, 8, 9, 39}
RANDOM = Pipeline.parse("decode|random_shift(2)")


class Broken(base.Source):
  """Images that tell their index, some of which cannot be read."""

  num_classes = 5
  class_names = ()
  fingerprint = {"name": "broken", "version": "1", "split": "train"}

  def __init__(self, bad=BAD, size=N):
    self.bad, self.size = bad, size

  def __len__(self):
    return self.size

  def where(self, index):
    return f"shard-0, record {index + 1000}"

  def __getitem__(self, index):
    if index in self.bad:
      if index % 2:
        return {"image": b"rubbish", "label": 0, "id": index}
      raise errors.DataError(f"{self.where(index)} cannot be read: hash")
    image = np.full((6, 6, 3), index, np.uint8)
    return {"image": image, "label": index % 5, "id": index}


def train(source, on_error="skip", num_steps=20, rows=slice(None)):
  return pipeline.train_batches(
    source,
    RANDOM,
    batch_size=8,
    seed=1,
    num_steps=num_steps,
    rows=rows,
    on_error=on_error,
  )


def column(batches, key):
  return np.concatenate([b[key] for b in batches])


def test_the_next_good_example_takes_the_place():
  skipped = train(Broken())
  whole = train(Broken(bad=set()))
  ids, wanted = column(skipped, "id"), column(whole, "id")
  after = {3: 4, 7: 10, 8: 10, 9: 10, 39: 0}
  assert ids.tolist() == [after.get(i, i) for i in wanted]
  counts = {3: 1, 7: 3, 8: 2, 9: 1, 39: 1}
  assert column(skipped, "skipped").tolist() == [
    counts.get(i, 0) for i in wanted
  ]
  assert column(skipped, "skipped").dtype == np.int32
  # What can be read is as it would be without a fault elsewhere.
  good = ids == wanted
  np.testing.assert_array_equal(
    column(skipped, "image")[good], column(whole, "image")[good]
  )


def test_a_batch_stays_a_function_of_the_step_and_rows():
  whole = train(Broken())
  for step in (13, 0, 5):
    parts = [train(Broken(), rows=slice(r, r + 2))[step] for r in (0, 2, 4, 6)]
    for key in whole[step]:
      np.testing.assert_array_equal(column(parts, key), whole[step][key])


def test_without_skip_there_is_no_count_and_the_record_is_named():
  assert "skipped" not in train(Broken(bad=set()), "raise")[0]
  with pytest.raises(errors.DataError) as caught:
    list(train(Broken(), "raise"))
  assert re.match(
    r"broken 1, split train: shard-0, record 10\d\d(:| cannot be read: hash)",
    str(caught.value),
  )
  assert "record 3:" not in str(caught.value)


def test_each_bad_example_is_named_once(caplog):
  pipeline._warn_once.cache_clear()
  with caplog.at_level(logging.WARNING, pipeline.__name__):
    list(train(Broken()))
  said = [r.getMessage() for r in caplog.records]
  assert len(said) == len(set(said)) == len(BAD)
  for i in BAD:
    assert sum(f"shard-0, record {i + 1000}" in text for text in said) == 1


@pytest.mark.parametrize("size", [N, N - 1, 3 * 8])
def test_evaluation_leaves_them_out_and_counts_them(size):
  source = Broken(size=size)
  batches = list(
    pipeline.eval_batches(source, RANDOM, batch_size=16, on_error="skip")
  )
  bad = {i for i in BAD if i < size}
  mask, skipped = column(batches, "mask"), column(batches, "skipped")
  counted = column(batches, "id")[mask == 1]
  assert counted.tolist() == [i for i in range(size) if i not in bad]
  assert np.flatnonzero(skipped).tolist() == sorted(bad)
  assert set(skipped) == {0, 1}
  assert mask.sum() + skipped.sum() == size


def test_a_broken_data_set_is_an_error():
  source = Broken(bad=set(range(N)))
  for batches in (
    train(source),
    pipeline.eval_batches(source, RANDOM, batch_size=8, on_error="skip"),
  ):
    with pytest.raises(
      errors.DataError, match="100 examples in a row cannot be"
    ):
      batches[0]


def test_the_shape_of_images_where_the_first_is_bad():
  source = Broken(bad={0})
  assert pipeline.image_shape(source, RANDOM, "skip") == (6, 6, 3)
  with pytest.raises(errors.DataError):
    pipeline.image_shape(source, RANDOM)
