"""The page about runs: numbers, differences, damage, nothing from elsewhere."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np

from tests.analysis import run_folder
from vit_jax.analysis import report, run_files
from vit_jax.cli import main


def cells(page, heading):
  """Texts of the cells after a heading."""
  after = page[page.index(heading) :]
  table = after[after.index("<table>") : after.index("</table>")]
  return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table)


def test_what_a_run_says(tmp_path):
  run = run_files.read(run_folder.write(tmp_path / "a"))
  np.testing.assert_array_equal(run.metrics["loss"], [4, 2, 1, 0.5])
  # 64 images in 2 s, the clock's new beginning, 64 in 4 s.
  np.testing.assert_array_equal(run.images_per_s, [32, np.nan, 16])
  scores = {"step": 4, "top_1": 0.5, "a_std": 0.25, "examples": 100}
  assert run.last_scores == {"test": scores}
  page = report.page([run])
  head = ["run", "model", "steps", "last loss", "images/s (median)",
          "training time", "devices"]  # fmt: skip
  assert cells(page, "<h1>") == [
    *head,
    *("a", "vit", "4", "0.5", "24", "0:08", "8 x TPU v3"),
  ]
  assert cells(page, "<h2>Evaluation") == [
    *("run", "evaluator", "step", "top_1", "a_std", "examples"),
    *("a", "test", "4", "0.5", "0.25", "100"),
  ]
  assert "0.10.2" in cells(page, "<h2>Environment")
  assert page.count("<svg") == 4


def test_metrics_of_an_objective_have_curves(tmp_path):
  """Also of one that had nothing to count in some steps."""
  folder = run_folder.write(tmp_path / "a")
  file = tmp_path / "a" / "metrics.jsonl"
  rows = [json.loads(line) for line in file.read_text().splitlines()[:4]]
  for row, hits in zip(rows, (None, 0.25, None, 0.75), strict=True):
    if hits is not None:
      row["hits"] = hits
  file.write_text("".join(json.dumps(row) + "\n" for row in rows))
  run = run_files.read(folder)
  np.testing.assert_array_equal(
    run.metrics["hits"], [np.nan, 0.25, np.nan, 0.75]
  )
  page = report.page([run])
  assert "<h3>Objective: hits</h3><svg" in page
  assert page.count("<svg") == 5
  assert "nan" not in page


def test_differences_between_runs(tmp_path):
  runs = [
    run_folder.write(tmp_path / "x" / "a"),
    run_folder.write(tmp_path / "y" / "a", lr=0.3),
  ]
  page = report.page(run_files.read_all(runs))
  assert cells(page, "<h2>Config") == [
    *("field", *runs),
    *("optim.peak_lr", "0.1", "0.3"),
  ]
  same = report.page(run_files.read_all([runs[0], runs[0]]))
  assert "The runs have the same config." in same


def test_the_page_needs_nothing_from_elsewhere_and_trusts_no_text(tmp_path):
  run = run_files.read(
    run_folder.write(tmp_path / "a<b>", model="<script>alert(1)")
  )
  page = report.page([run])
  assert "<script" not in page and "a<b>" not in page
  for name in ("src=", "url(", "@import", "<link"):
    assert not re.search(rf"{re.escape(name)}(?!#)", page), name
  for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
    ET.fromstring(svg)
  assert page == report.page([run])


def test_command(tmp_path, capsys):
  home = run_folder.write(tmp_path / "a")
  assert main.main(["report", home]) == 0
  assert capsys.readouterr().out == f"wrote {home}/report.html\n"
  assert (tmp_path / "a" / "report.html").read_text().startswith("<!doctype")
  assert main.main(["report", home, "--out=/nowhere/x.html"]) == 1
  assert "out=/nowhere/x.html: No such file" in capsys.readouterr().err
