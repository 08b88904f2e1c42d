"""No field that nobody reads, no leaf of a kind that cannot be overridden."""

import ast
import dataclasses
import importlib
import inspect
import re

import pytest

from tests.arch import source
from vit_jax.core import config as config_lib


def is_dataclass(node):
  return isinstance(node, ast.ClassDef) and any(
    "dataclass" in ast.unparse(d) for d in node.decorator_list
  )


def fields(modules):
  """(module, class, field) of every dataclass."""
  for module in modules:
    for node in ast.walk(module.tree):
      if is_dataclass(node):
        for item in node.body:
          if isinstance(item, ast.AnnAssign):
            yield module, node.name, item.target.id


def reads(modules):
  """Attribute names that are read, but for the checks of a dataclass."""
  names = set()
  for module in modules:
    skipped = {
      id(n)
      for f in source.functions(module.tree)
      if f.name == "__post_init__"
      for n in ast.walk(f)
    }
    for node in ast.walk(module.tree):
      if id(node) in skipped or not isinstance(node, ast.Attribute):
        continue
      if isinstance(node.ctx, ast.Load):
        names.add(node.attr)
  return names


def unread(modules):
  used = reads(modules)
  return [
    f"{m}: {c}.{f} is never read"
    for m, c, f in fields(modules)
    if f not in used
  ]


def test_every_field_is_read():
  faults = unread(source.modules())
  assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
  ("body", "count"),
  [
    ("def f(c):\n  return c.width", 0),
    ("def f(c):\n  return c.depth", 1),
    ("def f(c):\n  c.width = 3", 1),
  ],
)
def test_an_unread_field_is_found(body, count):
  text = (
    "@dataclasses.dataclass(frozen=True)\nclass Config:\n  width: int = 3\n"
    f"  def __post_init__(self):\n    assert self.width > 0\n{body}"
  )
  assert len(unread([source.parse(text, "vit_jax.nn.x")])) == count


def documentation_faults(cls):
  """Fields that the docstring of a dataclass names and lacks, or leaves out."""
  _, found, block = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:")
  if not found:
    return
  block = re.split(r"\n\n\w+:\n", block)[0]
  lines = re.findall(r"^  (\w+(?:, \w+)*):", block, re.M)
  named = {name for line in lines for name in line.split(", ")}
  fields = [vars(c).get("__annotations__", {}).keys() for c in cls.__mro__]
  properties = {k for k, v in vars(cls).items() if isinstance(v, property)}
  # Flax adds these two to its modules.
  own = {k for k in fields[0] - {"parent", "name"} if k[0] != "_"}
  for name in named - set().union(*fields) - properties:
    yield f"{cls.__qualname__} documents {name}, which it does not have"
  for name in own - set().union(*fields[1:]) - named:
    yield f"{cls.__qualname__} does not document {name}"


def test_documented_fields_are_those_there_are():
  faults = []
  for module in source.modules():
    if (
      module.name.startswith(source.PACKAGE) and module.path.stem != "__main__"
    ):
      here = importlib.import_module(module.name)
      classes = [c for c in vars(here).values() if isinstance(c, type)]
      for cls in classes:
        if cls.__module__ == module.name and dataclasses.is_dataclass(cls):
          faults += [f"{module}: {f}" for f in documentation_faults(cls)]
  assert not faults, "\n".join(faults)


def test_a_field_that_is_documented_and_not_there_is_found():
  @dataclasses.dataclass
  class Wrong:
    """Wrong.

    Attributes:
      widht: of the tokens.
    """

    width: int = 3

  assert list(documentation_faults(Wrong)) == [
    f"{Wrong.__qualname__} documents widht, which it does not have",
    f"{Wrong.__qualname__} does not document width",
  ]


def leaf_faults(node, path=""):
  """Leaves of a config that are None or a list."""
  for key, value in node.items():
    here = f"{path}{key}"
    if hasattr(value, "items"):
      yield from leaf_faults(value, f"{here}.")
    elif value is None or isinstance(value, list):
      yield f"{here}={value} cannot be overridden"


def test_every_config_file_loads_without_none_and_lists():
  faults = []
  for file in sorted((source.ROOT / "configs").glob("*.py")):
    config = config_lib.load(str(file))
    faults += [f"{file.name}: {f}" for f in leaf_faults(config)]
  assert not faults, "\n".join(faults)


def test_none_and_lists_are_found():
  config = {"a": {"b": None, "c": (1, 2)}, "d": [1], "e": 0}
  assert len(list(leaf_faults(config))) == 2
