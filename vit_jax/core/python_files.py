"""Runs Python files that belong to no package: configs and sweeps."""

import importlib.util
import os
import pathlib
import types

from vit_jax.core import errors


def load_module(path: str | os.PathLike) -> types.ModuleType:
  """The module of a Python file, which is run again at every call.

  Raises:
    ConfigError: no such file, not a Python file, or a syntax error in it.
  """
  file = pathlib.Path(os.path.expanduser(path))
  if not file.is_file():
    near = [str(p) for p in sorted(file.parent.glob("*.py"))]
    raise errors.ConfigError(
      f"config={path} is no file{errors.did_you_mean(str(path), near)}"
    )
  # The prefix keeps the name apart from those of modules that are imported.
  spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
  if spec is None or spec.loader is None:
    raise errors.ConfigError(f"config={path} is not a Python file (*.py)")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except SyntaxError as e:
    raise errors.ConfigError(f"config={path}, line {e.lineno}: {e.msg}") from e
  return module
