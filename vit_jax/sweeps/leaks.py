"""Whether a run trains on, or is selected by, what it is scored with."""

from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax.core import config as config_lib, errors
from vit_jax.data import base as sources
from vit_jax.sweeps import sweep as sweep_lib

# What holds examples, and the first and the last but one in it.
Piece = tuple[str, int, int]
# Data set, split, data_dir.
Split = tuple[str, str, str]


def check(sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run]) -> None:
  """Refuses a sweep whose selection sees training or test examples.

  The evaluator that selects shares no example with what those runs train on,
  nor with any evaluator of the final runs; final runs train on nothing that
  they are scored with. What a run starts from has trained on something as well.
  Examples are told apart by where they are, not by what they show.

  Raises:
    ConfigError: which two splits share examples, and how many.
  """
  if not sweep.metric:
    return
  judge = sweep.metric.partition("/")[0]
  seen = set()
  for run in runs:
    if run.stage != "first":
      continue
    what = _splits(run)
    if judge not in what:
      known = ", ".join(sorted(run.config.evals))
      raise errors.ConfigError(
        f"metric={sweep.metric}: no run has an evaluator {judge} (there are:"
        f" {known})"
      )
    key = str((what, _trained_on(run)))
    if key in seen:
      continue
    seen.add(key)
    for split in _trained_on(run):
      _disjoint("selection", what[judge], "training", split)
    for over in sweep.final:
      end = sweep_lib.make(run.path, {**run.setting, **over})
      for name, split in _splits(end).items():
        _disjoint("selection", what[judge], f"the final {name}", split)
        for train in _trained_on(end):
          _disjoint("the final training", train, name, split)


def _splits(run: sweep_lib.Run) -> dict[str, Split]:
  """What each evaluator scores on."""
  return {
    name: _split(run, config.data) for name, config in run.config.evals.items()
  }


def _trained_on(run: sweep_lib.Run) -> list[Split]:
  """What a run, and those that come before it, train on."""
  return [
    _split(one, one.config.data.train) for one in (run, *sweep_lib.needed(run))
  ]


def _split(run: sweep_lib.Run, split: config_lib.ConfigDict) -> Split:
  return split.name, split.split, run.config.runtime.data_dir


def _disjoint(a: str, of_a: tuple, b: str, of_b: tuple) -> None:
  shared = overlap(
    *(sources.open_source(*of).fingerprint for of in (of_a, of_b))
  )
  if shared:
    raise errors.ConfigError(
      f"{a} ({of_a[0]}, {of_a[1]}) and {b} ({of_b[0]}, {of_b[1]}) share"
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
  """Where the examples of a source are, from its fingerprint."""
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
