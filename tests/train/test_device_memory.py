"""A device whose memory is full: one line that says what to change."""

import re

import pytest

from tests.e2e import tiny
from vit_jax.core import errors
from vit_jax.train import loop

DATA = {
  "name": "synthetic:16x512x512x1x10",
  "preprocess": "value_range(-1, 1)",
}


def config(steps):
  """A tiny model that attends to 262,144 tokens: terabytes for each image."""
  c = tiny.get_config(f"steps={steps}")
  c.model.image_size = (512, 512)
  c.model.patch_size = (1, 1)
  c.data.batch_size = 8
  c.data.train.update(DATA)
  c.evals.test.data.update(DATA)
  c.optim.schedule.warmup = "0 steps"
  return c


def test_a_step(tmp_path):
  says = (
    "the memory of a device is full (Out of memory allocating",
    "data.batch_size=8, runtime.microbatches=1, runtime.remat=none,",
    "use more microbatches, remat=full, fsdp in the mesh or a smaller batch",
  )
  with pytest.raises(errors.DeviceError, match=re.escape(says[0])) as e:
    loop.train(config(2), str(tmp_path))
  assert all(text in str(e.value) for text in says)
  assert "\n" not in str(e.value)


def test_an_evaluation(tmp_path, monkeypatch):
  """Of a step that fits; its own batch is what is too large."""
  c = config(1)
  c.model.image_size = c.model.patch_size = (8, 8)
  c.data.train.name = "synthetic:16x8x8x1x10"
  c.evals.test.data.name = "synthetic:16x8x8x1x10"

  def evaluate(*_, **__):
    import jax.numpy as jnp

    return jnp.zeros((2**45,)).block_until_ready()

  monkeypatch.setattr("vit_jax.evals.base.OnData.__call__", evaluate)
  with pytest.raises(errors.DeviceError, match=r"evals\.test\.batch_size=100;"):
    loop.train(c, str(tmp_path))
