"""Runs that have finished, in the places of the paper's tables."""

import json
import pathlib
import shutil

import pytest

from tests.reproduce import finished
from vit_jax.core import config as config_lib, identity
from vit_jax.data.sources import vtab
from vit_jax.reproduce import launch, paper_scale, run_scores


def test_means_of_seeds_are_in_their_place(runs):
  (page,) = paper_scale.show("table=5", runs, str(runs))
  filled = {
    (row, column): cell
    for row, cells in zip(page.rows, page.cells, strict=True)
    for column, cell in zip(page.columns, cells, strict=True)
    if cell.ours
  }
  assert list(filled) == [(("ImageNet", "CIFAR-10"), "ViT-B/16")]
  (cell,) = filled.values()
  assert cell.ours.value == pytest.approx(98.1)
  assert cell.ours.deviation == pytest.approx(0.1)
  assert cell.difference == pytest.approx(98.1 - 98.13)
  kind, _, homes = cell.ours.source.partition(":")
  assert kind == "run"
  for home in homes.split():
    assert str(runs) in home
    last = pathlib.Path(home, "evals.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["top_1"] in (0.98, 0.981, 0.982)


def test_another_resolution_is_another_place(runs):
  for path in (runs / "sweep/runs").iterdir():
    file = path / "config.json"
    file.write_text(file.read_text().replace("384", "224"))
  (page,) = paper_scale.show("table=5", runs, str(runs))
  assert not any(cell.ours for cells in page.cells for cell in cells)


def test_unknown_pretraining_fills_nothing(runs):
  """Weights of a file, and a stand-in for JFT."""
  finished.finetuned(runs, "npz", "B_16.npz", 0, 0.99)
  stand_in = runs / "other"
  finished.write(stand_in, "configs/vit_jft.py", "variant=B/16,epochs=300", 0.5)
  finished.finetuned(runs, "jft", stand_in, 0, 0.99)
  (page,) = paper_scale.show("table=5", runs, str(runs))
  numbers = [cell.ours for cells in page.cells for cell in cells if cell.ours]
  assert len(numbers) == 1 and numbers[0].value == pytest.approx(98.1)


def test_a_run_without_steps_is_left_out(runs):
  (runs / "sweep/runs/r0/metrics.jsonl").write_text("")
  (number,) = run_scores.fine_tuned(str(runs)).values()
  assert number.value == pytest.approx(98.15)


@pytest.mark.parametrize(
  "path, arg, label",
  [
    ("configs/vit_i21k.py", "variant=L/32", "ViT-L/32"),
    ("configs/vit_i21k.py", "variant=R50+B/16", "R50x1+ViT-B/16"),
    ("configs/bit_i1k.py", "variant=R152x2", "ResNet152x2"),
    ("configs/swin_i1k.py", "variant=T", ""),
  ],
)
def test_names_of_models(path, arg, label):
  config = config_lib.load(str(launch.ROOT / path), arg)
  assert run_scores.label(identity.leaves(config)) == label


def test_tasks_of_vtab():
  assert run_scores._name("vtab:pets") == "VTAB Pets"
  assert run_scores._name("vtab:smallnorb_elevation") == "VTAB sNORB-Elev"
  assert run_scores._name("folder:birds") == "folder:birds"


def test_adam_and_sgd_are_told_apart(tmp_path):
  """Table 7, from a stand-in for JFT that is called so."""
  for optim, top_1 in (("adamw", 0.9), ("sgd", 0.8)):
    before = tmp_path / optim
    arg = f"variant=R50x1,epochs=7,optim={optim},data=JFT-300M"
    finished.write(before, "configs/vit_jft.py", arg, 0.5)
    more = {"variant": "R50x1", "model": "bit"}
    finished.finetuned(tmp_path, f"from_{optim}", before, 0, top_1, **more)
  (page,) = paper_scale.show("table=7", tmp_path, str(tmp_path))
  assert {place: n.value for place, n in finished.ours(page).items()} == {
    (("CIFAR10",), "ResNet50 Adam"): pytest.approx(90.0),
    (("CIFAR10",), "ResNet50 SGD"): pytest.approx(80.0),
  }


def test_masked_patches_are_not_supervised(tmp_path):
  before = tmp_path / "masked"
  finished.write(
    before, "configs/masked_patch_b16.py", "", 0.0, duration="300 epochs"
  )
  finished.finetuned(tmp_path, "r", before, 0, 0.79, dataset="imagenet2012")
  (page,) = paper_scale.show("section=4.6", tmp_path, str(tmp_path))
  assert {place: n.value for place, n in finished.ours(page).items()} == {
    (("ViT-B/16",), "ImageNet"): pytest.approx(79.0)
  }
  (table,) = paper_scale.show("table=5", tmp_path, str(tmp_path))
  assert not finished.ours(table)


def test_all_tasks_of_vtab_give_the_groups_of_figure_2(tmp_path):
  """From a stand-in for JFT; with a task missing its groups stay empty."""
  before = tmp_path / "jft"
  arg = "variant=H/14,epochs=14,data=JFT-300M"
  finished.write(before, "configs/vit_jft.py", arg, 0.5)
  for i, task in enumerate(vtab.TASKS):
    more = {"variant": "H/14", "dataset": f"vtab:{task}", "res": 378}
    finished.finetuned(tmp_path, task, before, 0, (60 + i) / 100, **more)
    # 384 px, as the paper says, is no multiple of 14.
    file = tmp_path / "sweep/runs" / task / "config.json"
    file.write_text(file.read_text().replace("378", "384"))
  (page,) = paper_scale.show("figure=2", tmp_path, str(tmp_path))
  values = {place: n.value for place, n in finished.ours(page).items()}
  assert values == {
    (("ViT-H/14",), "VTAB (19)"): pytest.approx(69.0),
    (("ViT-H/14",), "Natural (7)"): pytest.approx(63.0),
    (("ViT-H/14",), "Specialized (4)"): pytest.approx(68.5),
    (("ViT-H/14",), "Structured (8)"): pytest.approx(74.5),
  }
  shutil.rmtree(tmp_path / "sweep/runs" / next(iter(vtab.TASKS)))
  (page,) = paper_scale.show("figure=2", tmp_path, str(tmp_path))
  columns = [column for _, column in finished.ours(page)]
  assert columns == ["Specialized (4)", "Structured (8)"]
