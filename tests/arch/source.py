"""The package's source as syntax trees, for the tests of its structure."""

import ast
from collections.abc import Iterator
import dataclasses
import functools
import pathlib
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "vit_jax"

# Imports point left only; rooms of one tier do not import each other.
TIERS = (
  {"core"},
  {"cluster", "nn", "losses", "preprocess"},
  {"models", "data", "optim"},
  {"datasets", "checkpoints", "tasks", "evals"},
  {"train"},
  {"analysis", "plan", "sweeps", "export"},
  {"reproduce"},
  {"cli", "configs"},
)


@dataclasses.dataclass(frozen=True)
class Module:
  """One source file: its dotted name, the room it is in, its text and tree."""

  path: pathlib.Path
  name: str
  room: str
  text: str
  tree: ast.Module

  def __str__(self) -> str:
    return str(self.path.relative_to(ROOT))


def parse(text: str, name: str) -> Module:
  """The module `name` with this text; its room is the name's second part."""
  parts = name.split(".")
  if parts[0] == "configs":
    room = "configs"
  elif parts[-1] == "__main__":
    room = "cli"
  else:
    room = parts[1] if len(parts) > 1 else "core"
  path = ROOT.joinpath(*parts).with_suffix(".py")
  return Module(path, name, room, text, ast.parse(text))


@functools.cache
def modules() -> tuple[Module, ...]:
  """Every module of the package and every config file."""
  files = sorted((ROOT / PACKAGE).rglob("*.py"))
  files += sorted((ROOT / "configs").rglob("*.py"))
  out = []
  for file in files:
    parts = file.relative_to(ROOT).with_suffix("").parts
    name = ".".join(p for p in parts if p != "__init__")
    module = parse(file.read_text(), name)
    out.append(dataclasses.replace(module, path=file))
  return tuple(out)


def imports(module: Module) -> Iterator[tuple[str, int]]:
  """(dotted name, line) of all that is imported, also inside functions.

  `from a import b` counts as `a.b`. A string that names a room of the package
  counts as well: it is how components are looked up.
  """
  for node in ast.walk(module.tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, node.lineno
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        yield f"{node.module}.{alias.name}", node.lineno
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
      words = node.value.split(".")
      if words[0] == PACKAGE and len(words) > 1 and " " not in node.value:
        yield node.value, node.lineno


def attributes(tree: ast.AST) -> Iterator[tuple[str, int]]:
  """(dotted name, line) of every attribute of a plain name, as written."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
      yield f"{node.value.id}.{node.attr}", node.lineno


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
  """Every function and method, nested ones included."""
  for node in ast.walk(tree):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      yield node  # type: ignore[misc]


def project_files() -> list[pathlib.Path]:
  """Every file that git tracks or would track."""
  command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
  names = subprocess.run(
    command, cwd=ROOT, check=True, capture_output=True, text=True
  ).stdout.split("\0")
  files = [ROOT / name for name in names if name]
  return [file for file in files if file.is_file()]


def pyproject() -> dict:
  """The contents of pyproject.toml."""
  return tomllib.loads((ROOT / "pyproject.toml").read_text())
