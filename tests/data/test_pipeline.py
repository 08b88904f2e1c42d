"""The batch at step s is a function of (seed, s), and nobody is left out."""

import dataclasses

import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

RANDOM = Pipeline.parse("decode|inception_crop(6)|flip_lr|random_shift(1)")
PLAIN = Pipeline.parse("decode")
B = 8


def synthetic(n=50):
  return base.open_source(f"synthetic:{n}x8x8x3x5", "train")


def train(n=50, preprocess=RANDOM, seed=3, num_steps=20, **kwargs):
  return pipeline.train_batches(
    synthetic(n),
    preprocess,
    batch_size=B,
    seed=seed,
    num_steps=num_steps,
    **kwargs,
  )


def assert_same(ours, theirs):
  ours, theirs = list(ours), list(theirs)
  assert len(ours) == len(theirs) > 0
  for a, b in zip(ours, theirs, strict=True):
    assert a.keys() == b.keys()
    for key in a:
      assert a[key].dtype == b[key].dtype
      np.testing.assert_array_equal(a[key], b[key])


def steps(batches, start=0):
  """The batches, made one by one and last first."""
  made = {s: batches[s] for s in reversed(range(start, len(batches)))}
  return [made[s] for s in range(start, len(batches))]


def test_batch_fields():
  batch = train()[0]
  fields = {k: (v.shape, str(v.dtype)) for k, v in batch.items()}
  assert fields == {
    "image": ((B, 6, 6, 3), "uint8"),
    "label": ((B,), "int32"),
    "id": ((B,), "int32"),
  }
  np.testing.assert_array_equal(batch["label"], batch["id"] % 5)


@pytest.mark.parametrize("start", [0, 1, 13])
@pytest.mark.parametrize("num_threads", [0, 1, 4])
def test_start_and_threads_change_nothing(start, num_threads):
  batches = train()
  made = pipeline.iterate(batches, start, num_threads=num_threads)
  assert_same(made, steps(batches, start))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_row_splits_make_the_whole(parts):
  size = B // parts
  split = [
    steps(train(rows=slice(p * size, (p + 1) * size))) for p in range(parts)
  ]
  joined = [
    {k: np.concatenate([r[k] for r in rows]) for k in rows[0]}
    for rows in zip(*split, strict=True)
  ]
  assert_same(joined, steps(train()))


def test_the_run_length_changes_nothing():
  assert_same(steps(train(num_steps=5)), steps(train(num_steps=20))[:5])


def test_nothing_after_the_last_step():
  assert list(pipeline.iterate(train(num_steps=3), 3)) == []
  with pytest.raises(IndexError):
    train(num_steps=3)[3]


def test_seeds_and_epochs_differ():
  a, b = ([x["id"] for x in steps(train(seed=s))] for s in (3, 4))
  assert not np.array_equal(a, b)
  ids = np.concatenate(a)
  assert not np.array_equal(ids[:50], ids[50:100])


@pytest.mark.parametrize("n", [1, 7, 50])
def test_each_epoch_visits_each_example_once(n):
  batches = train(n, PLAIN, num_steps=-(-3 * n // B))
  ids = np.concatenate([b["id"] for b in steps(batches)])
  for epoch in range(3):
    seen = sorted(ids[epoch * n : (epoch + 1) * n])
    assert seen == list(range(n))


def test_augmentation_differs_between_epochs_and_positions():
  batches = train(1, num_steps=4)
  images = {row.tobytes() for b in steps(batches) for row in b["image"]}
  assert len(images) > 3 * B


@pytest.mark.parametrize("n", [16, 17, 23])
@pytest.mark.parametrize("parts", [1, 4])
def test_evaluation_counts_each_example_once(n, parts):
  size = B // parts
  ids, labels = [], []
  for p in range(parts):
    batches = pipeline.eval_batches(
      synthetic(n),
      PLAIN,
      batch_size=B,
      rows=slice(p * size, (p + 1) * size),
    )
    assert len(batches) == -(-n // B)
    for batch in pipeline.iterate(batches):
      assert batch["image"].shape == (size, 8, 8, 3)
      assert batch["mask"].shape == (size,)
      assert batch["mask"].dtype == np.float32
      real = batch["mask"] == 1
      assert set(batch["mask"]) <= {0.0, 1.0}
      ids += batch["id"][real].tolist()
      labels += batch["label"][real].tolist()
  assert sorted(ids) == list(range(n))
  assert labels == [i % 5 for i in ids]


def test_a_bad_record_is_named():
  class Bad(base.Source):
    fingerprint = {"name": "bad", "version": "1.0.0", "split": "train"}

    def __len__(self):
      return 3

    def __getitem__(self, index):
      return {"image": b"no image", "label": 0, "id": index}

  batches = pipeline.eval_batches(Bad(), PLAIN, batch_size=2)
  said = "bad 1.0.0, split train: record 0: the image is no JPEG, PNG"
  with pytest.raises(errors.DataError, match=said):
    next(iter(pipeline.iterate(batches)))


@dataclasses.dataclass
class Given:
  """A source of given examples."""

  examples: list

  def __len__(self):
    return len(self.examples)

  def __getitem__(self, index):
    return {**self.examples[index], "id": index}


@pytest.mark.parametrize(
  ("examples", "said"),
  [
    (
      [{"image": np.zeros((s, 4, 3), np.uint8)} for s in (4, 5)],
      "image has examples of different shapes",
    ),
    (
      [{"image": np.zeros((4, 4, 3), np.uint8), "file_name": b"x"}] * 2,
      "file_name is not numbers and cannot go into a batch: add keep",
    ),
  ],
)
def test_features_that_do_not_stack(examples, said):
  batches = pipeline.eval_batches(Given(examples), PLAIN, batch_size=2)
  with pytest.raises(errors.ConfigError, match=said):
    batches[0]


def test_image_shape():
  assert pipeline.image_shape(synthetic(), RANDOM) == (6, 6, 3)
  assert pipeline.image_shape(synthetic(), PLAIN) == (8, 8, 3)
