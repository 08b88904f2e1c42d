"""Numbers that take minutes to compute, and the file that they are saved in."""

import json

import pytest

from vit_jax.core import files
from vit_jax.plan import compile as compile_lib
from vit_jax.reproduce import computed, launch, paper, paper_scale


def test_core_days_are_kept(tmp_path, monkeypatch):
  asked = []

  def core_days(config, where, examples):
    asked.append((config, where, examples))
    return 12.34

  monkeypatch.setattr(launch, "core_days", core_days)
  for _ in range(3):
    paper_scale.compute("table=9", tmp_path, "none", 2, 0.0, lambda _: None)
  assert len({*asked}) == len(asked) == 3
  assert ("configs/vit_i21k.py:variant=L/16", "v3:16x16", 14_145_922) in asked
  (page,) = paper_scale.show("table=9", tmp_path, "none")
  assert "# ViT-L/16, ImageNet-21k, on v3:16x16: at least 12.3 core-days" in (
    page.commands
  )


@pytest.mark.parametrize("guess", [8, 48, 24])
def test_largest_batch_by_compiling(tmp_path, monkeypatch, guess):
  """A core that takes 24 rows: found from below, above, and at once."""
  tried = []

  def compile_step(experiment, inputs, place):
    assert place.num_devices == 1
    assert experiment.model.image_size == (64, 64)
    tried.append(experiment.data.batch_size)
    if tried[-1] > 24:
      return compile_lib.Compiled(problem="out of memory")
    return compile_lib.Compiled(peak_bytes=2**20)

  monkeypatch.setattr(compile_lib, "compile_step", compile_step)
  monkeypatch.setattr(computed, "_guess", lambda *_: guess)
  file = tmp_path / paper_scale.COMPUTED
  while not computed.is_found(
    computed.largest_batch(files.read_rows(file), "ViT-B/32", 64)
  ):
    computed.compute_batch(file, "ViT-B/32", 64, -1.0)
  assert computed.largest_batch(files.read_rows(file), "ViT-B/32", 64) == (
    24,
    32,
  )
  assert len({*tried}) == len(tried) <= 5
  assert json.loads(file.read_text().splitlines()[0])["batch"] == guess


def test_guess_is_near_the_closed_form():
  """What fits by the estimate; 32 and 48 rows more do not."""
  batch = computed._guess("ViT-B/32", 64)
  assert computed._peak("ViT-B/32", 64, 8) < 16 * 2**30
  assert batch in computed.BATCH_SIZES and batch >= 64


def test_order_of_figure_12():
  """ViTs, then ResNets, each at 224 px first: H/14 takes no other size."""
  places = list(computed.batches(paper.grids()["figure12"]))
  assert places[0] == ("ViT-B/32", 224)
  assert all(model.startswith("ViT") for model, _ in places[: 4 * 5 + 1])
  assert [px for _, px in places[-5:]] == [224, 64, 128, 384, 512]
  assert len({*places}) == len(places) == 8 + 7 * 4


def test_sizes_that_a_model_takes():
  assert computed.can_take("R152x4", 64) and computed.can_take("ViT-B/32", 384)
  assert not computed.can_take("ViT-H/14", 384)
