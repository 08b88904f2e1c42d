"""Batches at random access: the batch at step s is a function of (seed, s).

Position g = s * B + i of the training stream is an example of epoch g // n
under that epoch's permutation, and its augmentation draws from a generator
seeded by (seed, g). In a mixture g determines which part comes next, and each
part has epochs of its own. An example that cannot be read is replaced by the
next one in the source that can, which depends only on its index. A process
makes only the rows that its devices own, and nothing random comes after that
choice. So neither the number of processes, workers and threads nor the step
from which a run was resumed can change a batch, and there is no iterator state
to save: a resumed run slices the batches at its step.
"""

import dataclasses
import functools
import logging
import pathlib
import sys
from typing import Any, Protocol, cast

import grain
import numpy as np

from vit_jax.core import errors, memory, rng as rng_lib
from vit_jax.data import base
from vit_jax.preprocess import op
from vit_jax.preprocess.pipeline import Pipeline

Batch = dict[str, np.ndarray]
# An example, and how many unreadable ones it replaces.
_Made = tuple[op.Example, int]
# Encoded examples that each thread has in memory at once.
_TOGETHER = 64
# Unreadable examples in a row after which the data set counts as broken.
MAX_SKIPPED = 100
_log = logging.getLogger(__name__)
# Arrays of at least this size leave a worker process through shared memory.
_SHARED_BYTES = 2**16
# JAX holds integers and floats in 32 bits.
_NARROW = {
  np.dtype(np.int64): np.dtype(np.int32),
  np.dtype(np.float64): np.dtype(np.float32),
}


class Order(Protocol):
  """Index into a source by position."""

  def __len__(self) -> int: ...

  def __getitem__(self, position: int, /) -> int: ...


@dataclasses.dataclass(frozen=True)
class Batches:
  """Batches by step; each is a dict of arrays [rows, ...].

  Attributes:
    source: the examples.
    preprocess: its host ops are run.
    batch_size: rows of the global batch.
    rows: the contiguous rows that are made.
    num_batches: the length of the sequence.
    seed: seed of the random ops.
    order: index into the source by position.
    masked: whether batches have a "mask"; positions beyond the order repeat
      its last example and are 0 there.
    skip: whether an example that cannot be read is replaced. Batches then have
      "skipped" int32 [rows]: how many unreadable examples each row replaces.
      In evaluation a row is 1 if its own example cannot be read; its mask is
      then 0.
  """

  source: base.Source
  preprocess: Pipeline
  batch_size: int
  rows: slice
  num_batches: int
  seed: int
  order: Order
  masked: bool
  skip: bool

  def __len__(self) -> int:
    return self.num_batches

  def __getitem__(self, step: int) -> Batch:
    if not 0 <= step < self.num_batches:
      raise IndexError(f"step {step} of {self.num_batches}")
    start, stop, _ = self.rows.indices(self.batch_size)
    first = step * self.batch_size
    positions = range(first + start, first + stop)
    last = len(self.order) - 1
    made = []
    for k in range(0, len(positions), _TOGETHER):
      made += self._examples([min(g, last) for g in positions[k:][:_TOGETHER]])
    batch = stack([example for example, _ in made])
    skipped = np.array([count for _, count in made], np.int32)
    if self.masked:
      real = np.array([g <= last for g in positions])
      skipped = np.minimum(skipped, real)
      batch["mask"] = (real & (skipped == 0)).astype(np.float32)
    return {**batch, "skipped": skipped} if self.skip else batch

  def _examples(self, positions: list[int]) -> list[_Made]:
    """The examples of some positions.

    All are read and drawn before the first is decoded. If reading and decoding
    took turns, each would find the caches of the processor full of the other's
    code and data.
    """
    indices = [self.order[g] for g in positions]
    rngs = [self._rng(g) for g in positions]
    begun = map(self._begin, indices, rngs)
    return list(map(self._example, positions, indices, list(begun), rngs))

  def _example(
    self,
    position: int,
    index: int,
    begun: op.Example | errors.DataError,
    rng: np.random.Generator,
  ) -> _Made:
    first = index
    for skipped in range(MAX_SKIPPED):
      try:
        if isinstance(begun, errors.DataError):
          raise begun
        return self.preprocess.host(begun, rng), skipped
      except errors.DataError as e:
        text = base.describe_error(self.source, index, e)
        named = errors.DataError(f"{self._name()}: {text}")
        if not self.skip:
          raise named from e
        _warn_once(str(named))
      index = (index + 1) % len(self.source)
      rng = self._rng(position)
      begun = self._begin(index, rng)
    raise errors.DataError(
      f"{self._name()}: {MAX_SKIPPED} examples in a row cannot be read, from"
      f" {self.source.where(first)} on"
    )

  def _begin(
    self, index: int, rng: np.random.Generator
  ) -> op.Example | errors.DataError:
    try:
      return self.preprocess.begin(self.source[index], rng)
    except errors.DataError as e:
      return e

  def _rng(self, position: int) -> np.random.Generator:
    return np.random.default_rng((self.seed, position))

  def _name(self) -> str:
    facts = self.source.fingerprint
    return f"{facts['name']} {facts['version']}, split {facts['split']}"


@functools.cache
def _warn_once(message: str) -> None:
  """Logs a skipped example the first time that this process finds it."""
  _log.warning("skipped: %s", message)


def train_batches(
  source: base.Source,
  preprocess: Pipeline,
  *,
  batch_size: int,
  seed: int,
  num_steps: int,
  rows: slice = slice(None),
  on_error: str = "raise",
) -> Batches:
  """Shuffled batches; every epoch visits each example exactly once.

  Epochs follow each other without a gap, so a batch may hold the end of one
  and the beginning of the next. Each part of a mixture has its own epochs. The
  seed is in [0, 2^32); see `Batches`, and config.Split for `on_error`.
  """
  return Batches(
    source,
    preprocess,
    batch_size,
    rows,
    num_steps,
    seed,
    _order(source, seed),
    masked=False,
    skip=on_error == "skip",
  )


@dataclasses.dataclass(frozen=True)
class _Shuffled:
  """[start, start + size) in a new order each epoch, endlessly.

  The order equals `grain.MapDataset.shuffle(seed).repeat()`, whose layers cost
  more than the permutation itself.
  """

  start: int
  size: int
  seed: int

  def __len__(self) -> int:
    return sys.maxsize

  def __getitem__(self, position: int) -> int:
    epoch, place = divmod(position, self.size)
    return self.start + grain.experimental.index_shuffle(
      place,
      max_index=self.size - 1,
      seed=(self.seed + epoch) % 2**32,
      rounds=4,
    )


def _order(source: base.Source, seed: int) -> Order:
  orders: list[Any] = []
  start = 0
  for k, (size, _) in enumerate(source.parts):
    part_seed = rng_lib.host_seed(seed, f"part {k}") if k else seed
    # Epoch k is shuffled by seed + k, so seeds next to each other would share
    # epochs.
    spread = np.random.SeedSequence((part_seed, 1)).generate_state(1)
    orders.append(_Shuffled(start, size, int(spread[0])))
    start += size
  if len(orders) == 1:
    return orders[0]
  # Whole numbers, because Grain rounds fractions.
  weights = [weight for _, weight in source.parts]
  parts = [grain.MapDataset.source(order) for order in orders]
  return cast(Any, grain.MapDataset.mix(parts, weights))


def eval_batches(
  source: base.Source,
  preprocess: Pipeline,
  *,
  batch_size: int,
  rows: slice = slice(None),
  on_error: str = "raise",
) -> Batches:
  """Every example once, in order, with "mask" float32 [rows].

  The last batch is filled up with a repeated example whose mask is 0. With
  `on_error` "skip" an example that cannot be read is replaced by another; its
  mask is 0 as well, and "skipped" int32 [rows] is 1 there, so that the sum of
  both is the number of examples. Random ops draw the same numbers every time.
  """
  num_batches = -(-len(source) // batch_size)
  return Batches(
    source,
    preprocess,
    batch_size,
    rows,
    num_batches,
    0,
    range(len(source)),
    masked=True,
    skip=on_error == "skip",
  )


def iterate(
  batches: Batches,
  start: int = 0,
  *,
  num_threads: int = 2,
  num_workers: int = 0,
  prefetch: int = 4,
) -> grain.DatasetIterator[Batch]:
  """The batches of steps `start`, `start + 1`, ..., made ahead of time.

  Args:
    batches: what to read.
    start: the first step.
    num_threads: threads that make batches, in each process; 0 makes a batch
      only when it is needed.
    num_workers: processes that make batches (on Linux); 0 uses this one.
      They are spawned and import from where this process does: the main module
      needs its `__main__` guard, and a program without absl calls
      `absl.flags.FLAGS.mark_as_parsed()` first, because Grain hands absl's
      flags to its workers.
    prefetch: batches ready ahead, in each process.
  """
  memory.keep_blocks()
  dataset = grain.MapDataset.source(cast(Any, batches))[start:].to_iter_dataset(
    grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=prefetch)
  )
  if num_workers and start < len(batches):
    # Sending a smaller array is quicker than sharing it.
    options = grain.experimental.DatasetOptions(min_shm_size=_SHARED_BYTES)
    dataset = grain.experimental.WithOptionsIterDataset(
      dataset.map(_share), options
    ).mp_prefetch(
      grain.MultiprocessingOptions(num_workers=num_workers), _begin_worker
    )
  return iter(dataset)


def _begin_worker(index: int, count: int) -> None:
  del index, count
  memory.keep_blocks()


def _share(batch: Batch) -> Batch:
  """The batch with its large arrays in memory that processes share.

  Grain would copy them there page by page, and a signal would end the process
  when there are no more pages. Writing a file takes half the time, and raises
  an error then.
  """
  return {
    key: _shared(x) if x.nbytes >= _SHARED_BYTES else x
    for key, x in batch.items()
  }


def _shared(x: np.ndarray) -> np.ndarray:
  shared = grain.multiprocessing.SharedMemoryArray(x.shape, x.dtype)
  file = pathlib.Path("/dev/shm", cast(Any, shared.shm).name)
  with file.open("r+b") as f:
    f.write(x.data)
  return shared


def image_shape(
  source: base.Source, preprocess: Pipeline, on_error: str = "raise"
) -> tuple[int, int, int]:
  """[h, w, c] of "image" in a batch, or of its views, from the first example.

  Raises:
    ConfigError: the preprocessed example cannot go into a batch.
  """
  batches = eval_batches(source, preprocess, batch_size=1, on_error=on_error)
  batch = batches[0]
  shape = batch["image"].shape[1:]
  # Multicrop gives [views, h, w, c].
  if len(shape) not in {3, 4}:
    raise errors.ConfigError(f"images are {shape}, not [h, w, c]")
  return shape[-3:]


def stack(examples: list[dict[str, Any]]) -> Batch:
  """Arrays [rows, ...] of each feature.

  Raises:
    ConfigError: a feature is not numbers, or not of one shape.
  """
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
