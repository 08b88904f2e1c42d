"""Batches at random access: the batch at step s is a function of (seed, s).

Position g = s * B + i of the training stream is an example of epoch g // n
under that epoch's permutation, and its augmentation draws from a generator
seeded by (seed, g). A process makes only the rows its devices own, and nothing
random comes after that choice. So neither the number of processes, workers and
threads nor where a run was resumed can change a batch, and there is no
iterator state to save: resume slices the batches at the step.
"""

from collections.abc import Iterator
import dataclasses
from typing import Any

import grain
import numpy as np

from vit_jax.core import errors
from vit_jax.data import sources
from vit_jax.preprocess.pipeline import Pipeline

Batch = dict[str, np.ndarray]
# JAX holds integers and floats in 32 bits.
_NARROW = {
  np.dtype(np.int64): np.dtype(np.int32),
  np.dtype(np.float64): np.dtype(np.float32),
}


@dataclasses.dataclass(frozen=True)
class Batches:
  """Batches by step; each is a dict of arrays [rows, ...].

  Attributes:
    source: the examples.
    preprocess: its host ops are run.
    batch_size: rows of the global batch.
    rows: the contiguous rows that are made.
    num_batches: how many there are.
    seed: of the random ops.
    order: index into the source by position.
    masked: whether there is a "mask"; positions beyond the order repeat its
      last example and are 0 there.
  """

  source: sources.Source
  preprocess: Pipeline
  batch_size: int
  rows: slice
  num_batches: int
  seed: int
  order: grain.MapDataset
  masked: bool

  def __len__(self) -> int:
    return self.num_batches

  def __getitem__(self, step: int) -> Batch:
    if not 0 <= step < self.num_batches:
      raise IndexError(f"step {step} of {self.num_batches}")
    start, stop, _ = self.rows.indices(self.batch_size)
    first = step * self.batch_size
    positions = range(first + start, first + stop)
    if not self.masked:
      return _stack([self._example(g) for g in positions])
    last = len(self.order) - 1
    batch = _stack([self._example(min(g, last)) for g in positions])
    mask = np.array([g <= last for g in positions], np.float32)
    return {**batch, "mask": mask}

  def _example(self, position: int) -> dict[str, Any]:
    raw = self.source[self.order[position]]
    rng = np.random.default_rng((self.seed, position))
    try:
      return self.preprocess.host(raw, rng)
    except errors.DataError as e:
      where = self.source.fingerprint
      raise errors.DataError(
        f"{where['name']} {where['version']}, split {where['split']}: {e}"
      ) from e


def train_batches(
  source: sources.Source,
  preprocess: Pipeline,
  *,
  batch_size: int,
  seed: int,
  num_steps: int,
  rows: slice = slice(None),
) -> Batches:
  """Shuffled batches; every epoch visits each example exactly once.

  Epochs follow each other without a gap, so a batch may hold the end of one
  and the beginning of the next.

  Args:
    source: the examples.
    preprocess: its host ops are run.
    batch_size: rows of the global batch.
    seed: in [0, 2^32).
    num_steps: length of the run.
    rows: the contiguous rows of the global batch to make.
  """
  order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
  return Batches(
    source, preprocess, batch_size, rows, num_steps, seed, order, masked=False
  )


def eval_batches(
  source: sources.Source,
  preprocess: Pipeline,
  *,
  batch_size: int,
  rows: slice = slice(None),
) -> Batches:
  """Every example once, in order, with "mask" float32 [rows].

  The last batch is filled up with a repeated example whose mask is 0. Random
  ops draw the same numbers every time.
  """
  order = grain.MapDataset.range(len(source))
  num_batches = -(-len(source) // batch_size)
  return Batches(
    source, preprocess, batch_size, rows, num_batches, 0, order, masked=True
  )


def iterate(
  batches: Batches,
  start: int = 0,
  *,
  num_threads: int = 2,
  num_workers: int = 0,
  prefetch: int = 4,
) -> Iterator[Batch]:
  """The batches of steps `start`, `start + 1`, ..., made ahead of time.

  Args:
    batches: what to read.
    start: the first step.
    num_threads: threads that make batches, in each process; 0 makes them
      when asked for.
    num_workers: processes that make batches; 0 uses this one. They are
      spawned: the main module needs its `__main__` guard, and a program
      without absl calls `absl.flags.FLAGS.mark_as_parsed()` first, because
      Grain hands absl's flags to its workers.
    prefetch: batches ready ahead, in each process.
  """
  if start >= len(batches):
    return iter(())
  dataset = grain.MapDataset.source(batches)[start:].to_iter_dataset(
    grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)
  )
  if num_workers:
    dataset = dataset.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=num_workers)
    )
  return iter(dataset)


def image_shape(
  source: sources.Source, preprocess: Pipeline
) -> tuple[int, int, int]:
  """[h, w, c] of the images in a batch, from the first example.

  Raises:
    ConfigError: the preprocessed example cannot go into a batch.
  """
  batch = eval_batches(source, preprocess, batch_size=1)[0]
  if batch["image"].ndim != 4:
    raise errors.ConfigError(
      f"images are {batch['image'].shape[1:]}, not [h, w, c]"
    )
  return batch["image"].shape[1:]


def _stack(examples: list[dict[str, Any]]) -> Batch:
  """Arrays [rows, ...] of each feature."""
  return {key: _column(key, [e[key] for e in examples]) for key in examples[0]}


def _column(key: str, values: list[Any]) -> np.ndarray:
  shapes = {np.shape(v) for v in values}
  if len(shapes) > 1:
    raise errors.ConfigError(
      f"the feature {key} has examples of different shapes"
      f" ({', '.join(map(str, sorted(shapes)))}): let preprocess bring images"
      " to one size, such as with resize(224), or leave the feature out with"
      " keep"
    )
  column = np.stack(values)
  if column.dtype.kind not in "biuf":
    raise errors.ConfigError(
      f"the feature {key} is not numbers and cannot go into a batch: add"
      " keep('image', 'label') to preprocess"
    )
  return column.astype(_NARROW.get(column.dtype, column.dtype), copy=False)
