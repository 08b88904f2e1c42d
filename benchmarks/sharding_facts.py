"""What docs/adr/0002 says of JAX, as facts that hold or do not.

A part of `benchmarks.decisions`, which runs it.
"""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
import numpy as np
import optax

from benchmarks import bench
from vit_jax import models
from vit_jax.core import mesh as mesh_lib
from vit_jax.models import vit
from vit_jax.plan import compile as compile_lib, topology

TOPOLOGIES = "v3:2x2", "v5e:2x2"


def explicit_convolution(devices: Any, spec: PartitionSpec) -> str:
  """The ShardingTypeError, or "", of one whose kernel has this spec."""
  conv = nn.Conv(8, (2, 2), (2, 2), use_bias=False)
  images = np.zeros((4, 4, 4, 3), np.float32)
  params = conv.init(jax.random.key(0), images)
  mesh = Mesh(devices, ("data",), axis_types=(AxisType.Explicit,))
  with jax.set_mesh(mesh), bench.Raised("ShardingTypeError") as raised:
    images = jax.device_put(images, NamedSharding(mesh, PartitionSpec("data")))
    params = jax.device_put(params, NamedSharding(mesh, spec))
    jax.jit(conv.apply)(params, images)
  return raised.text


def rows() -> Iterator[dict[str, Any]]:
  """Facts of the installed JAX that docs/adr/0002 relies on."""
  jax.config.update("jax_num_cpu_devices", 4)
  mesh = jax.make_mesh((4,), ("data",))
  explicit = all(t == AxisType.Explicit for t in mesh.axis_types)
  yield {"fact": "jax.make_mesh makes explicit axes", "holds": explicit}
  for where, spec in {
    "images": PartitionSpec(),
    "images and features": PartitionSpec(None, None, None, "data"),
  }.items():
    fact = f"a Linen convolution raises under explicit axes that split {where}"
    error = explicit_convolution(mesh.devices, spec)
    yield {"fact": fact, "holds": bool(error), "error": error}
  mesh = mesh_lib.make(mesh_lib.MeshShape(fsdp=4))
  split = NamedSharding(mesh, PartitionSpec("fsdp"))
  params = jax.device_put(np.zeros((8, 8), np.float32), split)
  moments = jax.jit(optax.scale_by_adam().init)(params).mu
  fact = "jit(tx.init)(params) without output shardings replicates the moments"
  yield {"fact": fact, "holds": moments.sharding.is_fully_replicated}
  tpus = {t: topology.Topology.parse(t).devices() for t in TOPOLOGIES}
  for name, devices in {"CPU": None, **tpus}.items():
    mesh = mesh_lib.make(mesh_lib.MeshShape(fsdp=-1, data=1), devices)
    counts = gradient_collectives(mesh)
    fact = f"no reduce-scatter in the gradient of a split model on {name}"
    holds = "reduce-scatter" not in counts
    yield {"fact": fact, "holds": holds, "collectives": counts}


def gradient_collectives(mesh: jax.sharding.Mesh) -> dict[str, int]:
  """Number of collectives of each kind, with parameters split by fsdp."""
  model = models.create("vit", "Ti/16", 16, image_size=(64, 64))
  images = jax.ShapeDtypeStruct(
    (8 * mesh.size, 64, 64, 3),
    jnp.float32,
    sharding=mesh_lib.batch_sharding(mesh),
  )
  params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  rules = vit.sharding_rules(model.config)
  split = mesh_lib.shardings(mesh, params, rules)

  def loss(params: Any, images: Any) -> Any:
    return jnp.square(model.apply({"params": params}, images)["logits"]).mean()

  with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
    step = jax.jit(jax.grad(loss), out_shardings=split)
    lowered = step.lower(mesh_lib.with_shardings(params, split), images)
  text = lowered.compile().as_text()
  kinds = compile_lib.collectives(text, mesh.size)
  return {kind: c.count for kind, c in kinds.items()}
