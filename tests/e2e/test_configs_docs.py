"""Every config says what it is: in its header and in configs/README.md."""

import ast
import re
import shlex

import pytest

from tests.e2e import run as cli
from vit_jax.core import config as config_lib

FOLDER = cli.ROOT / "configs"
CONFIGS = sorted(FOLDER.glob("*.py"))
PARTS = ("Source", "Expected", "Cost", "Data", "Run", "Arguments")


def header(path):
  return ast.get_docstring(ast.parse(path.read_text())) or ""


def rows():
  """File name -> cells of its row in the table."""
  lines = (FOLDER / "README.md").read_text().splitlines()
  cells = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in lines
    if line.startswith("| [")
  ]
  return {re.search(r"\((\w+\.py)\)", row[0])[1]: row for row in cells}


def arguments(path, text):
  """What each command hands to this config's get_config."""
  args = []
  for found in re.findall(r"--config=(\S+?)(?:`|\s|$)", text):
    file, _, arg = found.partition(":")
    assert file == f"configs/{path.name}"
    args.append(arg)
  assert args
  return args


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_header_is_complete(path):
  text = header(path)
  for part in PARTS:
    assert re.search(rf"^{part}: \S", text, re.MULTILINE), part


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_header_names_every_argument(path):
  (names,) = re.findall(r"parse_arg\(\s*arg,(.*?)\)\n", path.read_text(), re.S)
  stated = header(path).partition("\nArguments: ")[2].partition("\n\n")[0]
  for name in re.findall(r"(\w+)=", names):
    assert re.search(rf"\b{name}\b", stated), name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_header_runs_what_it_says(path):
  text = " ".join(header(path).split())
  command = re.search(r"Run: (python -m vit_jax train .*?) Arguments:", text)
  words = shlex.split(command[1])
  assert words[:4] == ["python", "-m", "vit_jax", "train"]
  assert words[-1].startswith("--workdir=runs/")
  for arg in arguments(path, command[1]):
    config_lib.load(str(path), arg)
  assert "python -m vit_jax data " in text


def test_table_has_every_config_and_no_other():
  assert set(rows()) == {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_row_is_filled(path):
  row = rows()[path.name]
  assert len(row) == 5 and all(row)
  (arg,) = arguments(path, row[4])
  config_lib.load(str(path), arg)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_paper_is_the_one_of_the_header(path):
  papers = re.findall(r"arXiv:\d+\.\d+", rows()[path.name][1])
  assert set(papers) <= set(re.findall(r"arXiv:\d+\.\d+", header(path)))
