"""Sizes, docstrings, and constructs that are not used here."""

import ast

import pytest

from tests.arch import source

FILE_LINES = 400
FUNCTION_LINES = 60
# What every file of a room defines, told once for all of them.
INTERFACES = {
  "configs": {"get_config", "get_sweep"},
  "cli": {"add_arguments", "run"},
}


def is_table(node):
  """A module-level assignment of displays and constants: data, not code."""
  code = ast.Lambda | ast.comprehension | ast.BinOp | ast.IfExp | ast.Await
  return (
    isinstance(node, ast.Assign | ast.AnnAssign)
    and isinstance(node.value, ast.Dict | ast.List | ast.Tuple | ast.Set)
    and not any(isinstance(n, code) for n in ast.walk(node.value))
  )


def length(node):
  return node.end_lineno - node.lineno + 1


def size_faults(module):
  tables = sum(length(n) for n in module.tree.body if is_table(n))
  lines = len(module.text.splitlines()) - tables
  if lines > FILE_LINES:
    yield f"{module}: {lines} lines, at most {FILE_LINES}"
  for f in source.functions(module.tree):
    if length(f) > FUNCTION_LINES:
      yield (
        f"{module}:{f.lineno}: {f.name} has {length(f)} lines,"
        f" at most {FUNCTION_LINES}"
      )


def docstring_faults(module):
  if module.tree.body and not ast.get_docstring(module.tree):
    yield f"{module}: no docstring"
  kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
  for node in module.tree.body:
    if isinstance(node, kinds) and not node.name.startswith("_"):
      if node.name in INTERFACES.get(module.room, ()):
        continue
      if not ast.get_docstring(node):
        yield f"{module}:{node.lineno}: {node.name} has no docstring"


def construct_faults(module):
  """Swallowed errors, registries, code from text, pickles by another name."""
  for node in ast.walk(module.tree):
    where = f"{module}:{getattr(node, 'lineno', 0)}"
    if isinstance(node, ast.ExceptHandler):
      names = {n.id for n in ast.walk(node.type or node) if is_name(n)}
      if node.type is None or names & {"Exception", "BaseException"}:
        yield f"{where}: catches everything"
    named = ast.FunctionDef | ast.ClassDef
    if isinstance(node, named) and "regist" in node.name.lower():
      yield f"{where}: {node.name}: components are found by file name"
    if is_name(node) and "registry" in node.id.lower():
      yield f"{where}: {node.id}: components are found by file name"
    if is_name(node) and node.id in {"eval", "exec"}:
      yield f"{where}: {node.id} runs text"
    pickles = isinstance(node, ast.keyword) and node.arg == "allow_pickle"
    if pickles and ast.unparse(node.value) != "False":
      yield f"{where}: allow_pickle"


def is_name(node):
  return isinstance(node, ast.Name)


# Words that do not say what a thing is.
NO_NAMES = {"of", "said", "found", "one", "told"}


def naming_faults(module):
  for node in ast.walk(module.tree):
    name = ""
    if is_name(node) and isinstance(node.ctx, ast.Store):
      name = node.id
    elif isinstance(node, ast.arg):
      name = node.arg
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
      name = node.name
    if name in NO_NAMES:
      yield f"{module}:{node.lineno}: {name} is no name of a thing"


CHECKS = (size_faults, docstring_faults, construct_faults, naming_faults)


@pytest.mark.parametrize("check", CHECKS)
def test_source(check):
  faults = [f for m in source.modules() for f in check(m)]
  assert not faults, "\n".join(faults)


LONG = '"""Doc."""\n' + "x = 1\n" * 400
TABLE = '"""Doc."""\nT = {\n' + "".join(f"  {i}: 0,\n" for i in range(500))
BODY = "".join(f"  x = {i}\n" for i in range(60))


@pytest.mark.parametrize(
  ("check", "text"),
  [
    (size_faults, LONG),
    (naming_faults, "found = 3"),
    (naming_faults, "def f(of):\n  pass"),
    (naming_faults, "def one():\n  pass"),
    (size_faults, f"def f():\n{BODY}"),
    (size_faults, f"class C:\n  def f(self):\n{BODY.replace('  ', '    ')}"),
    (docstring_faults, "x = 1"),
    (docstring_faults, '"""Doc."""\ndef f():\n  pass'),
    (docstring_faults, '"""Doc."""\nclass C:\n  x = 1'),
    (construct_faults, "try:\n  f()\nexcept:\n  raise"),
    (construct_faults, "try:\n  f()\nexcept Exception:\n  raise"),
    (construct_faults, "try:\n  f()\nexcept (OSError, Exception):\n  raise"),
    (construct_faults, "_REGISTRY = {}"),
    (construct_faults, "def register(name):\n  return name"),
    (construct_faults, "eval('1')"),
    (construct_faults, "import numpy as np\nnp.load(f, allow_pickle=True)"),
  ],
)
def test_a_fault_is_found(check, text):
  assert len(list(check(source.parse(text, "vit_jax.nn.x")))) == 1


def test_what_is_allowed_is_no_fault():
  for text in (
    TABLE + "}\n",
    '"""Doc."""\ndef _f():\n  pass',
    '"""Doc."""\ntry:\n  f()\nexcept OSError:\n  raise',
    '"""Doc."""\nimport numpy as np\nnp.load(f, allow_pickle=False)',
  ):
    module = source.parse(text, "vit_jax.nn.x")
    assert not [f for check in CHECKS for f in check(module)], text
