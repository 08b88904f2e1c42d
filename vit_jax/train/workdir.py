"""The folder of a run: who may write to it, and which run it belongs to."""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shlex
from typing import Any

import numpy as np

from vit_jax.checkpoints import manifest, steps
from vit_jax.cluster import processes
from vit_jax.core import (
  config as config_lib,
  errors,
  files,
  identity,
  owners,
  parts,
  storage,
  tree,
)
from vit_jax.data import base as sources
from vit_jax.train import (
  claims,
  experiment as experiment_lib,
  inferred as inferred_lib,
  mirror as mirror_lib,
  provenance,
  recording,
  setup,
)

CHECKPOINTS = "checkpoints"
_CONFIG = "config.json"
_JOURNALS = ("metrics.jsonl", "evals.jsonl")
# Tells that the run has had a checkpoint, even if all of them are gone.
_SAVED = "saved.json"


@dataclasses.dataclass
class Workdir:
  """The folder that a run writes to.

  Attributes:
    home: the folder that the user named; checkpoints go there directly.
    files: the folder of everything else, which process 0 writes: the same, or
      for a bucket a folder on this machine that is uploaded.
    lease: the claim of a folder in a bucket, where the run has one.
    mirror: what uploads `files` to a bucket, where the run has one.
  """

  home: storage.AnyPath
  files: pathlib.Path
  lease: claims.Lease | None = None
  mirror: mirror_lib.Mirror | None = None

  def note_saved(self, step: int) -> None:
    """Notes, outside of the folder of checkpoints, that one was saved."""
    files.write(self.home / _SAVED, json.dumps({"newest": step}) + "\n")

  def check_new(self, save_every: int) -> None:
    """Checks that a run without a good checkpoint never had one.

    Raises:
      CheckpointError: this run has saved one before.
    """
    saved = self.home / CHECKPOINTS
    damaged = [
      f"{steps.DAMAGED}/{path.name}"
      for path in sorted(saved.glob(f"{steps.DAMAGED}/*"))
      if (path / manifest.FILE).exists()
    ]
    rows = recording.count_rows(self.files / "metrics.jsonl")
    had_one = bool(damaged) or (self.home / _SAVED).exists()
    # The second save waits for the end of the first one.
    if not had_one and rows <= 2 * save_every:
      return
    raise errors.CheckpointError(
      f"workdir={self.home} has no good checkpoint left: metrics.jsonl has"
      f" {rows} rows, {CHECKPOINTS}/ has"
      f" {', '.join(damaged) or 'no checkpoint'}; repair or mount"
      f" {CHECKPOINTS}/ and run the same command again, or give --start_over to"
      " set the old run aside and train from the first step"
    )

  def sync(self) -> None:
    """Returns once all files are in `home`, which the run still owns.

    Raises:
      StorageError: they cannot be written, or another run has taken over.
    """
    if self.mirror is not None:
      self.mirror.upload()
    if self.lease is not None:
      self.lease.check()


@contextlib.contextmanager
def claim(
  folder: str,
  config: config_lib.ConfigDict,
  start_over: bool = False,
  inferred: Mapping[str, Any] | None = None,
) -> Iterator[Workdir]:
  """Makes the workdir and claims it for one run and one config.

  Args:
    folder: the workdir.
    config: config of the run.
    start_over: move what an earlier run has left to a folder of its own.
    inferred: the record of what the config inferred, see `inferred.record`.

  Raises:
    ConfigError: it belongs to another config (names what differs), or to
      something that is not a run.
    StorageError: it cannot be written, or another process is writing to it.
  """
  home = storage.path(folder).absolute()
  # Nobody but process 0 writes.
  workdir = Workdir(home, pathlib.Path(os.devnull))
  with contextlib.ExitStack() as held:

    def take() -> None:
      owners.check_folder("workdir", home, but=owners.RUN)
      if isinstance(home, storage.BucketPath):
        workdir.lease = held.enter_context(claims.leased(home))
        workdir.mirror = held.enter_context(mirror_lib.mirrored(home))
        workdir.files = workdir.mirror.folder
      else:
        held.enter_context(claims.locked(home))
        workdir.files = home
      if start_over:
        _set_aside(workdir)
      _belong(workdir, config)
      inferred_lib.write(workdir.files, inferred or {})

    processes.on_first(take)
    yield workdir


def _belong(workdir: Workdir, config: config_lib.ConfigDict) -> None:
  path = workdir.files / _CONFIG
  if path.exists():
    theirs = _read_config(path, config)
    longer = (
      f"; to go on from its last step for longer, name a new workdir and"
      f" --config.start.resume={shlex.quote(str(workdir.home))}"
    )
    _refuse_other(theirs, config, str(workdir.home), longer)
  elif not steps.finished(workdir.home / CHECKPOINTS):
    for name in (*_JOURNALS, CHECKPOINTS):
      if _holds_something(workdir.files / name):
        raise errors.ConfigError(
          f"workdir={workdir.home} has {name} without the {_CONFIG} of a run:"
          " it is foreign, or belongs to a run that has lost it; use another"
          " workdir, or give --start_over to set the old files aside"
        )
  files.write(path, config_lib.to_json(config) + "\n")


def _holds_something(path: pathlib.Path) -> bool:
  return any(path.iterdir()) if path.is_dir() else path.exists()


def _read_config(
  path: pathlib.Path, ours: config_lib.ConfigDict
) -> config_lib.ConfigDict:
  """The config that a workdir belongs to.

  Raises:
    ConfigError: the file is damaged, or no config of a run.
  """
  try:
    theirs = json.loads(path.read_bytes())
  except (ValueError, OSError) as e:
    raise errors.ConfigError(
      f"{path} cannot be read ({e}); restore it, or remove it: every checkpoint"
      " holds the config as well"
    ) from e
  if not isinstance(theirs, dict) or not set(theirs) & set(ours):
    raise errors.ConfigError(
      f"{path} is not the config of a run; use another workdir"
    )
  return config_lib.ConfigDict(theirs)


def _set_aside(workdir: Workdir) -> None:
  """Moves all that a run has left to the first free folder `before-N`."""
  home, n = workdir.home, 1
  while (home / f"before-{n}").exists():
    n += 1
  names = [
    path.name
    for path in home.iterdir()
    if path.name
    in (_CONFIG, inferred_lib.FILE, _SAVED, *_JOURNALS, CHECKPOINTS, "profile")
    or re.fullmatch(r"(metrics|evals)\.cut\.jsonl|events\.out\..*", path.name)
  ]
  for name in names:
    (home / f"before-{n}").mkdir(exist_ok=True)
    (home / name).rename(home / f"before-{n}" / name)
  if workdir.files != home:
    for name in names:
      (workdir.files / name).unlink(missing_ok=True)
  if names:
    processes.say(f"what was in {home} is now in {home / f'before-{n}'}")


def _refuse_other(
  theirs: config_lib.ConfigDict,
  ours: config_lib.ConfigDict,
  where: str,
  longer: str = "",
) -> None:
  changed = differences(theirs, ours)
  if changed:
    is_longer = any(text.startswith("duration: ") for text in changed)
    raise errors.ConfigError(
      f"workdir={where} belongs to another config: {'; '.join(changed)}; use"
      " another workdir or the old values (only runtime.* may change)"
      f"{longer if is_longer else ''}"
    )


def differences(
  theirs: config_lib.ConfigDict, ours: config_lib.ConfigDict
) -> list[str]:
  """`path: theirs -> ours` for what makes them configs of different runs."""
  added = identity.added_fields(experiment_lib.Experiment, ours)
  now, before = identity.of_run(ours, added), identity.of_run(theirs, added)
  for key in now:
    # Of all that has a name, only a data set has a preprocess as well.
    group, _, field = key.rpartition(".")
    name = f"{group}.name"
    if field != "preprocess" or name not in now or name not in before:
      continue
    if sources.is_same(now[name], str(before[name])):
      before[name] = now[name]
  return identity.difference(now, before)


def meta(config: config_lib.ConfigDict, run: setup.Run) -> dict[str, Any]:
  """The metadata that is saved beside a state."""
  train = run.inputs.train
  return {
    "config": json.loads(config_lib.to_json(config)),
    "data": json.loads(json.dumps(train.fingerprint)),
    "labels": list(train.class_names),
    "model": run.task.model_paths(run.state.variables()),
    "weights": {
      name: _digest(loaded.variables)
      for name, loaded in run.task.weights.items()
    },
    "parts": parts.fingerprint(),
    "provenance": provenance.describe(),
  }


def _digest(variables: Any) -> str:
  """SHA-256 of arrays and their names."""
  digest = hashlib.sha256()
  for name, array in sorted(tree.flatten(variables).items()):
    value = np.ascontiguousarray(array)
    digest.update(f"{name} {value.dtype} {value.shape}".encode())
    digest.update(value.tobytes())
  return digest.hexdigest()


def settings(config: config_lib.ConfigDict) -> dict[str, Any]:
  """Every leaf of a config but `data_dir`, which hosts may differ in."""
  # Nested under another name, `runtime` is compared too.
  flat = identity.of_run(config_lib.ConfigDict({"config": config.to_dict()}))
  del flat["config.runtime.data_dir"]
  return flat


def data(inputs: experiment_lib.Inputs) -> dict[str, Any]:
  """Every leaf of the fingerprints of all data sets."""
  evals = {
    name: {field: source.fingerprint for field, source in splits.items()}
    for name, splits in inputs.evals.items()
  }
  prints = {"train": inputs.train.fingerprint, "evals": evals}
  return identity.of_run(config_lib.ConfigDict(prints))


def check_same(saved: dict[str, Any], ours: dict[str, Any], step: int) -> None:
  """Refuses to resume with another config or on other data.

  Raises:
    ConfigError: the config differs in more than `runtime`.
    DataError: of `check_inputs`.
  """
  _refuse_other(
    config_lib.ConfigDict(saved["config"]),
    config_lib.ConfigDict(ours["config"]),
    f"(checkpoint {step})",
  )
  check_inputs(saved, ours, step)


def check_inputs(
  saved: dict[str, Any], ours: dict[str, Any], step: int
) -> None:
  """Refuses to go on from a checkpoint with other data.

  Says so if the code of parts from outside, or a library's version, changed.

  Raises:
    DataError: the data set, or the weights that the task needs, are not those
      of the checkpoint.
  """
  changed = identity.difference(ours["parts"], saved.get("parts", {}))
  if changed:
    processes.say(
      f"the code of parts from outside changed since step {step} was saved:"
      f" {'; '.join(changed)}"
    )
  # As in weights below, the oldest runs do not say it.
  made = saved.get("provenance")
  changed = made and provenance.difference(ours["provenance"], made)
  if changed:
    processes.say(
      f"step {step} was saved with other versions, which may round otherwise:"
      f" {'; '.join(changed)}"
    )
  changed = identity.difference(
    _placeless(ours["data"]), _placeless(saved["data"])
  )
  if changed:
    raise errors.DataError(
      f"the training data changed since step {step} was saved:"
      f" {'; '.join(changed)}; restore it, or start in another workdir"
    )
  # Runs of older versions have none.
  weights = saved.get("weights", {})
  if weights != ours["weights"]:
    names = [k for k, v in ours["weights"].items() if weights.get(k) != v]
    raise errors.DataError(
      f"the weights of task.{', task.'.join(names)} changed since step {step}"
      " was saved; restore them, or start in another workdir"
    )


def _placeless(data: dict[str, Any]) -> dict[str, Any]:
  """A fingerprint whose parts, if it has any, are named without places."""
  parts = {}
  for key, inner in data.get("parts", {}).items():
    place, _, name = key.partition(":")
    parts[f"{place}:{sources.placeless(name)}"] = inner
  return {**data, "parts": parts} if parts else data
