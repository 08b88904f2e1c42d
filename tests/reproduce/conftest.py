"""Runs and results that the tables find."""

import pytest

from tests.reproduce import finished
from vit_jax.reproduce import computed, paper_scale


@pytest.fixture
def runs(tmp_path):
  """A pre-training, and three seeds of a fine-tuning of it."""
  before = tmp_path / "i1k"
  finished.write(before, "configs/vit_i1k.py", "variant=B/16", 0.75)
  for seed, top_1 in enumerate((0.98, 0.981, 0.982)):
    finished.finetuned(tmp_path, f"r{seed}", before, seed, top_1)
  return tmp_path


@pytest.fixture
def results(tmp_path):
  """Results with two largest batches, one of them not found to the end."""
  row = {"what": "batch", "model": "ViT-B/32", "peak_mib": 1, "compile_s": 1}
  for size_px, batch, fits in (
    (224, 256, True),
    (224, 384, False),
    (64, 512, True),
  ):
    more = {"size_px": size_px, "batch": batch, "fits": fits}
    computed.add(tmp_path / paper_scale.COMPUTED, {**row, **more})
  return tmp_path
