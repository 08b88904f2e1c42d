"""Runs, loaded as models; and models, saved as runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints import files
from vit_jax import checkpoints, models
from vit_jax.checkpoints import run_checkpoints
from vit_jax.core import errors


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A workdir with two steps of a tiny ViT on grey images."""
  workdir = tmp_path_factory.mktemp("run")
  fields = dict(
    image_size=[8, 8],
    patch_size=[4, 4],
    width=8,
    depth=2,
    mlp_dim=8,
    num_heads=2,
  )
  fields = {
    k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
  }
  model = models.create("vit", num_classes=3, **fields)
  params = model.init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
  meta = {
    "config": {
      "model": {"name": "vit", **model.config.__dict__},
      "evals": {
        "test": {"data": {"preprocess": "decode(1)|value_range(0, 1)"}}
      },
    }
  }
  with run_checkpoints.Checkpointer(workdir / "checkpoints", keep=2) as saved:
    for step in (1, 2):
      state = dict(params, ema={}, task_state={}, opt_state={"n": jnp.ones(3)})
      scaled = jax.tree.map(lambda x, s=step: x * s, state)
      saved.save(step, scaled, meta)
  return workdir, model, params["params"]


@pytest.mark.parametrize("part", ["", "checkpoints", "checkpoints/2"])
def test_an_own_run(run, part):
  workdir, model, params = run
  got = checkpoints.load(workdir / part)
  assert got.source_format == "orbax"
  assert got.model.config == model.config
  files.same(got.params, jax.tree.map(lambda x: 2 * x, params))
  assert got.preprocess == "decode(channels=1)|value_range(0.0, 1.0)"
  assert "opt_state/n" in got.report.ignored


def test_an_older_step_of_a_run(run):
  workdir, _, params = run
  files.same(checkpoints.load(workdir / "checkpoints/1").params, params)


def test_an_own_run_at_another_size(run):
  got = checkpoints.load(run[0], resolution=16, num_classes=5)
  assert got.params["posemb"]["table"].shape == (17, 8)
  assert got.report.resized == ("posemb/table",)
  assert set(got.report.reset) == {"head/kernel", "head/bias"}


def test_averaged_parameters_are_taken(run, tmp_path):
  _, model, params = run
  averaged = jax.tree.map(lambda x: x + 1, params)
  state = {"params": params, "ema": averaged, "task_state": {}}
  meta = {"config": {"model": {"name": "vit", **model.config.__dict__}}}
  with run_checkpoints.Checkpointer(tmp_path / "checkpoints", keep=1) as saved:
    saved.save(1, state, meta)
  got = checkpoints.load(tmp_path)
  files.same(got.params, averaged)
  assert any("averaged" in x for x in got.report.assumptions)
  # Nothing says how this run evaluated, but its images are grey.
  assert got.preprocess == "decode(channels=1)|resize(8)|value_range(-1.0, 1.0)"


def test_parameters_of_the_task_are_dropped_and_reported(run, tmp_path):
  """What the run trained beside its model, under any name."""
  _, model, params = run
  extra = {"decoder": {"kernel": jnp.ones(2)}, "aux": jnp.ones(3)}
  state = {"params": {**params, **extra}, "task_state": {}}
  meta = {"config": {"model": {"name": "vit", **model.config.__dict__}}}
  with run_checkpoints.Checkpointer(tmp_path / "checkpoints", keep=1) as saved:
    saved.save(1, state, meta)
  got = checkpoints.load(tmp_path)
  files.same(got.params, params)
  assert set(got.report.dropped) == {"decoder/kernel", "aux"}
  # A parameter that is missing, or is another in the model's own groups.
  state["params"]["posemb"] = {"other": jnp.ones(2)}
  with run_checkpoints.Checkpointer(tmp_path / "checkpoints", keep=1) as saved:
    saved.save(2, state, meta)
  with pytest.raises(
    errors.CheckpointError, match="posemb/other is only there"
  ):
    checkpoints.load(tmp_path)


def test_a_run_of_another_model(run):
  model = models.create("swin", variant="T")
  with pytest.raises(errors.CheckpointError, match=r"holds a vit.*is a swin"):
    checkpoints.load(run[0], model=model)


def test_a_folder_that_no_run_has_made(run, tmp_path):
  with run_checkpoints.Checkpointer(tmp_path / "checkpoints", keep=1) as saved:
    saved.save(1, {"params": run[2]}, {})
  with pytest.raises(errors.CheckpointError, match="not saved by a run"):
    checkpoints.load(tmp_path)


def test_a_trained_run_is_not_replaced(run):
  loaded = checkpoints.load(run[0])
  with pytest.raises(errors.ConfigError, match="a run that was trained"):
    checkpoints.save(loaded, "orbax", run[0])


def test_a_model_from_outside_is_not_imported(run, tmp_path):
  meta = {"config": {"model": {"name": "mylab.vit2", "width": 8}}}
  with run_checkpoints.Checkpointer(tmp_path / "checkpoints", keep=1) as saved:
    saved.save(1, {"params": run[2]}, meta)
  with pytest.raises(errors.ConfigError, match=r"mylab\.vit2 .*--allow_parts"):
    checkpoints.load(tmp_path)
