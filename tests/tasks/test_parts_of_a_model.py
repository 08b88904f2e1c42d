"""A task that runs the model in parts, twice, and has a decoder of its own."""

import numpy as np
import pytest

from tests.e2e import run as cli
from vit_jax import checkpoints
from vit_jax.core import config as config_lib, mesh as mesh_lib, tree
from vit_jax.train import experiment, loop, setup

STEPS = 30


def config(data_dir, **runtime):
  overrides = {
    "task.name": "tests.tasks.masked_views",
    "model.num_classes": 0,
    "model.patch_size": (2, 2),
    "optim.schedule.warmup": "2 steps",
    "optim.peak_lr": 0.003,
    "runtime.data_dir": str(data_dir),
    **{f"runtime.{k}": v for k, v in runtime.items()},
  }
  arg = f"steps={STEPS},dropout=0.0"
  c = config_lib.load(cli.TINY, arg, overrides, experiment.Experiment)
  with c.unlocked():
    c.evals = {}
  return c


def step(data_dir, **runtime):
  """A step on fixed images: the state after it, and its metrics."""
  e = config_lib.build(experiment.Experiment, config(data_dir, **runtime))
  run = setup.build(e, experiment.open_inputs(e))
  image = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
  batch = {"image": image, "label": np.zeros(32, np.int32)}
  state, metrics = run.step(run.init(), mesh_lib.put_batch(run.mesh, batch))
  return state, metrics


def test_every_parameter_is_trained(data_dir):
  """The decoder's, and through both views all of the model's."""
  state, _ = step(data_dir)
  # After one step of Adam the first moments are the gradients, scaled.
  moments = {
    name.partition("mu/")[2]: value
    for name, value in tree.flatten(state.opt_state).items()
    if "mu/" in name
  }
  assert moments.keys() == tree.flatten(state.params).keys()
  assert any(k.startswith("task/decoder/block/") for k in moments)
  # The true gradient of a key's bias is zero, since it changes no softmax.
  still = {k for k, v in moments.items() if not np.any(v)}
  assert {k for k in still if not k.endswith("key/bias")} == set()


@pytest.mark.parametrize(
  "runtime",
  [dict(mesh="data=2,fsdp=4"), dict(mesh="data=4,tensor=2", microbatches=2)],
)
def test_other_meshes_and_microbatches_agree(data_dir, runtime):
  _, metrics = step(data_dir)
  _, others = step(data_dir, **runtime)
  for name in ("loss", "l2_grads"):
    np.testing.assert_allclose(others[name], metrics[name], rtol=1e-5)
  np.testing.assert_allclose(
    others["pixel_error"][0], metrics["pixel_error"][0], rtol=1e-5
  )


def test_it_learns_and_the_decoder_is_not_exported(data_dir, tmp_path):
  loop.train(config(data_dir), str(tmp_path / "run"))
  rows = cli.rows(tmp_path / "run" / "metrics.jsonl")
  first, last = (
    np.mean([row["pixel_error"] for row in part])
    for part in (rows[:5], rows[-5:])
  )
  assert last < 0.8 * first
  names = tree.flatten(checkpoints.load(tmp_path / "run").params)
  assert names
  assert not [k for k in names if k.startswith("task/")]
