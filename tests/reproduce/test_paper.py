"""The paper's numbers as data: what they say of each other, and damage."""

import json
import pathlib
import statistics

import pytest
import yaml

from vit_jax.reproduce import paper

GRIDS = paper.grids()


def column(name, column):
  grid = GRIDS[name]
  return {row: grid.number(row, column) for row in grid.rows}


FIXTURE = pathlib.Path(__file__).parent / "fixtures/paper_tables.yaml"


def typed():
  """Rows of values by table, from the fixture."""
  of = yaml.safe_load(FIXTURE.read_text())
  sizes = of["table1_variants"]
  fields = ("layers", "hidden", "mlp", "heads", "params_paper")
  yield "table1", [[r[f] for f in fields] for r in sizes["rows"].values()]
  counts = sizes["derived_param_counts"]
  kinds = ("img224_head1000", "img224_no_head", "img384_head1000")
  names = counts[kinds[0]]
  yield "counts", [[counts[k].get(n) for k in kinds] for n in names]
  macs = sizes["derived_gmacs_224_head1000"]
  yield "macs", [[macs[n]] for n in names]
  rows = of["table2_sota"]["rows"].values()
  yield "table2", [r["mean"] if "mean" in r else r["value"] for r in rows]
  fields = ("base_lr", "lr_decay", "weight_decay", "dropout")
  rows = of["table3_training_hparams"]["rows"]
  yield (
    "table3",
    [
      [r[f] for f in fields]
      for r in rows
      for _ in r["models"]
      for _ in r["epochs"]
    ],
  )
  rows = of["table4_finetune_hparams"]["rows"].values()
  yield (
    "table4",
    [
      [r["steps"], ", ".join(f"{rate:g}" for rate in r["base_lr"])]
      for r in rows
    ],
  )
  five = of["table5_by_pretraining_set"]
  sets = ("ImageNet", "ImageNet-21k", "JFT-300M")
  yield "table5", [row for name in sets for row in five[name].values()]
  yield "table6", [row[2:] for row in of["table6_scaling"]["rows"]]
  yield "table7", list(of["table7_sgd_vs_adam"]["rows"].values())
  fields = ("default_stem", "every_layer", "every_layer_shared")
  rows = of["table8_position_embedding"]["rows"].values()
  yield "table8", [[r[f] for f in fields] for r in rows]
  nine = of["table9_vtab_breakdown"]["rows"].values()
  yield "table9", [list(row) for row in zip(*(
    [*r["values"], r["mean"]] for r in nine), strict=True)]  # fmt: skip


def test_every_number_is_what_was_typed():
  """And every deviation."""
  seen = []
  for name, rows in typed():
    assert [list(row) for row in GRIDS[name].values] == rows, name
    seen.append(name)
  assert len(seen) == 11
  two = yaml.safe_load(FIXTURE.read_text())["table2_sota"]["rows"].values()
  none = [None] * 5
  deviations = [r.get("std", none) for r in two]
  assert [list(row) for row in GRIDS["table2"].deviations] == deviations


def test_every_table_and_figure_with_values_is_there():
  tables = {f"table{n}" for n in range(1, 10)}
  figures = {f"figure{n}" for n in (2, 4, 8, 9, 12, 13)}
  assert tables | figures <= set(GRIDS)


def test_what_was_not_printed_is_empty():
  for name in ("figure2", "figure4", "figure8", "figure9", "figure12"):
    assert all(v is None for row in GRIDS[name].values for v in row)
  table = GRIDS["table5"]
  assert table.number(("ImageNet", "Pets"), "ViT-H/14") is None
  assert GRIDS["table8"].number(("none",), "every layer") is None


def test_numbers_have_sources():
  number = GRIDS["table2"].number(("ImageNet",), "Ours-JFT ViT-H/14")
  assert (number.value, number.deviation) == (88.55, 0.04)
  assert number.source == "paper:table2"
  assert GRIDS["table2"].sources == ("vit_a", "vit_e")
  assert set(GRIDS["table2"].sources) <= set(paper.sources())
  known = GRIDS["counts"].number(("ViT-B/16",), "224 px, 1k head")
  assert (known.value, known.source) == (86_567_656, "derived:counts")


def test_table_6_repeats_table_5():
  """The JFT rows; H/14 differs in the paper itself."""
  fives = GRIDS["table5"]
  sixes = GRIDS["table6"]
  for model, epochs in (("ViT-B/16", "7"), ("ViT-B/32", "7"),
                        ("ViT-L/32", "7"), ("ViT-L/16", "14")):  # fmt: skip
    for data in ("CIFAR-10", "CIFAR-100", "ImageNet", "Pets", "Flowers"):
      a = fives.number(("JFT-300M", data), model).value
      assert a == sixes.number((model, epochs), data).value


def test_table_7_averages_its_rows():
  for name in GRIDS["table7"].columns:
    values = [n.value for n in column("table7", name).values()]
    assert values[-1] == pytest.approx(statistics.fmean(values[:-1]), abs=6e-3)


def test_table_9_gives_the_vtab_row_of_table_2():
  for nine, two in (
    ("ViT-H/14 (JFT)", "Ours-JFT ViT-H/14"),
    ("ViT-L/16 (JFT)", "Ours-JFT ViT-L/16"),
    ("ViT-L/16 (I21k)", "Ours-I21k ViT-L/16"),
  ):
    values = [n.value for n in column("table9", nine).values()]
    row = GRIDS["table2"].number(("VTAB (19 tasks)",), two)
    assert statistics.fmean(values[:-1]) == pytest.approx(row.value, abs=0.02)
    assert values[-1] == pytest.approx(row.value, abs=0.05)


def problems(grid, known):
  """What is wrong with a grid of the file."""
  if unknown := set(grid.sources) - set(known) or not grid.sources:
    yield f"unknown sources {unknown}"
  for row in grid.rows:
    if len(row) != len(grid.header):
      yield f"{row} has {len(row)} names, not {len(grid.header)}"
  if len({*grid.rows}) != len(grid.rows):
    yield "two rows have one name"
  for values in (*grid.values, *grid.deviations):
    if len(values) != len(grid.columns):
      yield f"{len(values)} values, not {len(grid.columns)}"
  for row, values in zip(grid.rows, grid.values, strict=True):
    for column, value in zip(grid.columns, values, strict=True):
      if grid.unit != "%" or column == "exaFLOPs" or "days" in row[0]:
        continue
      if isinstance(value, int | float) and not 0 <= value <= 100:
        yield f"{row}, {column}: {value} is no percentage"


def test_the_file_has_no_mistake():
  for grid in GRIDS.values():
    assert not list(problems(grid, paper.sources())), grid.name


@pytest.mark.parametrize(
  "grid, change, message",
  [
    ("table7", {"source": ["nowhere"]}, "unknown sources {'nowhere'}"),
    ("table7", {"source": []}, "unknown sources"),
    ("table7", {"columns": ["one"]}, "4 values, not 1"),
    ("table7", {"header": ["a", "b"]}, "has 1 names, not 2"),
    (
      "table8",
      {"unit": "%", "rows": [{"row": ["1d"], "values": [101, None, None]}]},
      "101 is no percentage",
    ),
    (
      "table8",
      {"rows": [{"row": ["1d"], "values": [1, 1, 1]}] * 2},
      "two rows have one name",
    ),
  ],
)
def test_damage_is_found(grid, change, message):
  content = json.loads(paper.FILE.read_text())
  content["grids"][grid].update(change)
  damaged = paper.parse(content)[grid]
  assert any(message in p for p in problems(damaged, content["sources"]))
