"""Runs that have finished, in the places of the paper's tables."""

import json
import pathlib

import pytest

from vit_jax.core import config as config_lib
from vit_jax.reproduce import ablations, launch, paper, paper_scale, run_scores


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
  args = {"variant": "B/16", "dataset": "cifar10", "checkpoint": start}
  args |= {"seed": seed, **more}
  arg = ",".join(f"{k}={v}" for k, v in args.items())
  write(folder / "sweep/runs" / name, "configs/transfer.py", arg, top_1)


@pytest.fixture
def runs(tmp_path):
  before = tmp_path / "i1k"
  write(before, "configs/vit_i1k.py", "variant=B/16", 0.75)
  for seed, top_1 in enumerate((0.98, 0.981, 0.982)):
    finetuned(tmp_path, f"r{seed}", before, seed, top_1)
  return tmp_path


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
  finetuned(runs, "npz", "B_16.npz", 0, 0.99)
  stand_in = runs / "other"
  write(stand_in, "configs/vit_jft.py", "variant=B/16,epochs=300", 0.5)
  finetuned(runs, "jft", stand_in, 0, 0.99)
  (page,) = paper_scale.show("table=5", runs, str(runs))
  ours = [cell.ours for cells in page.cells for cell in cells if cell.ours]
  assert len(ours) == 1 and ours[0].value == pytest.approx(98.1)


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
  assert run_scores.label(config_lib.leaves(config)) == label


def test_tasks_of_vtab():
  assert run_scores._name("vtab:pets") == "VTAB Pets"
  assert run_scores._name("vtab:smallnorb_elevation") == "VTAB sNORB-Elev"
  assert run_scores._name("folder:birds") == "folder:birds"


def ours(page):
  return {
    (row, column): cell.ours
    for row, cells in zip(page.rows, page.cells, strict=True)
    for column, cell in zip(page.columns, cells, strict=True)
    if cell.ours
  }


def test_adam_and_sgd_are_told_apart(tmp_path):
  """Table 7, from a stand-in for JFT that is called so."""
  for optim, top_1 in (("adamw", 0.9), ("sgd", 0.8)):
    before = tmp_path / optim
    arg = f"variant=R50x1,epochs=7,optim={optim},data=JFT-300M"
    write(before, "configs/vit_jft.py", arg, 0.5)
    more = {"variant": "R50x1", "model": "bit"}
    finetuned(tmp_path, f"from_{optim}", before, 0, top_1, **more)
  (page,) = paper_scale.show("table=7", tmp_path, str(tmp_path))
  assert {place: n.value for place, n in ours(page).items()} == {
    (("CIFAR10",), "ResNet50 Adam"): pytest.approx(90.0),
    (("CIFAR10",), "ResNet50 SGD"): pytest.approx(80.0),
  }


def test_masked_patches_are_not_supervised(tmp_path):
  before = tmp_path / "masked"
  write(before, "configs/masked_patch_b16.py", "", 0.0, duration="300 epochs")
  finetuned(tmp_path, "r", before, 0, 0.79, dataset="imagenet2012")
  (page,) = paper_scale.show("section=4.6", tmp_path, str(tmp_path))
  assert {place: n.value for place, n in ours(page).items()} == {
    (("ViT-B/16",), "ImageNet"): pytest.approx(79.0)
  }
  (table,) = paper_scale.show("table=5", tmp_path, str(tmp_path))
  assert not ours(table)


def ablation(folder, run, *scores):
  """The files of an ablation that has finished."""
  path, _, arg = run.config.partition(":")
  home = write(folder / run.name, path, arg, 0.0, **run.fields)
  rows = [
    {"step": i, "name": "imagenet", "5_shot": s} for i, s in enumerate(scores)
  ]
  (home / "evals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_ablations_are_in_their_places(tmp_path):
  grids = paper.grids()
  place = (("2d",), "every layer, shared")
  ablation(tmp_path, ablations.positions(grids["table8"])[place], 0.5, 0.64)
  (page,) = paper_scale.show("table=8", tmp_path, str(tmp_path))
  assert {p: n.value for p, n in ours(page).items()} == {place: 0.64}
  assert ours(page)[place].source == f"run:{tmp_path}/posemb-learned-2d-shared"

  place = (("ResNet152x2 (BiT)",), "30M")
  ablation(tmp_path, ablations.images(grids["figure4"])[place], 0.3, 0.2)
  (page,) = paper_scale.show("figure=4", tmp_path, str(tmp_path))
  # The best in training, in percent.
  assert {p: n.value for p, n in ours(page).items()} == {place: 30.0}

  ablation(tmp_path, ablations.shapes()["MLP 8192"], 0.6)
  _, points = paper_scale.show("figure=8", tmp_path, str(tmp_path))
  assert [row for row, _ in ours(points)] == [("MLP 8192",)]

  place = (("GAP lr=3e-4",), "ImageNet 5-shot after 7 epochs")
  ablation(tmp_path, ablations.pools(grids["figure9"])[place], 0.61)
  (page,) = paper_scale.show("figure=9", tmp_path, str(tmp_path))
  assert [*ours(page)] == [place]


def test_ablations_have_names_of_their_own():
  grids = paper.grids()
  runs = [
    *ablations.images(grids["figure4"]).values(),
    *ablations.shapes().values(),
    *ablations.pools(grids["figure9"]).values(),
    *ablations.axial(grids["figure13"]).values(),
    *ablations.positions(grids["table8"]).values(),
  ]
  names = [run.name for run in runs]
  assert len({*names}) == len(names) == 24 + 11 + 3 + 6 + 8


def test_half_of_every_width():
  """ViT-b/32 of Figure 4, at the rate of B/32."""
  place = (("ViT-b/32",), "300M (full)")
  run = ablations.images(paper.grids()["figure4"])[place]
  path, _, arg = run.config.partition(":")
  c = config_lib.load(str(launch.ROOT / path), arg)
  assert (c.model.width, c.model.mlp_dim, c.model.num_heads) == (384, 1536, 6)
  assert (c.model.patch_size, c.model.pre_logits_dim) == ((32, 32), 384)
  assert (c.optim.peak_lr, c.optim.weight_decay) == (8e-4, 0.1)
  assert c.data.train.split == "full[51200:14197122]"


def test_share_of_the_images():
  place = (("ResNet50x1 (BiT)",), "30M")
  run = ablations.images(paper.grids()["figure4"])[place]
  path, _, arg = run.config.partition(":")
  c = config_lib.load(str(launch.ROOT / path), arg)
  assert c.data.train.split == "full[51200:1465792]"
  assert c.optim.peak_lr == 1e-3 and c.model.name == "bit"
