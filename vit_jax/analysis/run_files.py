"""Reads the files of a run's workdir."""

import dataclasses
import json
import pathlib
import re
from typing import Any

from jaxtyping import Float64
import numpy as np

from vit_jax.checkpoints import manifest, steps
from vit_jax.core import errors, files, identity, storage


@dataclasses.dataclass(frozen=True)
class RunFiles:
  """A run, as its files describe it.

  Attributes:
    name: name of its folder, or a name that the user gave it.
    home: its folder.
    config: every config field, by its dotted path.
    metrics: columns of metrics.jsonl by name; NaN where a row has no value.
    evals: rows of evals.jsonl, in their order.
    provenance: provenance in the newest checkpoint; empty if there is none.
    continues: the workdir of the run that it continues, and from which step.
  """

  name: str
  home: storage.AnyPath
  config: dict[str, Any]
  metrics: dict[str, Float64[np.ndarray, " steps"]]
  evals: list[dict[str, Any]]
  provenance: dict[str, Any]
  continues: dict[str, Any]

  @property
  def images_per_s(self) -> Float64[np.ndarray, " intervals"]:
    """Training rate between each row and the one before.

    NaN where a run was resumed, because its clock starts again there.
    """
    step, time = self.metrics["step"], self.metrics["time_s"]
    images = np.diff(step) * self.config["data.batch_size"]
    seconds = np.diff(time)
    rate = np.full(images.shape, np.nan)
    return np.divide(images, seconds, out=rate, where=seconds > 0)

  @property
  def last_scores(self) -> dict[str, dict[str, float]]:
    """The last scores of each evaluator."""
    return {
      row["name"]: {k: v for k, v in row.items() if k != "name"}
      for row in self.evals
    }


def read_all(workdirs: list[str]) -> list[RunFiles]:
  """Several runs, each under a name of its own.

  Args:
    workdirs: folders, or "NAME=FOLDER" to give a run a name, which must not
      contain a slash.
  """
  runs = []
  for text in workdirs:
    named = re.fullmatch(r"([^/]+)=(.+)", text)
    run = read(named[2] if named else text)
    runs.append(dataclasses.replace(run, name=named[1]) if named else run)
  if len({run.name for run in runs}) == len(runs):
    return runs
  return [dataclasses.replace(run, name=str(run.home)) for run in runs]


def read(workdir: str) -> RunFiles:
  """The files of a run.

  Raises:
    ConfigError: it is not a workdir, or no step is done yet.
    DataError: a file is damaged.
  """
  home = storage.path(workdir)
  try:
    config = json.loads((home / "config.json").read_text())
    rows = files.read_rows(home / "metrics.jsonl")
  except FileNotFoundError as e:
    raise errors.ConfigError(
      f"workdir={workdir} is not the folder of a run: it has no"
      f" {pathlib.Path(e.filename).name}"
    ) from e
  except (ValueError, OSError) as e:
    raise errors.DataError(f"workdir={workdir}: {e}") from e
  if not rows:
    raise errors.ConfigError(f"workdir={workdir}: no step is done yet")
  names = dict.fromkeys(key for row in rows for key in row)
  saved = home / "checkpoints"
  finished = steps.finished(saved) if saved.exists() else []
  meta = manifest.read(saved / str(finished[-1]))["meta"] if finished else {}
  return RunFiles(
    name=home.absolute().name,
    home=home,
    config=identity.leaves(config),
    metrics={
      name: np.array([row.get(name, np.nan) for row in rows], float)
      for name in names
    },
    evals=files.read_rows(home / "evals.jsonl"),
    provenance=meta.get("provenance", {}),
    continues=meta.get(manifest.SEAM, {}),
  )
