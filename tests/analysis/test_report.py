"""The page about runs: numbers, differences, damage, nothing from elsewhere."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from vit_jax.analysis import plots, report, run_files
from vit_jax.checkpoints import manifest
from vit_jax.cli import main
from vit_jax.core import errors

PROVENANCE = {"devices": "8 x TPU v3", "versions": {"jax": "0.10.2"}}


def write(home, *, lr=0.1, losses=(4.0, 2.0, 1.0, 0.5), model="vit"):
  """A run of batches of 64 that was resumed after two steps."""
  home.mkdir(parents=True)
  config = {"model": {"name": model}, "data": {"batch_size": 64},
            "optim": {"peak_lr": lr, "tuple": [1, 2]}}  # fmt: skip
  (home / "config.json").write_text(json.dumps(config))
  rows = [
    {"step": i + 1, "loss": loss, "learning_rate": lr, "time_s": time_s}
    for i, (loss, time_s) in enumerate(
      zip(losses, (2.0, 4.0, 1.0, 5.0), strict=True)
    )
  ]
  text = "\n".join(map(json.dumps, rows)) + "\n"
  # A crash has cut the last line off.
  (home / "metrics.jsonl").write_text(text + '{"step": 5, "lo')
  evals = [
    {"step": s, "name": "test", "top_1": s / 8, "a_std": 0.25, "examples": 100}
    for s in (2, 4)
  ]
  (home / "evals.jsonl").write_text("\n".join(map(json.dumps, evals)) + "\n")
  saved = home / "checkpoints" / "4"
  saved.mkdir(parents=True)
  (saved / "commit_success.txt").write_text("")
  meta = {"provenance": PROVENANCE}
  manifest.write(saved, {"step": 4, "meta": meta, "arrays": {}})
  return str(home)


def cells(page, heading):
  """Texts of the cells after a heading."""
  after = page[page.index(heading) :]
  table = after[after.index("<table>") : after.index("</table>")]
  return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table)


def test_what_a_run_says(tmp_path):
  run = run_files.read(write(tmp_path / "a"))
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


def test_differences_between_runs(tmp_path):
  runs = [write(tmp_path / "x" / "a"), write(tmp_path / "y" / "a", lr=0.3)]
  page = report.page(run_files.read_all(runs))
  assert cells(page, "<h2>Config") == [
    *("field", *runs),
    *("optim.peak_lr", "0.1", "0.3"),
  ]
  same = report.page(run_files.read_all([runs[0], runs[0]]))
  assert "The runs have the same config." in same


def test_runs_are_called_as_one_likes(tmp_path):
  home = write(tmp_path / "a")
  other = write(tmp_path / "x=y")
  runs = run_files.read_all([f"ViT, lr=0.1={home}", other])
  assert [run.name for run in runs] == ["ViT, lr=0.1", "x=y"]
  assert runs[0].home == tmp_path / "a"
  twice = run_files.read_all([f"same={home}", f"same={other}"])
  assert [run.name for run in twice] == [home, other]


def test_the_page_needs_nothing_from_elsewhere_and_trusts_no_text(tmp_path):
  run = run_files.read(write(tmp_path / "a<b>", model="<script>alert(1)"))
  page = report.page([run])
  assert "<script" not in page and "a<b>" not in page
  for name in ("src=", "url(", "@import", "<link"):
    assert not re.search(rf"{re.escape(name)}(?!#)", page), name
  for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
    ET.fromstring(svg)
  assert page == report.page([run])


def test_many_points_are_averaged():
  values = np.arange(1201.0)
  thin = plots.thinned(values)
  assert len(thin) == 401
  np.testing.assert_array_equal(thin[:2], [1, 4])
  assert thin[-1] == 1200
  assert plots.thinned(values[:600]) is not None
  np.testing.assert_array_equal(plots.thinned(values[:600]), values[:600])


def test_command(tmp_path, capsys):
  home = write(tmp_path / "a")
  assert main.main(["report", home]) == 0
  assert capsys.readouterr().out == f"wrote {home}/report.html\n"
  assert (tmp_path / "a" / "report.html").read_text().startswith("<!doctype")
  assert main.main(["report", home, "--out=/nowhere/x.html"]) == 1
  assert "out=/nowhere/x.html: No such file" in capsys.readouterr().err


BAD = [
  ("config.json", None, "is not the folder of a run: it has no config.json"),
  ("metrics.jsonl", "", "no step is done yet"),
  ("config.json", "{", "Expecting"),
  ("metrics.jsonl", '{"step": 1}\n{"s\n', r"metrics\.jsonl, line 2"),
]


@pytest.mark.parametrize(("file", "text", "message"), BAD)
def test_what_is_no_run(tmp_path, file, text, message):
  home = write(tmp_path / "a")
  path = tmp_path / "a" / file
  path.unlink() if text is None else path.write_text(text)
  with pytest.raises(errors.UserError, match=message):
    run_files.read(home)
