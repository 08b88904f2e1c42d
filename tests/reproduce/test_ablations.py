"""Ablations: their configs, and their scores in the paper's tables."""

import json

from tests.reproduce import finished
from vit_jax.core import config as config_lib
from vit_jax.reproduce import ablations, launch, paper_scale


def ablation(folder, run, *scores):
  """The files of an ablation that has finished."""
  path, _, arg = run.config.partition(":")
  home = finished.write(folder / run.name, path, arg, 0.0, **run.fields)
  rows = [
    {"step": i, "name": "imagenet", "5_shot": s} for i, s in enumerate(scores)
  ]
  (home / "evals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_ablations_are_in_their_places(tmp_path):
  place = (("2d",), "every layer, shared")
  ablation(tmp_path, ablations.runs("table8")[place], 0.5, 0.64)
  (page,) = paper_scale.show("table=8", tmp_path, str(tmp_path))
  assert {p: n.value for p, n in finished.ours(page).items()} == {place: 0.64}
  assert (
    finished.ours(page)[place].source
    == f"run:{tmp_path}/posemb-learned-2d-shared"
  )

  place = (("ResNet152x2 (BiT)",), "30M")
  ablation(tmp_path, ablations.runs("figure4")[place], 0.3, 0.2)
  (page,) = paper_scale.show("figure=4", tmp_path, str(tmp_path))
  # The best in training, in percent.
  assert {p: n.value for p, n in finished.ours(page).items()} == {place: 30.0}

  place = (("MLP 8192",), "ImageNet 5-shot")
  ablation(tmp_path, ablations.runs("figure8")[place], 0.6)
  _, points = paper_scale.show("figure=8", tmp_path, str(tmp_path))
  assert [row for row, _ in finished.ours(points)] == [("MLP 8192",)]

  place = (("GAP lr=3e-4",), "ImageNet 5-shot after 7 epochs")
  ablation(tmp_path, ablations.runs("figure9")[place], 0.61)
  (page,) = paper_scale.show("figure=9", tmp_path, str(tmp_path))
  assert [*finished.ours(page)] == [place]


def test_ablations_have_names_of_their_own():
  runs = [
    *ablations.runs("figure4").values(),
    *ablations.runs("figure8").values(),
    *ablations.runs("figure9").values(),
    *ablations.runs("figure13").values(),
    *ablations.runs("table8").values(),
  ]
  names = [run.name for run in runs]
  assert len({*names}) == len(names) == 24 + 11 + 3 + 6 + 8


def test_half_of_every_width():
  """ViT-b/32 of Figure 4, at the rate of B/32."""
  place = (("ViT-b/32",), "300M (full)")
  run = ablations.runs("figure4")[place]
  path, _, arg = run.config.partition(":")
  c = config_lib.load(str(launch.ROOT / path), arg)
  assert (c.model.width, c.model.mlp_dim, c.model.num_heads) == (384, 1536, 6)
  assert (c.model.patch_size, c.model.pre_logits_dim) == ((32, 32), 384)
  assert (c.optim.peak_lr, c.optim.weight_decay) == (8e-4, 0.1)
  assert c.data.train.split == "full[51200:14197122]"


def test_share_of_the_images():
  place = (("ResNet50x1 (BiT)",), "30M")
  run = ablations.runs("figure4")[place]
  path, _, arg = run.config.partition(":")
  c = config_lib.load(str(launch.ROOT / path), arg)
  assert c.data.train.split == "full[51200:1465792]"
  assert c.optim.peak_lr == 1e-3 and c.model.name == "bit"
