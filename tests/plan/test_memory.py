"""Memory that a step uses, by its equations alone."""

import jax
import jax.numpy as jnp
import pytest

from vit_jax.plan import memory


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
