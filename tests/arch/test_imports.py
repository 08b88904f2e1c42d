"""Who may import what."""

import importlib.metadata
import re
import sys

import pytest

from tests.arch import source

TIER = {room: i for i, rooms in enumerate(source.TIERS) for room in rooms}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def tier_faults(module):
  """Imports of one module that do not point left."""
  for name, line in source.imports(module):
    parts = name.split(".")
    if parts[0] not in {source.PACKAGE, "configs"}:
      continue
    room = "configs" if parts[0] == "configs" else parts[1]
    if room not in TIER:
      continue
    if room != module.room and TIER[room] >= TIER[module.room]:
      yield f"{module}:{line}: {module.room} may not import {name}"


def outside_faults(module):
  """Imports and names that only one room may touch."""
  used = [*source.imports(module), *source.attributes(module.tree)]
  for name, line in used:
    where = f"{module}:{line}: {name}"
    top = name.split(".")[0]
    if top in PICKLES:
      yield f"{where}: unpickling runs code"
    if top == "matplotlib" and module.name != "vit_jax.analysis.plots":
      yield f"{where}: only analysis/plots.py draws"
    if module.room != "cli" and re.match(
      r"(absl\.(flags|app)|flags\.\w+|ml_collections\.config_flags"
      r"|config_flags\.\w+|os\.(environ|getenv|putenv)|jax\.config)\b",
      name,
    ):
      yield f"{where}: only cli/ touches flags, environment and jax.config"


def test_every_room_has_a_tier():
  rooms = {m.room for m in source.modules()}
  assert rooms <= set(TIER), rooms - set(TIER)


def test_imports_point_left():
  faults = [f for m in source.modules() for f in tier_faults(m)]
  assert not faults, "\n".join(faults)


def test_only_one_room_touches_what_is_global():
  faults = [f for m in source.modules() for f in outside_faults(m)]
  assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
  ("name", "text"),
  [
    ("vit_jax.core.tree", "from vit_jax.nn import attention"),
    ("vit_jax.core.tree", "def f():\n  import vit_jax.train.loop"),
    ("vit_jax.nn.mlp", "from vit_jax.losses import classification"),
    ("vit_jax.nn.mlp", "from vit_jax import models"),
    ("vit_jax.tasks.mae", "x = component('vit_jax.evals', 'real')"),
    ("vit_jax.train.loop", "import configs.quickstart"),
    ("configs.quickstart", "from vit_jax.cli import main"),
  ],
)
def test_a_wrong_import_is_found(name, text):
  assert len(list(tier_faults(source.parse(text, name)))) == 1


@pytest.mark.parametrize(
  "text",
  [
    "import pickle",
    "def f():\n  from pickle import load",
    "import matplotlib.pyplot as plt",
    "from absl import flags",
    "from ml_collections import config_flags",
    "import os\nhome = os.environ['HOME']",
    "import jax\njax.config.update('jax_enable_x64', True)",
  ],
)
def test_a_forbidden_name_is_found(text):
  assert list(outside_faults(source.parse(text, "vit_jax.data.tfds")))


def test_the_command_line_may_touch_flags():
  module = source.parse("from absl import flags", "vit_jax.cli.main")
  assert not list(outside_faults(module))


def test_every_imported_package_is_declared():
  of_import = importlib.metadata.packages_distributions()
  project = source.pyproject()["project"]
  extras = project["optional-dependencies"]
  declared = {
    re.match(r"[\w-]+", d)[0].lower().replace("_", "-")
    for d in project["dependencies"] + extras["beam"] + extras["slurm"]
  }
  # Needs an extra of its own, or comes with what declares it.
  declared |= {"jaxlib", "libtpu"}
  faults = []
  for module in source.modules():
    for name, line in source.imports(module):
      top = name.split(".")[0]
      if top in sys.stdlib_module_names or top in {source.PACKAGE, "configs"}:
        continue
      providers = {
        d.lower().replace("_", "-") for d in of_import.get(top, [top])
      }
      if not providers & declared:
        faults.append(f"{module}:{line}: {top} is not in pyproject.toml")
  assert not faults, "\n".join(faults)
