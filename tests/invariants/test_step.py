"""What must not change the numbers of a step: devices, microbatches, knobs."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.e2e import run as cli
from vit_jax.core import config as config_lib, mesh as mesh_lib, rng, tree
from vit_jax.data import pipeline
from vit_jax.train import experiment as experiment_lib, setup

# Nothing random but the initial parameters and the data; and what is masked,
# which depends on the seed and the step alone.
PLAIN = {
  "model.depth": 3,
  "data.train.name": "synthetic:64x8x8x1x10",
  "data.train.preprocess": "value_range(-1, 1)",
  "optim.schedule.warmup": "0 steps",
  "optim.schedule.decay": "constant",
  "optim.weight_decay": 0.0,
  "optim.clip_norm": 0.0,
  # Else Adam makes updates of the rounding where there is no gradient.
  "optim.eps": 1.0,
}
TASKS = {
  "supervised": {
    "model.head_bias_init": -1.0,
    "evals.test.data.name": "synthetic:64x8x8x1x10",
    "evals.test.data.preprocess": "value_range(-1, 1)",
    "task.mixup": 0.0,
  },
  "masked_patch": {},
}


def start(task, num_devices=8, **overrides):
  """A run, its first state and its first batch on so many devices."""
  overrides = {k.replace("__", "."): v for k, v in overrides.items()}
  config = config_lib.load(
    cli.TINY,
    f"task={task},dropout=0.0,steps=50",
    {**PLAIN, **TASKS[task], **overrides},
  )
  experiment = config_lib.build(experiment_lib.Experiment, config)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs, jax.devices()[:num_devices])
  batch = pipeline.train_batches(
    inputs.train,
    experiment.data.train.preprocess,
    batch_size=32,
    seed=1,
    num_steps=50,
  )[0]
  del batch["id"]
  # A head of zeros would leave the rest without a gradient.
  state = run.init()
  params = tree.map_named(noisy, state.params)
  return run, state.replace(params=params), mesh_lib.put_batch(run.mesh, batch)


def noisy(name, param):
  draw = np.random.default_rng(zlib.crc32(name.encode()))
  noise = 0.1 * draw.standard_normal(param.shape).astype(np.float32)
  return jax.device_put(np.asarray(param) + noise, param.sharding)


def one_step(task, num_devices=8, **overrides):
  """Gradients and metrics of a step, on the host."""
  run, state, batch = start(task, num_devices, **overrides)
  state, metrics = run.step(state, batch)
  # Adam's first moment after one step is 0.1 times the gradient.
  return jax.device_get((optax.tree.get(state.opt_state, "mu"), metrics))


def assert_close(ours, theirs):
  """Gradients within 1e-5 of each tensor's scale."""
  grads, expected = tree.flatten(ours[0]), tree.flatten(theirs[0])
  assert set(grads) == set(expected)
  for name, b in expected.items():
    # A key's bias has no gradient: the softmax does not see it.
    scale = np.abs(expected[name.replace("key/bias", "query/bias")]).max()
    assert scale > 0, name
    np.testing.assert_allclose(
      grads[name], b, rtol=0, atol=1e-5 * scale, err_msg=name
    )
  for name in theirs[1]:
    np.testing.assert_allclose(
      ours[1][name], theirs[1][name], rtol=1e-5, err_msg=name
    )


@pytest.fixture(scope="module", autouse=True)
def quick_compile():
  """Most of these tests is compilation."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", params=["supervised"])
def task(request):
  return request.param


# Tests of what the task has a part in.
every_task = pytest.mark.parametrize("task", TASKS, indirect=True)


@pytest.fixture(scope="module")
def reference(task):
  return one_step(task, 1)


@every_task
@pytest.mark.parametrize(
  ("devices", "mesh"),
  [
    (8, "data=8"),
    (4, "data=2,fsdp=2"),
    (8, "data=2,fsdp=2,tensor=2"),
    (2, "data=1,tensor=2"),
  ],
)
def test_devices(task, reference, devices, mesh):
  assert_close(one_step(task, devices, runtime__mesh=mesh), reference)


@every_task
@pytest.mark.parametrize("parts", [2, 4])
def test_microbatches(task, reference, parts):
  assert_close(one_step(task, 8, runtime__microbatches=parts), reference)


@pytest.mark.parametrize(
  ("unroll", "remat"), [(0, "none"), (0, "full"), (1, "full"), (1, "dots")]
)
def test_depth_knobs(task, reference, unroll, remat):
  ours = one_step(task, 1, runtime__unroll=unroll, runtime__remat=remat)
  assert_close(ours, reference)


@every_task
def test_a_fault_would_be_seen(task, reference):
  """The comparison above does not accept another step."""
  other = {
    "supervised": dict(task__label_smoothing=0.11),
    "masked_patch": dict(seed=1),
  }
  with pytest.raises(AssertionError):
    assert_close(one_step(task, 1, **other[task]), reference)


def test_born_sharded(task):
  """Each device holds its part of parameters and moments only."""
  run, state, batch = start(task, 8, runtime__mesh="data=2,fsdp=2,tensor=2")
  state, _ = run.step(state, batch)
  kernels = [
    state.params["blocks"]["mlp"]["hidden"]["kernel"],
    state.ema["blocks"]["mlp"]["hidden"]["kernel"],
    *(x for x in jax.tree.leaves(state.opt_state) if x.shape == (3, 16, 32)),
  ]
  assert len(kernels) >= 4
  for kernel in kernels:
    assert kernel.addressable_shards[0].data.shape == (3, 8, 16)


def test_the_batch_moves_only_up(task):
  """A step copies nothing to the device but what it is given."""
  run, state, batch = start(task)
  state, _ = run.step(state, batch)
  with jax.transfer_guard_host_to_device("disallow"):
    run.step(state, batch)


def test_dropout_does_not_depend_on_the_mesh(task):
  losses = []
  for devices in (1, 8):
    run, state, batch = start(
      task, devices, model__dropout=0.3, task__mixup=0.5
    )
    _, metrics = run.step(state, batch)
    losses.append(float(metrics["loss"]))
  np.testing.assert_allclose(*losses, rtol=1e-6)


@every_task
def test_streams_advance(task):
  """What is random differs from step to step; the root does not."""
  more = {"supervised": dict(task__mixup=1.0), "masked_patch": {}}[task]
  run, first, batch = start(task, 1, **more)
  norms = set()
  for step in range(3):
    state = jax.tree.map(jnp.copy, first)
    state = state.replace(step=jnp.asarray(step, jnp.int32))
    state, metrics = run.step(state, batch)
    norms.add(float(metrics["l2_grads"]))
  assert len(norms) == 3
  assert jnp.array_equal(state.rng, rng.root(0))
