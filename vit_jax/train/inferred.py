"""What a config infers from other files: once, by process 0, then recorded.

A config file may read a checkpoint or a data set to find its values, see
`core/config.py`. The workdir keeps them beside config.json, as they were before
the overrides, with the `--config` that they were inferred for. The same
`--config` takes them from there, so that a resume neither needs those files any
more nor depends on what has become of them.
"""

from collections.abc import Mapping
import json
from typing import Any

from vit_jax.core import config as config_lib, errors, files, storage

FILE = "inferred.json"
Record = dict[str, Any]


def record(folder: str, config: str, start_over: bool = False) -> Record:
  """The record of a run: {"config": `config`, "values": by group and field}.

  Args:
    folder: the workdir, which need not exist.
    config: "FILE:ARG", as the command was told.
    start_over: whether to infer anew what was recorded.

  Returns:
    JSON; empty where the config file infers nothing.

  Raises:
    ConfigError: of the config file, or the record is damaged.
    UserError: the files that the config reads cannot be read.
  """
  path, _, arg = config.partition(":")
  file = storage.path(folder) / FILE
  if not start_over and file.exists():
    theirs = _read(file)
    if theirs["config"] == config:
      return theirs
  values = config_lib.infer(path, arg)
  return {"config": config, "values": values} if values else {}


def _read(file: storage.AnyPath) -> Record:
  try:
    theirs = json.loads(file.read_text())
    if isinstance(theirs["config"], str) and isinstance(theirs["values"], dict):
      return theirs
    reason = "it is no record"
  except (OSError, ValueError, LookupError, TypeError) as e:
    reason = str(e)
  raise errors.ConfigError(
    f"{file} cannot be read ({reason}); restore it, or remove it to infer the"
    " values of the config again"
  )


def write(folder: storage.AnyPath, inferred: Mapping[str, Any]) -> None:
  """Writes a record, if there is one, into the folder of a run's files."""
  if inferred:
    text = json.dumps(inferred, indent=2, sort_keys=True)
    files.write(folder / FILE, f"{text}\n")
