"""The page of all tables and figures, from results that are there or not."""

import json

from vit_jax.reproduce import (
  document,
  paper_scale,
  run_small,
  small_experiment,
  tables,
)
from vit_jax.reproduce.pages import Page


def test_page(tmp_path):
  one = small_experiment.find("table=7")
  home = tmp_path / "results/table7"
  home.mkdir(parents=True)
  scores = {m: [0.5, 0.52, 0.54] for m in one.metrics}
  result = run_small.Result(
    "table7",
    [
      run_small.ArmResult(
        arm.name, arm.series, 0.0, 1e-3, scores, ["a", "b", "c"]
      )
      for arm in one.arms
    ],
    ["not resolved at this scale"],
    0,
  )
  (home / "result.json").write_text(
    json.dumps(vars(result) | {"arms": [vars(a) for a in result.arms]})
  )
  took = {"seconds": 600, "workers": 2, "cores": 2, "load": 1.5}
  (home / "time.json").write_text(json.dumps([took, took]))
  (home / "remarks.md").write_text("The digits are small.\n")
  page = tmp_path / "docs/reproduction.md"
  out = tmp_path / "results"
  made = Page("x", "A page", ("a",), (), (), (), ("A note.",), ("command",))
  paper_scale.write("figure=14", [made], out)
  document.write(page, out)
  text = page.read_text()
  rows = [line for line in text.splitlines() if line.startswith("| ")]
  (seven,) = [r for r in rows if r.startswith("| Table 7 ")]
  assert "1 not resolved at this scale" in seven
  assert "20 min, 2 at a time on 2 cores, load 1.5" in seven
  (eight,) = [r for r in rows if r.startswith("| Table 8 ")]
  assert "| not run | `reproduce --table=8 --scale=mini` |" in eight
  assert "0.52 ± 0.02" in text and "The digits are small." in text
  assert "](../results/table7/plot.png)" in text
  for number in tables.TABLES:
    command = f"python -m vit_jax reproduce --table={number}"
    assert f"Not written yet: `{command}`." in text
  assert "## A page\n" in text and "A note." in text
  assert "reproduce --figure=14\n" in text
  # Commands are in a file of their own.
  assert (out / "paper/figure14.sh").read_text() == "command\n"
  assert "```sh\ncommand" not in text
  assert "Section 4.6 at a small scale" in text
