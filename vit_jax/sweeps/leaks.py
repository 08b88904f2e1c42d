"""Whether a run trains on, or is selected by, what it is scored with."""

from collections.abc import Iterable, Mapping
from typing import Any

from vit_jax.core import config as config_lib, errors
from vit_jax.data import sources
from vit_jax.sweeps import sweep as sweep_lib

# What holds examples, and the first and the last but one in it.
Piece = tuple[str, int, int]


def check(sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run]) -> None:
  """Refuses a sweep whose selection sees training or test examples.

  The evaluator that selects shares no example with what those runs train on,
  nor with any evaluator of the final runs; final runs train on nothing that
  they are scored with. Examples are told apart by where they
  are, not by what they show.

  Raises:
    ConfigError: which two splits share examples, and how many.
  """
  if not sweep.metric:
    return
  judge = sweep.metric.partition("/")[0]
  seen = set()
  for run in runs:
    what = _splits(run.config)
    if judge not in what:
      known = ", ".join(sorted(set(what) - {"train"}))
      raise errors.ConfigError(
        f"metric={sweep.metric}: no run has an evaluator {judge} (there are:"
        f" {known})"
      )
    if str(what) in seen:
      continue
    seen.add(str(what))
    _disjoint("selection", what[judge], "training", what["train"])
    for over in sweep.final:
      end = _splits(sweep_lib.make(run.path, {**run.setting, **over}).config)
      for name, split in end.items():
        if name != "train":
          _disjoint("selection", what[judge], f"the final {name}", split)
          _disjoint("the final training", end["train"], name, split)


def _splits(config: config_lib.ConfigDict) -> dict[str, tuple[str, str, str]]:
  """(data set, split, data_dir) by evaluator, and "train"."""
  where = config.runtime.data_dir
  found = {name: e.data for name, e in config.evals.items()}
  return {
    name: (split.name, split.split, where)
    for name, split in {**found, "train": config.data.train}.items()
  }


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
