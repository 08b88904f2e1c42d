"""A command imports what it uses, and not before it uses it."""

import importlib
import json
import pathlib
import subprocess
import sys

import pytest

from tests.arch import source
from tests.e2e import run as cli
from vit_jax.cli import main

# What takes seconds to import, or serves a few commands alone.
SELDOM = {
  *("tensorflow", "keras", "tensorflow_datasets", "sklearn", "matplotlib"),
  *("apache_beam", "submitit"),
}
HEAVY = {
  *("jax", "flax", "optax", "orbax", "tensorstore", "grain", "array_record"),
  *("numpy", "cv2", "PIL", "tensorboard"),
}
# `data` is what TFDS is there for.
USES = {"data": {"tensorflow_datasets"}}
LIST = "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"


def imported(script, *arguments):
  """The top-level packages that are there at the end of a script."""
  done = subprocess.run(
    [
      *(sys.executable, "-c", f"import json, sys\n{script}\n{LIST}"),
      *arguments,
    ],
    cwd=source.ROOT,
    env={**cli.environment(1), "PYTHONPATH": str(source.ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return set(json.loads(done.stdout.splitlines()[-1]))


def needs(command):
  """What a command's file imports, also inside of functions."""
  path = importlib.import_module(main.commands()[command]).__file__
  name = f"vit_jax.cli.{command}"
  module = source.parse(pathlib.Path(path).read_text(), name)
  return {n for n, _ in source.imports(module) if n.startswith("vit_jax.")}


def test_help_imports_nothing_heavy():
  there = imported("from vit_jax.cli import main\nmain.parser().format_help()")
  assert not there & (SELDOM | HEAVY)


@pytest.mark.parametrize("command", [*USES, "all others"])
def test_commands_leave_for_later_what_few_of_them_use(command):
  others = set(main.commands()) - set(USES)
  names = {n for c in ({command} & set(USES) or others) for n in needs(c)}
  there = imported(
    "import importlib\n"
    "for name in sys.argv[1].split():\n"
    "  try:\n"
    "    importlib.import_module(name)\n"
    "  except ModuleNotFoundError:\n"
    "    # A function or a class of the module before the last dot.\n"
    "    importlib.import_module(name.rpartition('.')[0])\n",
    " ".join(sorted(names)),
  )
  assert not there & SELDOM - USES.get(command, set())


def test_training_needs_no_tensorflow(data_dir, tmp_path):
  there = imported(
    "from vit_jax.cli import main\nassert main.main(sys.argv[1:]) == 0",
    "train",
    f"--config={cli.TINY}:steps=12",
    f"--config.runtime.data_dir={data_dir}",
    f"--workdir={tmp_path}",
  )
  assert list(tmp_path.glob("events.out.tfevents.*"))
  assert not there & SELDOM - {"tensorflow_datasets"}
