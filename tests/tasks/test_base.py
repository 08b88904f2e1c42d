"""The contract of objectives, by one that uses all of it, in a real run."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from tests.e2e import run as cli
from tests.tasks import mean_teacher
from vit_jax import checkpoints
from vit_jax.checkpoints import manifest, run_checkpoints
from vit_jax.core import config as config_lib, errors, mesh as mesh_lib, tree
from vit_jax.tasks import base
from vit_jax.train import evaluate, experiment, initial, loop, setup
from vit_jax.train.recording import fetch

STEPS = 8


def config(data_dir, **runtime):
  overrides = {
    "task.name": "tests.tasks.mean_teacher",
    "model.num_classes": 0,
    "optim.schedule.warmup": "2 steps",
    "runtime.data_dir": str(data_dir),
    "runtime.save_every": "4 steps",
    **{f"runtime.{k}": v for k, v in runtime.items()},
  }
  arg = f"steps={STEPS},dropout=0.0"
  c = config_lib.load(cli.TINY, arg, overrides, experiment.Experiment)
  with c.unlocked():
    c.evals = {
      "near": {
        "name": "knn",
        "neighbours": (3,),
        **{k: v for k, v in c.evals.test.items() if k not in ("name", "loss")},
        "train": {**c.evals.test.data, "split": "train"},
        "temperature": 0.07,
        "every": "100 %",
      }
    }
  return c


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp("run") / "run"
  scores = loop.train(config(data_dir), str(folder))
  return folder, scores


def _arrays(folder, step):
  path = folder / "checkpoints" / str(step)
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  target = tree.unflatten(
    {
      name: jax.ShapeDtypeStruct(shape, dtype, sharding=device)
      for name, (dtype, shape) in run_checkpoints.read_arrays(path).items()
    }
  )
  state, _ = run_checkpoints.restore_step(path, target)
  return {k: np.asarray(v) for k, v in tree.flatten(state).items()}


def test_the_teacher_follows_the_model(trained):
  """In the last step it is the mean of the one before and the model."""
  folder, _ = trained
  arrays = _arrays(folder, STEPS)
  assert arrays["task_state/task/updates"] == STEPS
  teacher = {k for k in arrays if k.startswith("task_state/task/teacher/")}
  assert {k.removeprefix("task_state/task/teacher/") for k in teacher} == {
    k.removeprefix("params/")
    for k in arrays
    if k.startswith("params/") and not k.startswith("params/task/")
  }
  different = [
    k
    for k in teacher
    if np.abs(
      arrays[k] - arrays[k.replace("task_state/task/teacher", "params")]
    ).max()
    > 0
  ]
  assert len(different) > len(teacher) / 2


def test_its_metrics_are_in_every_row(trained):
  folder, _ = trained
  rows = cli.rows(folder / "metrics.jsonl")
  assert len(rows) == STEPS
  for row in rows:
    assert row["dark_error"] > 0
    assert "never" not in row


def test_the_teacher_is_evaluated_and_exported(trained, data_dir):
  folder, scores = trained
  assert manifest.model_paths(folder / "checkpoints" / str(STEPS)) == {
    "params": "task_state/task/teacher"
  }
  loaded = checkpoints.load(folder)
  arrays = _arrays(folder, STEPS)
  for name, value in tree.flatten(loaded.params).items():
    teacher = arrays[f"task_state/task/teacher/{name}"]
    np.testing.assert_array_equal(value, teacher)
  again = evaluate.evaluate(str(folder), config(data_dir))
  assert again == scores


def test_a_resumed_run_ends_alike(trained, data_dir, tmp_path):
  folder, _ = trained
  again = tmp_path / "again"
  shutil.copytree(folder, again)
  shutil.rmtree(again / "checkpoints" / str(STEPS))
  loop.train(config(data_dir), str(again))
  ours, theirs = _arrays(again, STEPS), _arrays(folder, STEPS)
  assert ours.keys() == theirs.keys()
  for name, value in ours.items():
    np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def built(data_dir, **runtime):
  c = config(data_dir, **runtime)
  e = config_lib.build(experiment.Experiment, c)
  return setup.build(e, experiment.open_inputs(e))


def one_step(run, seed=0):
  rng = np.random.default_rng(seed)
  batch = {
    "image": rng.integers(0, 256, (32, 8, 8, 1), np.uint8),
    "label": np.zeros(32, np.int32),
  }
  state = run.init()
  return run.step(state, mesh_lib.put_batch(run.mesh, batch))


def test_means_are_exact_over_microbatches_and_devices(data_dir):
  rows = []
  for runtime in (
    dict(mesh="data=8"),
    dict(mesh="data=4,tensor=2", microbatches=4),
    dict(mesh="data=2,fsdp=4", microbatches=2),
  ):
    run = built(data_dir, **runtime)
    _, metrics = one_step(run)
    total, count = (float(x) for x in metrics["dark_error"])
    assert 0 < count < 32 and count.is_integer()
    rows.append((total, count, fetch(metrics)["dark_error"]))
  for total, count, mean in rows[1:]:
    np.testing.assert_allclose(total, rows[0][0], rtol=1e-5)
    assert count == rows[0][1]
    np.testing.assert_allclose(mean, rows[0][2], rtol=1e-5)


def test_own_parameters_and_state_are_sharded_by_own_rules(data_dir):
  run = built(data_dir, mesh="data=2,fsdp=4")
  state = run.init()
  kernel = state.params["task"]["kernel"]
  assert kernel.addressable_shards[0].data.shape == (4, 16)
  ours = tree.flatten(base.of_model(state.params))
  teacher = tree.flatten(state.task_state["task"]["teacher"])
  assert {k: v.sharding for k, v in ours.items()} == {
    k: v.sharding for k, v in teacher.items()
  }
  assert any(not v.sharding.is_fully_replicated for v in teacher.values())


def test_the_teacher_begins_as_the_model_from_a_checkpoint(trained, data_dir):
  folder, _ = trained
  c = config(data_dir)
  c.start.checkpoint = str(folder)
  e = config_lib.build(experiment.Experiment, c)
  run = setup.build(e, experiment.open_inputs(e))
  state = initial.state(run, initial.load(e, run.inputs))
  loaded = tree.flatten(checkpoints.load(folder).params)
  teacher = tree.flatten(state.task_state["task"]["teacher"])
  for name, value in loaded.items():
    np.testing.assert_array_equal(teacher[name], value)


def test_names_of_the_steps_metrics_are_taken(data_dir, monkeypatch):
  run = built(data_dir)
  loss = mean_teacher.Task.loss

  def clashing(self, *args):
    value, aux = loss(self, *args)
    return value, aux.replace(metrics={"loss": aux.metrics["never"]})

  monkeypatch.setattr(mean_teacher.Task, "loss", clashing)
  with pytest.raises(ValueError, match=r"metrics of one name: ..loss"):
    one_step(run)


def test_an_objective_refuses_before_data_is_opened(monkeypatch):
  def check(self, found):
    assert dataclasses.is_dataclass(found.model)
    raise errors.ConfigError(
      "{task.momentum} is too large for {seed}",
      {"task.momentum": self.momentum, "seed": found.seed},
    )

  monkeypatch.setattr(mean_teacher.Config, "check", check)
  with pytest.raises(errors.ConfigError, match=r"task.momentum=0.5 .* seed=0$"):
    experiment.Experiment(task=mean_teacher.Config())
