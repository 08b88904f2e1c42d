"""No field that nobody reads, no leaf of a kind that cannot be overridden."""

import ast

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
