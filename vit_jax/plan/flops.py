"""Floating-point operations of a program, without compiling it.

Closed forms of each operation's shapes, summed over what JAX traces: loops
count as often as they run, and what is computed again in the backward pass is
counted again. So every model is covered, and the sum is that of the real step.
"""

import math
from typing import Any

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp

# One operation for each element of the output.
# fmt: off
_ELEMENTWISE = {
  "add", "sub", "mul", "div", "max", "min", "neg", "abs", "sign", "select_n",
  "clamp", "integer_pow", "square", "add_any", "gt", "ge", "lt", "le", "eq",
  "ne", "rem", "floor", "round", "pow",
}
# fmt: on
# Functions that the compiler writes as polynomials and quotients.
_POLYNOMIALS = {"erfc": 62, "logistic": 3}
# One operation for each element of the input.
# fmt: off
_REDUCTIONS = {
  "reduce_sum", "reduce_max", "reduce_min", "reduce_window_sum",
  "reduce_window_max", "cumsum", "argmax", "argmin",
}
# fmt: on


def count(jaxpr: Any) -> float:
  """Operations of a jaxpr; a multiplication and an addition are two."""
  return sum(_of(eqn) for eqn in jaxpr.eqns)


def of_function(f: Any, *args: Any) -> float:
  """Operations of a call with such arguments or shapes."""
  return count(jax.make_jaxpr(f)(*args).jaxpr)


def of_model(model: Any, image_shape: tuple[int, int, int]) -> float:
  """Operations of the forward pass of one image."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  last = "logits" if model.config.num_classes else "pre_logits"
  return of_function(lambda v, x: model.apply(v, x)[last], variables, images)


def inner(eqn: Any) -> list[tuple[Any, int]]:
  """The jaxprs inside an equation, and how often each is run."""
  times = eqn.params["length"] if eqn.primitive.name == "scan" else 1
  found = []
  for value in eqn.params.values():
    for part in value if isinstance(value, tuple | list) else (value,):
      if isinstance(part, jax_core.ClosedJaxpr):
        found.append((part.jaxpr, times))
      elif isinstance(part, jax_core.Jaxpr):
        found.append((part, times))
  if eqn.primitive.name == "cond":
    return [max(found, key=lambda branch: count(branch[0]))]
  # The rules of custom derivatives are functions, so they are not found here.
  return found


def _of(eqn: Any) -> float:
  name = eqn.primitive.name
  if parts := inner(eqn):
    return sum(times * count(jaxpr) for jaxpr, times in parts)
  out = eqn.outvars[0].aval if eqn.outvars else None
  if name == "dot_general":
    (contracted, _), _ = eqn.params["dimension_numbers"]
    shape = eqn.invars[0].aval.shape
    return 2.0 * out.size * math.prod(shape[i] for i in contracted)
  if name == "conv_general_dilated":
    return _convolution(eqn)
  if name in _ELEMENTWISE:
    return out.size
  if name in _POLYNOMIALS:
    return float(_POLYNOMIALS[name] * out.size)
  if name in _REDUCTIONS:
    return eqn.invars[0].aval.size
  return 0.0


def _convolution(eqn: Any) -> float:
  """Products that meet no zero of the padding or of the dilation."""
  numbers = eqn.params["dimension_numbers"]
  lhs, rhs = (v.aval.shape for v in eqn.invars)
  out = eqn.outvars[0].aval.shape
  taps = 1.0
  for k, (i, j, o) in enumerate(
    zip(
      numbers.lhs_spec[2:],
      numbers.rhs_spec[2:],
      numbers.out_spec[2:],
      strict=True,
    )
  ):
    taps *= _taps(
      lhs[i],
      rhs[j],
      out[o],
      eqn.params["window_strides"][k],
      eqn.params["padding"][k][0],
      eqn.params["lhs_dilation"][k],
      eqn.params["rhs_dilation"][k],
    )
  batch, channels = out[numbers.out_spec[0]], out[numbers.out_spec[1]]
  return 2.0 * batch * channels * rhs[numbers.rhs_spec[1]] * taps


def _taps(
  size: int,
  window: int,
  out: int,
  stride: int,
  low: int,
  dilation: int,
  window_dilation: int,
) -> int:
  """Pairs of an output and a window position that meet an input, on an axis."""
  hits = 0
  for o in range(out):
    for w in range(window):
      at = o * stride + w * window_dilation - low
      hits += 0 <= at <= (size - 1) * dilation and at % dilation == 0
  return hits
