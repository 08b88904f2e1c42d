"""Floating-point operations of a program, without compiling it.

They are closed forms of the shapes of every operation in a jaxpr. The body of a
loop counts once per iteration, and what the backward pass computes again counts
again. So the count is that of the real step, for any model.
"""

from collections.abc import Collection
import math
from typing import Any

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np

# These take one operation for each element of the output.
# fmt: off
_ELEMENTWISE = {
  "add", "sub", "mul", "div", "max", "min", "neg", "abs", "sign", "select_n",
  "clamp", "integer_pow", "square", "add_any", "gt", "ge", "lt", "le", "eq",
  "ne", "rem", "floor", "round", "pow",
}
# fmt: on
# Operations for each element, as the compiler writes these functions as
# polynomials and quotients.
_POLYNOMIALS = {"erfc": 62, "logistic": 3}
# These take one operation for each element of the input.
# fmt: off
_REDUCTIONS = {
  "reduce_sum", "reduce_max", "reduce_min", "reduce_window_sum",
  "reduce_window_max", "cumsum", "argmax", "argmin",
}
# fmt: on


def count(jaxpr: Any, only: Collection[str] = ()) -> float:
  """Operations of a jaxpr; a multiply-add is two.

  If primitives are named by `only`, no others count.
  """
  total = 0.0
  for eqn in jaxpr.eqns:
    if parts := inner(eqn):
      total += sum(times * count(part, only) for part, times in parts)
    elif not only or eqn.primitive.name in only:
      total += _operations(eqn)
  return total


def of_function(f: Any, *args: Any) -> float:
  """Operations of a call of `f`; the arguments may be shapes only."""
  return count(jax.make_jaxpr(f)(*args).jaxpr)


def of_model(model: Any, image_shape: tuple[int, int, int]) -> float:
  """Operations of the forward pass of one image of shape (h, w, c)."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  last = "logits" if model.config.num_classes else "pre_logits"
  return of_function(lambda v, x: model.apply(v, x)[last], variables, images)


def inner(eqn: Any) -> list[tuple[Any, int]]:
  """The jaxprs inside an equation, and how often each is run; of branches, the
  most expensive."""
  times = eqn.params["length"] if eqn.primitive.name == "scan" else 1
  jaxprs = []
  for value in eqn.params.values():
    for part in value if isinstance(value, tuple | list) else (value,):
      if isinstance(part, jax_core.ClosedJaxpr):
        jaxprs.append((part.jaxpr, times))
      elif isinstance(part, jax_core.Jaxpr):
        jaxprs.append((part, times))
  if eqn.primitive.name == "cond":
    return [max(jaxprs, key=lambda branch: count(branch[0]))]
  # Rules of custom derivatives are functions, not jaxprs, and stay out.
  return jaxprs


def _operations(eqn: Any) -> float:
  """Operations of an equation that holds no jaxpr."""
  name = eqn.primitive.name
  if not eqn.outvars:
    return 0.0
  size = eqn.outvars[0].aval.size
  if name == "dot_general":
    (contracted, _), _ = eqn.params["dimension_numbers"]
    shape = eqn.invars[0].aval.shape
    return 2.0 * size * math.prod(shape[i] for i in contracted)
  if name == "conv_general_dilated":
    return _convolution(eqn)
  if name in _ELEMENTWISE:
    return size
  if name in _POLYNOMIALS:
    return float(_POLYNOMIALS[name] * size)
  if name in _REDUCTIONS:
    return eqn.invars[0].aval.size
  return 0.0


def _convolution(eqn: Any) -> float:
  """Operations of a convolution, without products with inserted zeros."""
  numbers = eqn.params["dimension_numbers"]
  lhs, rhs = (v.aval.shape for v in eqn.invars)
  out = eqn.outvars[0].aval.shape
  axes = zip(
    (lhs[i] for i in numbers.lhs_spec[2:]),
    (rhs[i] for i in numbers.rhs_spec[2:]),
    (out[i] for i in numbers.out_spec[2:]),
    eqn.params["window_strides"],
    (low for low, _ in eqn.params["padding"]),
    eqn.params["lhs_dilation"],
    eqn.params["rhs_dilation"],
    strict=True,
  )
  batch, channels = out[numbers.out_spec[0]], out[numbers.out_spec[1]]
  per_tap = 2.0 * batch * channels * rhs[numbers.rhs_spec[1]]
  return per_tap * math.prod(_taps(*axis) for axis in axes)


def _taps(
  size: int,
  window: int,
  out: int,
  stride: int,
  low: int,
  dilation: int,
  window_dilation: int,
) -> int:
  """Pairs of an output and a window position that meet an input, on one axis.

  The others meet a zero of the padding or of the dilation.
  """
  starts = np.arange(out)[:, None] * stride - low
  at = starts + np.arange(window) * window_dilation
  inside = (at >= 0) & (at <= (size - 1) * dilation) & (at % dilation == 0)
  return int(inside.sum())
