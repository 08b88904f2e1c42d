"""A model as a module of NNX: the same numbers, gradients and parameters."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.models import small_models
from tests.models.test_every_model import CASES, make
from vit_jax import models
from vit_jax.core import tree


def viewed(name, **rngs):
  """A model, its images and variables, and its view."""
  model = make(name)
  x = small_models.images(model.config.image_size)
  variables = small_models.noisy_variables(model, x)
  view = models.as_nnx(
    model,
    variables["params"],
    variables.get("batch_stats"),
    nnx.Rngs(**rngs) if rngs else None,
  )
  return model, x, variables, view


def compiled(f):
  """Op by op, a model takes many seconds."""
  return jax.jit(f, compiler_options=small_models.COMPILE_FAST)


def assert_same(ours, theirs):
  ours, theirs = tree.flatten(ours), tree.flatten(theirs)
  assert ours.keys() == theirs.keys()
  for name, array in ours.items():
    np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_gives_the_outputs_and_hands_its_arrays_back(name):
  model, x, variables, view = viewed(name)
  assert_same(models.from_nnx(view), variables)
  ours = small_models.apply(model, variables, x)
  assert_same(compiled(lambda v: v(x))(view), ours)


def test_its_gradient_is_that_of_the_model():
  model, x, variables, view = viewed("vit", dropout=5)

  def loss(params):
    out = model.apply({"params": params}, x)
    return jnp.square(out["logits"]).mean()

  ours = compiled(jax.grad(loss))(variables["params"])
  gradient = nnx.grad(lambda v: jnp.square(v(x)["logits"]).mean())
  theirs = compiled(gradient)(view)
  assert_same(nnx.to_pure_dict(theirs), ours)


def test_an_optimiser_of_nnx_trains_it():
  _, x, variables, view = viewed("vit")
  optimizer = nnx.Optimizer(view, optax.sgd(1e-3), wrt=nnx.Param)

  @nnx.jit
  def step(view, optimizer):
    def loss(view):
      return jnp.square(view(x)["logits"]).mean()

    value, gradients = nnx.value_and_grad(loss)(view)
    optimizer.update(view, gradients)
    return value

  first, second = step(view, optimizer), step(view, optimizer)
  assert second < first
  params = models.from_nnx(view)["params"]
  assert tree.flatten(params).keys() == tree.flatten(variables["params"]).keys()
  head = np.asarray(variables["params"]["head"]["kernel"])
  assert np.abs(np.asarray(params["head"]["kernel"]) - head).max() > 0


def test_a_call_updates_the_statistics_of_batches():
  model, x, variables, view = viewed("mobilevit", dropout=5)

  @nnx.jit
  def run(view):
    return view(x, train=True, mutable=["batch_stats"])

  run(view)
  rngs = {"dropout": jax.random.key(0)}
  _, expected = compiled(
    lambda v: model.apply(v, x, train=True, mutable=["batch_stats"], rngs=rngs)
  )(variables)
  ours, theirs, before = (
    tree.flatten(v["batch_stats"])
    for v in (expected, models.from_nnx(view), variables)
  )
  # The stem's norm, which no dropout comes before.
  for name in ("stem/norm/mean", "stem/norm/var"):
    assert np.abs(theirs[name] - before[name]).max() > 0
    np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-5)


def test_parts_of_the_model_are_methods_of_the_view():
  model, x, variables, view = viewed("vit")
  tokens = model.apply(variables, x, method="embed")
  assert_same({"tokens": view.embed(x)}, {"tokens": tokens})
