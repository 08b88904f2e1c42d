"""What a device needs, in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from tests.plan import small
from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.plan import memory, search
from vit_jax.plan.chips import CHIPS


@pytest.fixture(scope="module")
def estimator():
  return small.estimator()


def needs(estimator, devices=8, **runtime):
  experiment = estimator.experiment
  if "mesh" in runtime:
    runtime["mesh"] = mesh_lib.MeshShape.parse(runtime["mesh"])
  runtime = dataclasses.replace(experiment.runtime, **runtime)
  return estimator(dataclasses.replace(experiment, runtime=runtime), devices)


def test_state_is_what_it_is(estimator):
  """Four bytes a parameter, and Adam's two moments and average beside it."""
  found = needs(estimator)
  size = 4 * estimator.parameters
  # Narrow arrays are padded to tiles.
  assert size < found.parameters_bytes < 1.1 * size
  assert found.optimizer_bytes == pytest.approx(
    2 * found.parameters_bytes, rel=0.01
  )
  assert found.other_bytes == found.parameters_bytes


def test_fsdp_splits_state_and_batch(estimator):
  one, four = needs(estimator), needs(estimator, mesh="fsdp=4")
  assert four.parameters_bytes < 0.35 * one.parameters_bytes
  assert four.optimizer_bytes < 0.35 * one.optimizer_bytes
  assert four.flops == one.flops
  assert four.sent_bytes > 1.5 * one.sent_bytes


def test_knobs_trade_operations_for_bytes(estimator):
  none, dots, full = (
    needs(estimator, remat=remat) for remat in ("none", "dots", "full")
  )
  assert none.flops < dots.flops < full.flops
  assert (
    none.activations_bytes > dots.activations_bytes > full.activations_bytes
  )
  parts = needs(estimator, microbatches=4)
  assert parts.activations_bytes < 0.5 * none.activations_bytes
  assert parts.flops == pytest.approx(none.flops, rel=0.01)


def test_a_batch_that_cannot_be_split(estimator):
  with pytest.raises(errors.ConfigError, match="not divisible by 3"):
    needs(estimator, devices=3)


def test_nearest_way_that_fits(estimator):
  """One change is enough, and of those without tensor the fastest is first."""
  now = needs(estimator)
  hbm = int(0.4 * now.peak_bytes * search.MARGIN)
  chip = dataclasses.replace(CHIPS["v3"], hbm_bytes=hbm)
  ways = search.nearest(estimator, 8, chip)
  assert ways
  assert {w.changed for w in ways} == {1}
  assert all(w.needs.peak_bytes * search.MARGIN < hbm for w in ways)
  tensors = [w.experiment.runtime.mesh.tensor for w in ways]
  assert tensors == sorted(tensors)
  times = [sum(w.needs.times(chip).values()) for w in ways]
  plain = times[: tensors.count(1)]
  assert plain == sorted(plain)


def test_auto_mesh(estimator):
  """Data parallel where that fits, else as little fsdp as is needed."""
  peak = needs(estimator).peak_bytes * search.MARGIN
  mesh = search.auto_mesh(estimator, 8, int(1.01 * peak))
  assert mesh == mesh_lib.MeshShape(8, 1, 1)
  less = needs(estimator, mesh="fsdp=4").peak_bytes * search.MARGIN
  mesh = search.auto_mesh(estimator, 8, int(1.01 * less))
  assert mesh == mesh_lib.MeshShape(2, 4, 1)
  with pytest.raises(errors.ConfigError, match=r"no mesh of 8 devices fits"):
    search.auto_mesh(estimator, 8, 1000)
  with pytest.raises(errors.ConfigError, match="cannot be split over 7"):
    search.auto_mesh(estimator, 7, int(peak))


@pytest.mark.parametrize(
  ("shape", "dtype", "expected"),
  [
    ((), jnp.float32, 4),
    ((100,), jnp.float32, 400),
    ((8, 128), jnp.float32, 8 * 128 * 4),
    # The longer axis in lanes.
    ((130, 8), jnp.float32, 256 * 8 * 4),
    ((128, 197, 12, 64), jnp.bfloat16, 128 * 197 * 12 * 64 * 2),
  ],
)
def test_tiles(shape, dtype, expected):
  assert memory.padded_bytes(shape, dtype) == expected


def use(f, *shapes):
  args = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
  return memory.use(jax.make_jaxpr(f)(*args).jaxpr, memory.padded_bytes)


ROOM = 1024 * 1024 * 4


def test_what_is_fused_takes_no_room():
  square = (1024, 1024)
  assert use(lambda x: jnp.tanh(x) * 2 + x, square).peak == 0
  assert use(lambda x, w: jnp.tanh(x @ w) @ w, square, square).peak == 2 * ROOM


def test_what_is_no_longer_needed_is_freed():
  def chain(x, w):
    for _ in range(5):
      x = jnp.tanh(x @ w)
    return x

  assert use(chain, (1024, 1024), (1024, 1024)).peak == 2 * ROOM


def test_a_loop_keeps_what_its_gradient_needs():
  def loop(x, w):
    def body(x, w):
      return jnp.tanh(x @ w), None

    return jnp.square(jax.lax.scan(body, x, w)[0]).sum()

  def peak(turns):
    return use(jax.grad(loop), (1024, 1024), (turns, 1024, 1024)).peak

  # Each turn keeps at least its input; the room for one turn is used again.
  assert 1 <= (peak(9) - peak(6)) / (3 * ROOM) <= 3
  assert peak(9) - peak(6) == peak(6) - peak(3)


@pytest.mark.parametrize(
  ("examples", "overrides", "steps"),
  [
    (0, {"duration": "30 steps"}, 30),
    (0, {"duration": "2 epochs"}, 0),
    (40_960, {"duration": "2 epochs"}, 20),
    # Published: 1,281,167 images.
    (0, {"duration": "32 epochs", "name": "tfds:imagenet2012"}, 10_009),
    (0, {"duration": "4096 epochs", "split": "train[:100]"}, 100),
  ],
)
def test_lengths_of_data_that_is_not_here(tmp_path, examples, overrides, steps):
  overrides = dict(overrides)
  name = overrides.pop(
    "name",
    "tfds:imagenet2012" if "split" in overrides else "multilabel:nowhere.csv",
  )
  found = small.planned(
    examples,
    data__train__name=name,
    data__train__split=overrides.pop("split", "train"),
    optim__schedule__warmup="0 steps",
    runtime__data_dir=str(tmp_path),
    **overrides,
  )
  assert found.steps == steps
  assert not found.experiment.evals
  assert found.inputs.image_shape == (64, 64, 3)
