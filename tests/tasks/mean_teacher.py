"""An objective that uses all of the contract: a teacher that follows the model.

The model predicts what its slow copy sees in the mirrored image, through a
layer of the task's own. The teacher is what is evaluated and exported.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vit_jax.core import duration
from vit_jax.tasks import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """A teacher's momentum, which is 0 during warm-up.

  Attributes:
    momentum: of the teacher, in each step after warm-up.
    warmup: how long the teacher is the model itself.
  """

  momentum: float = 0.5
  warmup: duration.Duration = duration.Duration(25, "%")


class Task(base.Task):
  """Its state is the teacher and the number of updates."""

  def init(self, key, images):
    params, state = super().init(key, images)
    width = self.model.config.width
    params[base.OWN] = {"kernel": jnp.eye(width)}
    teacher = jax.tree.map(jnp.zeros_like, base.of_model(params))
    own = {"teacher": teacher, "updates": jnp.zeros((), jnp.int32)}
    return params, {**state, base.OWN: own}

  def begin(self, variables):
    state = variables.task_state
    teacher = jax.tree.map(jnp.copy, base.of_model(variables.params))
    return {**state, base.OWN: {**state[base.OWN], "teacher": teacher}}

  def augment(self, batch, key):
    flip = jax.random.bernoulli(key, 0.5, (len(batch["image"]), 1, 1, 1))
    image = batch["image"]
    mirrored = image[:, :, ::-1]
    return {
      "image": jnp.where(flip, mirrored, image),
      "other": jnp.where(flip, image, mirrored),
      "dark": image.mean(axis=(1, 2, 3)) < 0,
    }

  def loss(self, variables, batch, key, step):
    del step
    out, state = self.apply(variables, batch["image"], key, train=True)
    teacher = variables.task_state[base.OWN]["teacher"]
    theirs = self.model.apply({"params": teacher}, batch["other"])
    kernel = variables.params[base.OWN]["kernel"]
    error = jnp.square(out["pre_logits"] @ kernel - theirs["pre_logits"])
    error = error.mean(axis=-1)
    dark = batch["dark"].astype(jnp.float32)
    metrics = {
      "dark_error": ((error * dark).sum(), dark.sum()),
      "never": (jnp.zeros(()), jnp.zeros(())),
    }
    return error.mean(), base.Aux(metrics=metrics, state=state)

  def after_update(self, variables, step):
    state = variables.task_state
    warm = step < self.steps(self.config.warmup)
    momentum = jnp.where(warm, 0.0, self.config.momentum)
    teacher = jax.tree.map(
      lambda slow, fast: momentum * slow + (1 - momentum) * fast,
      state[base.OWN]["teacher"],
      base.of_model(variables.params),
    )
    updates = state[base.OWN]["updates"] + 1
    return {**state, base.OWN: {"teacher": teacher, "updates": updates}}

  def sharding_rules(self):
    return [(r"task/kernel", PartitionSpec("fsdp", None)), *self._model_rules()]

  def state_sharding_rules(self):
    return [(f"task/teacher/{p}", spec) for p, spec in self._model_rules()]

  def _model_rules(self):
    return list(super().sharding_rules())

  def model_paths(self, variables):
    del variables
    return {"params": "task_state/task/teacher"}
