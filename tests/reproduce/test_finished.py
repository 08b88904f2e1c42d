"""Runs that have finished, in the places of the paper's tables."""

import json
import pathlib

import pytest

from vit_jax.core import config as config_lib
from vit_jax.reproduce import finished, full, launch


def write(home, path, arg, top_1, **overrides):
  """The files that a run leaves, as far as they are read."""
  home.mkdir(parents=True)
  c = config_lib.load(str(launch.ROOT / path), arg, overrides)
  (home / "config.json").write_text(config_lib.to_json(c))
  (home / "metrics.jsonl").write_text('{"step": 1, "time_s": 1.0}\n')
  rows = [
    {"step": 1, "name": "test", "top_1": 0.1},
    {"step": 2, "name": "test", "top_1": top_1},
  ]
  (home / "evals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
  return home


def finetuned(folder, name, start, seed, top_1, **more):
  arg = ",".join(
    f"{k}={v}"
    for k, v in dict(
      variant="B/16", dataset="cifar10", checkpoint=start, seed=seed, **more
    ).items()
  )
  write(folder / "sweep/runs" / name, "configs/transfer.py", arg, top_1)


@pytest.fixture
def runs(tmp_path):
  before = tmp_path / "i1k"
  write(before, "configs/vit_i1k.py", "variant=B/16", 0.75)
  for seed, top_1 in enumerate((0.98, 0.981, 0.982)):
    finetuned(tmp_path, f"r{seed}", before, seed, top_1)
  return tmp_path


def test_means_of_seeds_are_in_their_place(runs):
  (page,) = full.show("table=5", runs, str(runs))
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
  (page,) = full.show("table=5", runs, str(runs))
  assert not any(cell.ours for cells in page.cells for cell in cells)


def test_unknown_pretraining_fills_nothing(runs):
  """Weights of a file, and a stand-in for JFT."""
  finetuned(runs, "npz", "B_16.npz", 0, 0.99)
  stand_in = runs / "other"
  write(stand_in, "configs/vit_jft.py", "variant=B/16,epochs=300", 0.5)
  finetuned(runs, "jft", stand_in, 0, 0.99)
  (page,) = full.show("table=5", runs, str(runs))
  ours = [cell.ours for cells in page.cells for cell in cells if cell.ours]
  assert len(ours) == 1 and ours[0].value == pytest.approx(98.1)


def test_a_run_without_steps_is_left_out(runs):
  (runs / "sweep/runs/r0/metrics.jsonl").write_text("")
  (number,) = finished.find(str(runs)).values()
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
  assert finished.label(config_lib.leaves(config)) == label


def test_tasks_of_vtab():
  assert finished._name("vtab:pets") == "VTAB Pets"
  assert finished._name("vtab:smallnorb_elevation") == "VTAB sNORB-Elev"
  assert finished._name("folder:birds") == "folder:birds"
