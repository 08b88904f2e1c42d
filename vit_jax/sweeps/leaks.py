"""Finds runs that train on, or are selected by, what they are scored with."""

from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax.core import errors
from vit_jax.data import base as sources
from vit_jax.sweeps import sweep as sweep_lib

# A split or a file, and a range of examples in it: the first, and the one after
# the last.
Piece = tuple[str, int, int]
# Data set, split, data_dir.
Split = tuple[str, str, str]


def check(sweep: sweep_lib.Sweep) -> None:
  """Refuses a sweep whose selection sees training or test examples.

  The evaluator that selects must share no example with what those runs train
  on, nor with any evaluator of the final runs, and final runs must not train on
  what they are scored with. A run also trains on what the runs that it starts
  from have trained on. Two examples are the same if they are at the same place
  of the same data set, whatever they show.

  Raises:
    ConfigError: which two splits share examples, and how many.
  """
  if not sweep.metric:
    return
  judge = sweep.metric.partition("/")[0]
  seen = set()
  for run in sweep.runs:
    if run.stage != "first":
      continue
    splits = _splits(run)
    if judge not in splits:
      known = ", ".join(sorted(run.config.evals))
      raise errors.ConfigError(
        f"metric={sweep.metric}: no run has an evaluator {judge} (there are:"
        f" {known})"
      )
    key = str((splits, _trained_on(run)))
    if key in seen:
      continue
    seen.add(key)
    for split in _trained_on(run):
      _disjoint("selection", splits[judge], "training", split)
    for over in sweep.final:
      end = sweep_lib.make(run.path, {**run.setting, **over})
      for name, split in _splits(end).items():
        _disjoint("selection", splits[judge], f"the final {name}", split)
        for train in _trained_on(end):
          _disjoint("the final training", train, name, split)


def _splits(run: sweep_lib.Run) -> dict[str, Split]:
  """The split that each evaluator scores."""
  return {
    name: _split(run, config.data) for name, config in run.config.evals.items()
  }


def _trained_on(run: sweep_lib.Run) -> list[Split]:
  """The splits that a run, and those that come before it, train on."""
  runs = (run, *sweep_lib.needed(run))
  return [_split(r, r.config.data.train) for r in runs]


def _split(run: sweep_lib.Run, split: Any) -> Split:
  return split.name, split.split, run.config.runtime.data_dir


def _disjoint(a: str, split_a: Split, b: str, split_b: Split) -> None:
  shared = overlap(
    *(sources.open_source(*s).fingerprint for s in (split_a, split_b))
  )
  if shared:
    raise errors.ConfigError(
      f"{a} ({', '.join(split_a[:2])}) and {b} ({', '.join(split_b[:2])}) share"
      f" {shared:,} examples; take splits that share none"
    )


def overlap(a: Mapping[str, Any], b: Mapping[str, Any]) -> int:
  """Examples that two sources share, from their fingerprints."""
  return sum(
    max(0, min(stop, last) - max(start, first))
    for holder, start, stop in pieces(a)
    for other, first, last in pieces(b)
    if holder == other
  )


def pieces(fingerprint: Mapping[str, Any]) -> Iterable[Piece]:
  """The ranges of examples that make up a source, from its fingerprint."""
  if "parts" in fingerprint:
    for part in fingerprint["parts"].values():
      yield from pieces(part)
    return
  home = f"{fingerprint['name']} {fingerprint['version']}"
  sizes = fingerprint["shard_sizes"]
  if "files" in fingerprint:
    yield home, sizes[0], sizes[1]
  elif isinstance(sizes[0], list | tuple):
    for file, skip, take in sizes:
      yield f"{home} {file}", skip, skip + take
  else:
    yield f"{home} {fingerprint['split']}", 0, sizes[0]
