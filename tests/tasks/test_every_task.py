"""What every objective keeps of the contract.

An objective is found by its file; without a case below it fails.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models
from vit_jax.core import parts, tree
from vit_jax.models import vit
from vit_jax.tasks import base
from vit_jax.train.experiment import Experiment

PACKAGE = "vit_jax.tasks"
SMALL = vit.Config(
  num_classes=3,
  image_size=(8, 8),
  patch_size=(2, 2),
  width=8,
  depth=1,
  num_heads=2,
  mlp_dim=16,
  dropout=0.1,
)


@dataclasses.dataclass(frozen=True)
class Case:
  """An objective to try.

  Attributes:
    config: as it is trained.
    model: that it can train.
  """

  config: Any
  model: Any = SMALL


def cases():
  supervised, masked = (
    parts.find(PACKAGE, name) for name in ("supervised", "masked_patch")
  )
  no_head = dataclasses.replace(SMALL, num_classes=0)
  return {
    "masked_patch": Case(masked.Config(), no_head),
    "supervised": Case(supervised.Config(mixup=0.5, cutmix=0.5)),
  }


NAMES = parts.names(PACKAGE)
LENGTHS = dict(total_steps=10, batch_size=4, epoch_examples=20)
BATCH = {
  "image": jnp.asarray(
    np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)), jnp.float32
  ),
  "label": jnp.array([0, 2, 1, 1]),
}
jit = functools.partial(jax.jit, compiler_options=small_models.COMPILE_FAST)


@functools.cache
def begun(name):
  """A task, its first variables and an augmented batch."""
  case = cases()[name]
  experiment = Experiment(task=case.config, model=case.model)
  task = parts.find(PACKAGE, name).Task(
    experiment.task, vit.Model(case.model), LENGTHS
  )
  params, state = jit(task.init)(jax.random.key(0), BATCH["image"][:1])
  variables = base.Variables(params=params, ema={}, task_state=state)
  variables = variables.replace(task_state=task.begin(variables))
  return task, variables, jit(task.augment)(BATCH, jax.random.key(1))


@functools.cache
def stepped(name):
  """The loss, what is beside it, and its gradient."""
  task, variables, batch = begun(name)

  def loss(params):
    seen = variables.replace(params=params)
    return task.loss(seen, batch, jax.random.key(2), jnp.int32(0))

  return jit(jax.value_and_grad(loss, has_aux=True))(variables.params)


def shapes_of(arrays):
  return {name: x.shape for name, x in tree.flatten(arrays).items()}


def test_every_objective_has_a_case():
  assert sorted(cases()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_models_and_its_own(name):
  task, variables, _ = begun(name)
  theirs = jax.eval_shape(task.model.init, jax.random.key(0), BATCH["image"])
  for collection, shapes in theirs.items():
    ours = variables.params
    if collection != "params":
      ours = variables.task_state[collection]
    assert {
      k: v.shape for k, v in tree.flatten(base.of_model(ours)).items()
    } == {k: v.shape for k, v in tree.flatten(shapes).items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_array_of_a_batch_begins_with_its_axis(name):
  _, _, batch = begun(name)
  assert all(len(x) == 4 for x in jax.tree.leaves(batch))


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_a_finite_scalar_with_sums_and_counts(name):
  _, variables, _ = begun(name)
  (loss, aux), grads = stepped(name)
  assert loss.shape == () and np.isfinite(loss)
  for total, count in aux.metrics.values():
    assert total.shape == count.shape == ()
    assert total >= 0 and count > 0
  assert not {"loss", "step", "learning_rate"} & set(aux.metrics)
  assert jax.tree.structure(aux.state) == jax.tree.structure(
    variables.task_state
  )
  leaves = jax.tree.leaves(grads)
  assert all(np.isfinite(g).all() for g in leaves)
  assert any(np.abs(g).max() > 0 for g in leaves)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_keeps_its_form_in_a_step(name):
  task, variables, _ = begun(name)
  (_, aux), _ = stepped(name)
  left = variables.replace(task_state=aux.state)
  shapes = jax.eval_shape(task.after_update, left, jnp.int32(0))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(
    lambda x: (x.shape, x.dtype), variables.task_state
  )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_evaluated_is_what_the_model_takes(name):
  task, variables, _ = begun(name)
  for ema in ({}, variables.params):
    evaluated = task.evaluated(variables.replace(ema=ema))
    out = jax.eval_shape(task.model.apply, evaluated, BATCH["image"])
    assert out["pre_logits"].shape == (4, 8)
    assert base.OWN not in evaluated["params"]


@pytest.mark.parametrize("name", NAMES)
def test_every_draw_comes_from_the_key(name):
  task, _, batch = begun(name)
  again = jit(task.augment)(BATCH, jax.random.key(1))
  other = jit(task.augment)(BATCH, jax.random.key(5))
  same = [
    jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), batch, x))
    for x in (again, other)
  ]
  assert same == [True, False]
