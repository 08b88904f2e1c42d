"""Every number that is printed leads to a source, and says what is there."""

import json
import pathlib
import re
import statistics

import pytest

from tests.reproduce import golden
from vit_jax.core import config as config_lib, errors, python_files
from vit_jax.models import vit
from vit_jax.reproduce import costs, launch, pages, paper, paper_scale


@pytest.fixture(autouse=True)
def counted_by_others(monkeypatch):
  """Golden counts at 224 px with a head: tracing all takes a minute.

  What traces is compared with them in test_costs.
  """

  def parameters(label, size_px=224, num_classes=1000):
    if (size_px, num_classes) == (224, 1000):
      return golden.row(label)["parameters"]
    return size_px + num_classes

  monkeypatch.setattr(costs, "parameters", parameters)
  monkeypatch.setattr(
    costs, "macs", lambda label: golden.row(label)["flops"] / 2
  )


def check(number, row, column):
  """The number, found again from its source alone."""
  kind, _, what = number.source.partition(":")
  match kind:
    case "paper" | "derived" if what in paper.grids():
      grid = paper.grids()[what]
      known = [n for c in grid.columns if (n := named(grid, row, c))]
      assert number.value in [n.value for n in known]
      assert set(grid.sources) <= set(paper.sources())
    case "derived":
      assert number.value == derived(what)
    case "computed":
      assert number.value == recomputed(*what.split())
    case "config":
      assert number.value == configured(what, column)
    case "file":
      file, model, size_px = what.split()
      lines = pathlib.Path(file).read_text().splitlines()
      fitting = [
        row["batch"]
        for row in map(json.loads, lines)
        if row["fits"]
        and (row["model"], str(row["size_px"])) == (model, size_px)
      ]
      assert number.value == max(fitting)
    case _:
      raise AssertionError(f"{number} has no source")


def named(grid, row, column):
  return grid.number(row, column) if row in grid.rows else None


def derived(what):
  """ "mean table9 COLUMN START STOP" or "mean table6 MODEL EPOCHS"."""
  _, name, *rest = what.split()
  grid = paper.grids()[name]
  if name == "table6":
    five = ("ImageNet", "CIFAR-10", "CIFAR-100", "Pets", "Flowers")
    row = (rest[0], rest[1])
    values = [grid.number(row, c).value for c in five]
  else:
    column, (start, stop) = " ".join(rest[:-2]), map(int, rest[-2:])
    values = [grid.number(r, column).value for r in grid.rows[start:stop]]
  return round(statistics.fmean(values), 2)


def recomputed(what, label, *numbers):
  if what == "parameters":
    return costs.parameters(label, *map(int, numbers))
  if what == "gmacs":
    return golden.row(label)["flops"] / 2e9
  if what == "tokens":
    side = int(numbers[0]) // int(label.rpartition("/")[2])
    return side * side + 1
  assert what == "exaflops"
  # Epochs, images, passes; two operations are one multiply-add.
  images = int(numbers[0]) * 303e6
  return round(images * 3 * golden.row(label)["flops"] / 1e18, 1)


def configured(what, column):
  where, field = what.rsplit(" ", 1)
  if where.startswith("vit_jax/models/vit.py"):
    return vit.VARIANTS[where[-1]][field]
  path, _, arg = where.partition(":")
  if path == "configs/sweeps/transfer.py":
    return transferred(arg, column)
  c = config_lib.load(str(launch.ROOT / path), arg)
  if field == "model.dropout" and "dropout" not in c.model:
    return 0.0
  return config_lib.parent_of(c, field)[field.rsplit(".", 1)[-1]]


def transferred(arg, column):
  """What the fine-tuning's own config says of a data set."""
  transfer = python_files.load_module(launch.ROOT / "configs/transfer.py")
  data_set = transfer.dataset(arg.removeprefix("dataset="))
  if column == "steps":
    return data_set.steps
  return ", ".join(f"{rate:g}" for rate in data_set.lrs)


def numbers(page):
  """Every number that is printed, with its row and column."""
  for (row, column), cell in page.places():
    for number in (cell.paper, cell.ours):
      if number:
        yield row, column, number


@pytest.mark.parametrize("what", paper_scale.NAMES)
def test_every_number_has_a_source(results, what):
  """And nothing else in the cells of the text looks like a number."""
  for page in paper_scale.show(what, results, str(results / "none")):
    known = list(numbers(page))
    for row, column, number in known:
      check(number, row, column)
    lines = pages.text(page).splitlines()
    cells = [
      cell
      for line in lines
      if line.startswith("| ")
      for cell in line.split(" | ")[len(page.header) :]
    ][len(page.columns) + len(page.columns) :]
    printed = {pages.number_text(n) for *_, n in known}
    for cell in cells:
      text = re.sub(r"\([-+]?[\d.e+-]+\)", "", cell)
      for part in text.split("→"):
        part = part.strip(" |")
        assert not re.search(r"\d", part) or part in printed


def test_the_walk_sees_numbers(results):
  """Of each kind, so that an empty page is no pass."""
  seen = {}
  for what in ("table=1", "table=3", "table=6", "figure=2", "figure=12"):
    for page in paper_scale.show(what, results, str(results / "none")):
      for *_, number in numbers(page):
        kind = number.source.partition(":")[0]
        seen[kind] = seen.get(kind, 0) + 1
  assert set(seen) == {"paper", "derived", "computed", "config", "file"}
  assert seen["paper"] > 150 and seen["file"] == 1


def test_a_number_from_nowhere_is_found():
  right = paper.grids()["table8"].number(("1d",), "stem")
  check(right, ("1d",), "stem")
  for wrong in (
    paper.Number(0.7, "paper:table8"),
    paper.Number(0.64206, "somewhere"),
    paper.Number(1.0, "computed:exaflops ViT-B/32 7"),
  ):
    with pytest.raises(AssertionError):
      check(wrong, ("1d",), "stem")


def test_no_such_table(results):
  for what in ("table=10", "figure=1"):
    with pytest.raises(errors.ConfigError, match=f"{what} is not one of"):
      paper_scale.show(what, results, "none")
