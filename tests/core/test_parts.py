"""Parts by name, inside of a package and outside."""

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from vit_jax.core import config as config_lib, errors, parts

CONTRACT = """
import abc

class Config:
  pass

class Thing(abc.ABC):
  @abc.abstractmethod
  def run(self): ...

DEFINES = {"Config": Config, "Thing": Thing, "LEVEL": None}
"""
PART = """
import dataclasses
from parts_zoo import base

LEVEL = 1

@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  width: int = {width}

class Thing(base.Thing):
  def run(self):
    return 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A package of parts, and one from outside, that are importable."""
  for package in ("parts_zoo", "parts_lab"):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
  (tmp_path / "parts_zoo" / "base.py").write_text(CONTRACT)
  (tmp_path / "parts_zoo" / "small.py").write_text(PART.format(width=8))
  (tmp_path / "parts_zoo" / "helper.py").write_text("WIDTH = 3\n")
  (tmp_path / "parts_lab" / "wide.py").write_text(PART.format(width=64))
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(parts, "_outside", {})
  yield tmp_path
  for name in [m for m in sys.modules if m.startswith("parts_")]:
    del sys.modules[name]


def find(name):
  return parts.find("parts_zoo", name)


def error(name):
  with pytest.raises(errors.ConfigError) as e:
    find(name)
  return str(e.value)


def test_only_files_that_keep_the_contract_are_parts(folder):
  assert parts.names("parts_zoo") == ["small"]
  assert find("small").LEVEL == 1
  assert error("helper") == "unknown name=helper (there are: small)"
  assert error("smal") == (
    "unknown name=smal; did you mean small? (there are: small)"
  )


def test_a_name_with_dots_is_a_module_from_outside(folder):
  wide, small = (find(x).Config() for x in ("parts_lab.wide", "small"))
  assert wide.width == 64
  assert parts.name_of(wide, "parts_zoo") == "parts_lab.wide"
  assert parts.name_of(small, "parts_zoo") == "small"


@pytest.mark.parametrize(
  ("text", "says"),
  [
    ("import nowhere_at_all", "cannot be imported (No module named 'nowhere"),
    ("def f(:", "cannot be imported (invalid syntax"),
    (
      "",
      "wrong.py defines no Config; it defines no Thing; it defines no LEVEL",
    ),
    (
      PART.format(width=1).replace("(base.Thing)", ""),
      "wrong.py defines a Thing that does not derive from parts_zoo.base.Thing",
    ),
    (
      PART.format(width=1).replace("def run", "def walk"),
      "wrong.py defines a Thing without run; see parts_zoo.base",
    ),
    (
      PART.format(width=1).replace("(frozen=True)", ""),
      "wrong.py defines a Config that is no frozen dataclass",
    ),
  ],
)
def test_errors_name_the_file_and_what_it_lacks(folder, text, says):
  (folder / "parts_lab" / "wrong.py").write_text(text)
  message = error("parts_lab.wrong")
  assert message.startswith("name=parts_lab.wrong: ")
  assert says in message
  assert "\n" not in message


def test_a_checkpoint_imports_nothing_from_outside(folder):
  with parts.only(()), pytest.raises(errors.ConfigError) as e:
    find("parts_lab.wide")
  assert "--allow_parts=parts_lab" in str(e.value)
  assert "parts_lab" not in sys.modules
  with parts.only(["parts_la", "parts_lab.wid"]):
    error("parts_lab.wide")
  for allowed in ("parts_lab", "parts_lab.wide"):
    with parts.only([allowed]):
      assert find("parts_lab.wide").LEVEL == 1
  # And afterwards the user's own configs may again.
  assert find("parts_lab.wide").LEVEL == 1


def test_the_fingerprint_is_of_every_file_of_the_outside_package(folder):
  assert parts.fingerprint() == {}
  find("small")
  assert parts.fingerprint() == {}
  find("parts_lab.wide")
  before = parts.fingerprint()
  assert set(before) == {"parts_lab/__init__.py", "parts_lab/wide.py"}
  (folder / "parts_lab" / "more.py").write_text("X = 1\n")
  (folder / "parts_lab" / "wide.py").write_text(PART.format(width=65))
  after = parts.fingerprint()
  assert set(after) - set(before) == {"parts_lab/more.py"}
  changed = {k for k in before if before[k] != after[k]}
  assert changed == {"parts_lab/wide.py"}


@dataclasses.dataclass(frozen=True)
class Inner:
  part: Any = config_lib.component("parts_zoo", "small")


@dataclasses.dataclass(frozen=True)
class Root:
  part: Any = config_lib.component("parts_zoo", "small")
  many: Any = config_lib.components("parts_zoo")
  inner: Inner = dataclasses.field(default_factory=Inner)
  name: str = "a name"


FILE = """
from tests.core import test_parts
from vit_jax.core import config

def get_config(arg=""):
  small = test_parts.find("small").Config
  root = test_parts.Root(part=small(width=9), many={"first": small(width=9)})
  return config.to_config_dict(root)
"""


def loaded(folder, overrides):
  file = folder / "file.py"
  file.write_text(FILE)
  return config_lib.load(str(file), "", overrides, Root)


@pytest.mark.parametrize("group", ["part", "many.first", "inner.part"])
def test_a_new_name_replaces_the_group_by_the_defaults(folder, group):
  overrides = {f"{group}.name": "parts_lab.wide"}
  assert loaded(folder, overrides)[group].width == 64
  # Whatever the order.
  config = loaded(folder, {f"{group}.width": 3, **overrides})
  assert config[group].to_dict() == {"name": "parts_lab.wide", "width": 3}
  built = config_lib.build(Root, config)
  assert config_lib.to_config_dict(built).to_dict() == config.to_dict()


def test_the_same_name_keeps_the_group(folder):
  assert loaded(folder, {"part.name": "small"}).part.width == 9
  assert loaded(folder, {"name": "another"}).name == "another"


def test_an_unknown_name_is_an_error_at_its_path(folder):
  with pytest.raises(errors.ConfigError, match=r"^unknown part.name=smal;"):
    loaded(folder, {"part.name": "smal"})
  with pytest.raises(errors.ConfigError, match="unknown field prat"):
    loaded(folder, {"prat.name": "small"})


def test_the_console_script_finds_the_working_directory(folder):
  """`python -m vit_jax` does so by itself."""
  (folder / "probe.py").write_text(
    "import sys\n"
    "from vit_jax.cli import main\n"
    "sys.path = [p for p in sys.path if p not in ('', sys.argv[1])]\n"
    "main.main(['--nothing'])\n"
    "import parts_lab.wide\n"
  )
  command = [sys.executable, str(folder / "probe.py"), str(folder)]
  done = subprocess.run(
    command, cwd=folder, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
