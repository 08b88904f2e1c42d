"""What no file of the project says."""

import ast
import re

import pytest

from tests.arch import source

FORBIDDEN = {
  "a path of one machine": r"(?<![\w.$}])/(root|home|Users|work)/\w",
  "a dependency from a repository": r"\bgit\+(https?|ssh|file)\b",
  "an index": r"--(extra-)?index-url|--find-links",
  "a promise": r"\b(TODO|FIXME|XXX)\b",
  "a merge conflict": r"(?m)^(<<<<<<<|>>>>>>>) ",
}


def text_faults(name, text):
  for what, pattern in FORBIDDEN.items():
    found = re.search(pattern, text)
    if found:
      line = text[: found.start()].count("\n") + 1
      yield f"{name}:{line}: {what}: {found[0]!r}"


def skip_faults(name, tree):
  for node in ast.walk(tree):
    used = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
    if re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)", used):
      yield f"{name}:{node.lineno}: {used}"


def test_project_files():
  faults = []
  for file in source.project_files():
    # The rules cannot be told without what they forbid.
    if file.name == "test_text.py":
      continue
    data = file.read_bytes()
    if b"\0" not in data:
      name = file.relative_to(source.ROOT)
      faults += text_faults(name, data.decode())
  assert not faults, "\n".join(faults)


def test_no_test_is_skipped():
  faults = []
  for file in sorted((source.ROOT / "tests").rglob("*.py")):
    faults += skip_faults(file, ast.parse(file.read_text()))
  assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
  "text",
  [
    "see /home/someone/data",
    # In two parts, so that this file itself says no such thing.
    "'/ro" + "ot/x'",
    "pkg @ git+https://example.org/pkg",
    "--index-url x",
    "--extra-index-url x",
    "# TODO: later",
    "<<<<<<< HEAD",
  ],
)
def test_forbidden_text_is_found(text):
  assert len(list(text_faults("x", text))) == 1


@pytest.mark.parametrize(
  "text",
  [
    "gs://bucket/home/x",
    "$HOME/x",
    "a/ro" + "ot/b",
    "params/head/kernel",
    "~/x",
  ],
)
def test_other_text_is_allowed(text):
  assert not list(text_faults("x", text))


def test_a_skip_is_found():
  for text in ("@pytest.mark.skip\ndef f(): pass", "pytest.importorskip('x')"):
    assert len(list(skip_faults("x", ast.parse(text)))) == 1


def test_decisions_have_the_same_parts():
  files = sorted((source.ROOT / "docs" / "adr").glob("*.md"))
  numbers = [file.name[:4] for file in files]
  assert numbers == [f"{i:04d}" for i in range(1, len(files) + 1)]
  for file in files:
    heads = re.findall(r"(?m)^## (.*)$", file.read_text())
    assert heads == ["Context", "Decision", "Consequences"], file.name


def test_the_page_of_the_architecture_names_every_room_and_only_what_is_there():
  text = (source.ROOT / "docs" / "architecture.md").read_text()
  package = source.ROOT / source.PACKAGE
  rooms = {path.parent.name for path in package.glob("*/__init__.py")}
  table = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
  assert table == rooms
  # `core/config.py: load` and `checkpoints/manifest.py`.
  named = re.findall(r"`([a-z_]+/[a-z_/]+\.py)(?:: (\w+))?", text)
  assert len(named) > 25
  for file, name in named:
    code = (package / file).read_text()
    assert not name or re.search(rf"^(def|class) {name}\b", code, re.M), file
