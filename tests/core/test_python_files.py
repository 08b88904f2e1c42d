"""Python files that belong to no package are run by one function."""

import pytest

from vit_jax.core import errors, python_files
from vit_jax.sweeps import sweep


def test_a_file_is_run_at_every_call(tmp_path):
  file = tmp_path / "json.py"
  for value in (1, 22):
    file.write_text(f"VALUE = {value}\n")
    module = python_files.load_module(file)
    assert value == module.VALUE
  # The name of a real module is not taken away from it.
  assert module.__name__ == "config_json"


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("grids.py", "", r"grids\.py is no file; did you mean .*grid\.py"),
    ("notes.txt", "", r"notes\.txt is not a Python file"),
    ("bad.py", "x = 1\ndef f(:\n", r"bad\.py, line 2: invalid syntax"),
  ],
)
def test_what_cannot_be_run(tmp_path, name, text, message):
  (tmp_path / "grid.py").write_text("")
  if name != "grids.py":
    (tmp_path / name).write_text(text)
  with pytest.raises(errors.ConfigError, match=message):
    python_files.load_module(tmp_path / name)
  # A sweep's file is read by the same function.
  with pytest.raises(errors.ConfigError, match=message):
    sweep.load(str(tmp_path / name))
