"""Types of arrays state shapes, which are checked while the tests run."""

import ast
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from tests.arch import source
from vit_jax.analysis import rollout
from vit_jax.evals import calibration
from vit_jax.losses import classification
from vit_jax.models import base as models
from vit_jax.nn import mlp
from vit_jax.optim import schedule
from vit_jax.tasks import base as tasks

ROOMS = {"nn", "models", "losses", "tasks", "optim", "evals", "analysis"}
ARRAY = re.compile(r"\b(Array|np\.ndarray)\b")
SHAPED = re.compile(r"\w+\[[^\[\]]+, (['\"]).*?\1\]")
# What models are called with: other shapes are refused with errors for users.
BARE = {("vit_jax/nn/checks.py", "Array | np.ndarray")}


def layer(x):
  return mlp.MlpBlock(8).init(jax.random.key(0), x)


def metrics(total):
  return tasks.Aux(metrics={"accuracy": (total, total)}, state={})


def pooled(grid):
  return models.outputs(models.CommonConfig(num_classes=0), grid)


def multiplier(step):
  f = schedule.make(
    schedule.Schedule(), total_steps=4, batch_size=1, epoch_examples=1
  )
  return f(step.astype(jnp.int32))


def calibration_error(confidence, correct):
  return calibration.expected_calibration_error(
    np.asarray(confidence), np.asarray(correct) > 0, 5
  )


def rolled(attention):
  return rollout.rollout(np.asarray(attention))


# By room: a function, shapes that it takes, and shapes that it does not take.
CASES = {
  "nn": (layer, [(2, 5, 4)], [(2, 4)]),
  "models": (pooled, [(2, 3, 3, 4)], [(2, 9, 4)]),
  "losses": (classification.softmax_xent, [(4, 3)] * 2, [(4, 3), (5, 3)]),
  "tasks": (metrics, [()], [(2,)]),
  "optim": (multiplier, [()], [(3,)]),
  "evals": (calibration_error, [(4,)] * 2, [(4,), (5,)]),
  "analysis": (rolled, [(1, 2, 3, 4, 4)], [(1, 2, 3, 4, 5)]),
}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_wrong_shape_is_refused(room):
  f, right, wrong = CASES[room]
  f(*map(jnp.ones, right))
  with pytest.raises(jaxtyping.TypeCheckError):
    f(*map(jnp.ones, wrong))


def test_an_int_will_do_for_a_float():
  assert schedule.Schedule(end_value=1).end_value == 1


def test_every_room_is_checked():
  options = source.pyproject()["tool"]["pytest"]["ini_options"]["addopts"]
  (checked,) = [o for o in options if o.startswith("--jaxtyping-packages=")]
  *rooms, checker = checked.partition("=")[2].split(",")
  assert set(rooms) == {f"vit_jax.{room}" for room in ROOMS}
  assert checker == "tests.checked"


def types(tree):
  """Annotations of arguments, results and fields, and aliases of types."""
  for node in ast.walk(tree):
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
      yield node.annotation
    elif isinstance(node, ast.FunctionDef) and node.returns:
      yield node.returns
  for node in tree.body:
    value = getattr(node, "value", None)
    if isinstance(value, ast.BinOp | ast.Subscript):
      yield value


def shapeless(module):
  for node in types(module.tree):
    text = ast.unparse(node)
    if ARRAY.search(SHAPED.sub("", text)) and (str(module), text) not in BARE:
      yield f"{module}:{node.lineno}: {text} states no shape"


def test_arrays_have_shapes():
  modules = [m for m in source.modules() if m.room in ROOMS]
  faults = [fault for m in modules for fault in shapeless(m)]
  assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
  ("text", "count"),
  [
    ("def f(x: np.ndarray) -> None: ...", 1),
    ('def f(x: Float[np.ndarray, "n"]) -> Int[Array, "n"]: ...', 0),
    ("def f(*x: int) -> dict[str, jax.Array] | None: ...", 1),
    ('def f(x: "list[Array]", y: "list[float]"): ...', 1),
    ("Batch = dict[str, Array]\nx: Array", 2),
    ("x = f(jnp.ones(3))", 0),
  ],
)
def test_shapeless_types_are_seen(text, count):
  module = source.parse(text, "vit_jax.nn.example")
  assert len(list(shapeless(module))) == count
