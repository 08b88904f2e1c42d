"""Importing a module only defines names."""

import os
import subprocess
import sys

import pytest

from tests.arch import source

# Third parties go first: what they do at import is theirs.
SCRIPT = """
import importlib, sys
others, ours = sys.argv[1].split(), sys.argv[2].split()
import jax
from absl import flags
for name in others:
  importlib.import_module(name)
values = dict(jax.config.values)
for name in ours:
  importlib.import_module(name)
changed = {k for k, v in jax.config.values.items() if values[k] != v}
assert not changed, f"jax.config changed: {changed}"
mine = [m for m in flags.FLAGS.flags_by_module_dict() if m in ours]
assert not mine, f"flags defined by {mine}"
"""
NO_TENSORFLOW = """
import importlib, sys
for name in sys.argv[1].split():
  importlib.import_module(name)
assert "tensorflow" not in sys.modules, "core imports TensorFlow"
"""


def run(script, *arguments):
  # A platform that does not exist: starting a backend is an error.
  env = {**os.environ, "JAX_PLATFORMS": "none_such", "JAX_ENABLE_X64": "0"}
  # Python takes an option that is there as well for a repetition of it.
  env.pop("PYTHONWARNINGS", None)
  return subprocess.run(
    [
      *(sys.executable, "-W", "error"),
      # As in pyproject.toml.
      *("-W", "ignore:Protobuf gencode version:UserWarning"),
      *("-c", script, *arguments),
    ],
    cwd=source.ROOT,
    env=env,
    capture_output=True,
    text=True,
    check=False,
  )


def ours(room=None):
  return [
    m.name
    for m in source.modules()
    if m.name.startswith(source.PACKAGE)
    and not m.name.endswith("__main__")
    and room in {None, m.room}
  ]


def third_party():
  names = set()
  for module in source.modules():
    for node, _ in source.imports(module):
      top = node.split(".")[0]
      if top not in {source.PACKAGE, "configs", *sys.stdlib_module_names}:
        names.add(top)
  return sorted(names)


def test_imports_start_no_backend_define_no_flag_change_no_setting():
  result = run(SCRIPT, " ".join(third_party()), " ".join(ours()))
  assert result.returncode == 0, result.stderr[-3000:]


def test_core_imports_no_tensorflow():
  result = run(NO_TENSORFLOW, " ".join(ours("core")))
  assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize(
  ("script", "text", "message"),
  [
    (SCRIPT, "import jax.numpy as jnp\nX = jnp.zeros(3)", "none_such"),
    (SCRIPT, "import jax\nX = jax.device_count()", "none_such"),
    (
      SCRIPT,
      "from absl import flags\nflags.DEFINE_bool('x', 0, 'x')",
      "flags defined by ['effect']",
    ),
    (
      SCRIPT,
      "import jax\njax.config.update('jax_enable_x64', True)",
      "jax.config changed: {'jax_enable_x64'}",
    ),
    (NO_TENSORFLOW, "import tensorflow", "core imports TensorFlow"),
  ],
)
def test_an_effect_is_found(tmp_path, monkeypatch, script, text, message):
  (tmp_path / "effect.py").write_text(text)
  (tmp_path / "tensorflow.py").write_text("")
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  result = run(script, *(["", "effect"] if script == SCRIPT else ["effect"]))
  assert result.returncode == 1
  assert message in result.stderr
