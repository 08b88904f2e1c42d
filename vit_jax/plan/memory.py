"""Memory that a step uses and moves, without compiling it.

The equations of a jaxpr are followed in their order, to find the largest sum of
the arrays that are alive at one time. A result that a compiler fuses into its
users takes no memory, but keeps the arrays alive that it is computed from.
"""

from collections.abc import Callable, Iterator
import dataclasses
import math
from typing import Any, NamedTuple

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np

from vit_jax.plan import flops

# Their results are written to memory; all others are fused into their users.
# fmt: off
_WRITTEN = {
  "dot_general", "conv_general_dilated", "reduce_sum", "reduce_max",
  "reduce_min", "argmax", "reduce_window_sum", "reduce_window_max",
  "select_and_scatter_add", "gather", "scatter", "scatter-add", "sort",
  "cumsum", "concatenate", "dynamic_slice", "dynamic_update_slice",
  "random_bits", "scan", "while",
}
# fmt: on
_LANES, _SUBLANES = 128, 8
# Gives the bytes of an array of this shape and type.
Size = Callable[[tuple[int, ...], Any], int]


def padded_bytes(shape: tuple[int, ...], dtype: Any) -> int:
  """Bytes of an array in tiles of 8 x 128, in the layout that pads least."""
  if jnp.issubdtype(dtype, jax.dtypes.extended):
    return 0  # A random key: a few words.
  size = math.prod(shape) * np.dtype(dtype).itemsize
  if len(shape) < 2 or not size:
    return size
  lanes = [_up(n, _LANES) for n in shape]
  rows = [_up(n, _SUBLANES) for n in shape]
  pairs = ((i, j) for i in range(len(shape)) for j in range(len(shape)))
  return int(size * min(lanes[i] * rows[j] for i, j in pairs if i != j))


def _up(n: int, tile: int) -> float:
  return -(-n // tile) * tile / n


class _Op(NamedTuple):
  """An equation, by the variables of the outermost program."""

  eqn: Any
  inputs: list[Any]
  outputs: list[Any]
  bodies: list[tuple[Any, int]]

  @property
  def name(self) -> str:
    return self.eqn.primitive.name


def _flat(jaxpr: Any, names: dict[Any, Any]) -> Iterator[_Op]:
  """The equations of a jaxpr, with the bodies of calls in place of the calls.

  `names` has what stands for each of its variables; more are added.
  """

  def name(var: Any) -> Any:
    if isinstance(var, jax_core.Literal):
      return None
    return names.setdefault(var, object())

  for eqn in jaxpr.eqns:
    inputs = [name(v) for v in eqn.invars]
    bodies = flops.inner(eqn)
    if bodies and eqn.primitive.name not in _WRITTEN:
      ((body, _),) = bodies
      # A branch does not get the index that selects it.
      given = inputs[len(inputs) - len(body.invars) :]
      inside = dict(zip(body.invars, given, strict=True))
      yield from _flat(body, inside)
      for var, out in zip(eqn.outvars, body.outvars, strict=True):
        literal = isinstance(out, jax_core.Literal)
        names[var] = None if literal else inside.setdefault(out, object())
      continue
    yield _Op(eqn, inputs, [name(v) for v in eqn.outvars], bodies)


@dataclasses.dataclass(frozen=True)
class Use:
  """A program's use of memory, apart from its arguments.

  Attributes:
    peak: bytes of the arrays that it has made and still needs, at most.
    moved: bytes that are written and read.
  """

  peak: int
  moved: int


def use(jaxpr: Any, size: Size) -> Use:
  """A program's use of memory, where `size` gives the bytes of an array."""
  made_of: dict[Any, frozenset[Any]] = {}
  bytes_of: dict[Any, int] = {}
  last: dict[Any, int] = {}
  ops = list(_flat(jaxpr, {}))
  moved = 0
  for i, op in enumerate(ops):
    # A variable that nothing here has made is an argument.
    roots = frozenset().union(
      *(made_of.get(v, {v}) for v in op.inputs if v is not None)
    )
    if op.name not in _WRITTEN:
      made_of.update((v, roots) for v in op.outputs)
      continue
    last.update((v, i) for v in roots)
    for v, out in zip(op.outputs, op.eqn.outvars, strict=True):
      bytes_of[v] = size(out.aval.shape, out.aval.dtype)
      made_of[v] = frozenset((v,))
      last[v] = i
    if not op.bodies:
      moved += sum(bytes_of.get(v, 0) for v in (*roots, *op.outputs))
  peaks = []
  for op in ops:
    loops = [(_in_loop(op, b, size, bytes_of), times) for b, times in op.bodies]
    moved += sum(u.moved * times for u, times in loops)
    peaks.append(max((u.peak for u, _ in loops), default=0))
  return Use(_largest_sum(ops, peaks, bytes_of, last), moved)


def _in_loop(op: _Op, body: Any, size: Size, made: dict[Any, int]) -> Use:
  """What the body of a loop needs, and what a compiler adds for the loop.

  The compiler copies the slices that an iteration reads from what an earlier
  loop has made. It also moves conversions of weights out of the loop, which
  takes a copy of all the weights in the type of the computation.
  """
  used = use(body, size)
  if op.name != "scan":
    return used
  stacks, slices = {}, 0
  args = zip(body.invars, op.eqn.invars, op.inputs, strict=True)
  for var, whole, outer in args:
    if whole.aval.shape != var.aval.shape:
      if outer in made:
        slices += size(var.aval.shape, var.aval.dtype)
      else:
        stacks[var] = whole.aval
  copies: dict[Any, int] = {}
  for inner in _flat(body, {v: v for v in body.invars}):
    if inner.name == "convert_element_type" and inner.inputs[0] in stacks:
      stack, dtype = stacks[inner.inputs[0]], inner.eqn.outvars[0].aval.dtype
      if dtype.itemsize < stack.dtype.itemsize:
        copies[inner.inputs[0]] = size(stack.shape, dtype)
  peak = used.peak + slices + sum(copies.values())
  return dataclasses.replace(used, peak=peak)


def _largest_sum(
  ops: list[_Op],
  inside: list[int],
  bytes_of: dict[Any, int],
  last: dict[Any, int],
) -> int:
  """Most bytes alive while an operation runs, with those made inside it."""
  freed = [0] * len(ops)
  for v, i in last.items():
    freed[i] += bytes_of.get(v, 0)
  alive = most = 0
  for i, op in enumerate(ops):
    alive += sum(bytes_of.get(v, 0) for v in op.outputs)
    most = max(most, alive + inside[i])
    alive -= freed[i]
  return most
