"""Small training states on meshes, saved and compared, for the tests."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vit_jax.checkpoints import run_checkpoints
from vit_jax.core import mesh, tree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  step: jax.Array
  params: dict
  opt_state: tuple
  rng: jax.Array


def place(state, shape="data=2,fsdp=4"):
  """The state on a mesh of the named shape; matrices are split over fsdp."""
  parsed = mesh.MeshShape.parse(shape)
  sizes = [getattr(parsed, axis) for axis in mesh.AXES]
  devices = np.asarray(jax.devices()[: int(np.prod(sizes))]).reshape(sizes)
  on = jax.sharding.Mesh(devices, mesh.AXES)

  def spec(x):
    split = ("fsdp",) if getattr(x, "ndim", 0) == 2 else ()
    return jax.sharding.NamedSharding(on, jax.sharding.PartitionSpec(*split))

  return jax.tree.map(lambda x: jax.device_put(x, spec(x)), state)


def state_at(step, seed=0):
  key = jax.random.key(seed + step)
  params = {
    "Dense_0": {"kernel": jax.random.normal(key, (8, 16))},
    "head": {"bias": jnp.full((4,), step, jnp.bfloat16)},
  }
  tx = optax.adamw(1e-3, mu_dtype=jnp.bfloat16)
  return State(jnp.asarray(step, jnp.int32), params, tx.init(params), key)


def target_of(state):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def bits(state):
  """The bytes of every leaf by name."""

  def one(x):
    typed = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    x = np.asarray(jax.random.key_data(x) if typed else x)
    return x.dtype, x.shape, x.tobytes()

  return {name: one(x) for name, x in tree.flatten(state).items()}


def saved(directory, *numbers, keep=5):
  """A directory with checkpoints of these steps."""
  with run_checkpoints.Checkpointer(directory, keep=keep) as checkpointer:
    for step in numbers:
      checkpointer.save(step, place(state_at(step)), {"at": step})
  return directory


def damaged(directory):
  return sorted(p.name for p in (directory / "damaged").glob("*"))


def grow(path):
  path.write_bytes(path.read_bytes() + b"\n")
