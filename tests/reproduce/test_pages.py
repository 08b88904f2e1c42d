"""Pages of tables as text and as files."""

import json
import pathlib

from vit_jax.reproduce import pages, paper, paper_scale


def test_difference_and_text():
  cell = pages.Cell(paper.Number(55, "a"), paper.Number(56.1, "b"))
  assert pages.cell_text(cell) == "55 → 56.1 (+1.1)"
  assert pages.cell_text(pages.Cell()) == ""
  ours = pages.Cell(None, paper.Number(2_000, "b", 0.123))
  assert pages.cell_text(ours) == "→ 2,000 ± 0.12"
  assert pages.cell_text(pages.Cell(paper.Number("86M", "a"))) == "86M"


def test_written_files(results):
  found = paper_scale.show("figure=12", results, "none")
  names = paper_scale.write("figure=12", found, results)
  assert [pathlib.Path(n).name for n in names] == [
    "figure12.md",
    "figure12.json",
  ]
  first, _ = json.loads((results / "paper/figure12.json").read_text())
  filled = [cell for cell in first["cells"] if cell["ours"]]
  assert [c["ours"]["value"] for c in filled] == [256]
  assert filled[0]["row"] == {"model": "ViT-B/32"}
