"""The device mesh ("data", "fsdp", "tensor") and where arrays live on it."""

from collections.abc import Sequence
import contextlib
import dataclasses
import itertools
import math
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import (
  AbstractMesh,
  AxisType,
  Mesh,
  NamedSharding,
  PartitionSpec,
)

from vit_jax.core import errors, tree

AXES = ("data", "fsdp", "tensor")
# The batch is split over both axes: fsdp is data parallelism whose parameters
# are split as well.
BATCH = PartitionSpec(("data", "fsdp"))

# (regex of the whole parameter name, spec); the first match wins.
Rules = Sequence[tuple[str, PartitionSpec]]


@dataclasses.dataclass(frozen=True)
class MeshShape:
  """Devices along each axis, such as "data=4,fsdp=2".

  An axis of -1 takes the remaining devices; without one, "data" does so unless
  it is given.
  "auto" is chosen by the planner before the run starts.
  """

  data: int = -1
  fsdp: int = 1
  tensor: int = 1
  auto: bool = False

  def __post_init__(self):
    sizes = {axis: getattr(self, axis) for axis in AXES}
    for axis, size in sizes.items():
      if size < 1 and size != -1:
        raise errors.ConfigError(
          f"{axis}={size} must be a number of devices, or -1 for the rest"
        )
    if list(sizes.values()).count(-1) > 1:
      raise errors.ConfigError("only one axis can be -1 (the rest)")

  @classmethod
  def parse(cls, text: "str | MeshShape") -> "MeshShape":
    if isinstance(text, MeshShape):
      return text
    if text == "auto":
      return cls(auto=True)
    items = str(text).split(",")
    sizes = {}
    for item in items:
      axis, _, size = item.partition("=")
      with contextlib.suppress(ValueError):
        sizes[axis.strip()] = int(size)
    if len(sizes) != len(items) or not set(sizes) <= set(AXES):
      raise errors.ConfigError(
        "a mesh is axis=devices, ... with the axes"
        f" {', '.join(AXES)} (such as 'data=4,fsdp=2'), or auto"
      )
    rest = 1 if -1 in sizes.values() else -1
    return cls(**{"data": rest, **sizes})

  def __str__(self) -> str:
    if self.auto:
      return "auto"
    return f"data={self.data},fsdp={self.fsdp},tensor={self.tensor}"

  def resolve(self, num_devices: int) -> tuple[int, int, int]:
    """Devices along each axis for so many devices.

    Raises:
      ConfigError: the axes do not multiply to the number of devices, or they
        are "auto" and not chosen yet.
    """
    if self.auto:
      raise errors.ConfigError(
        "runtime.mesh=auto is chosen by the command train; name the axes here"
      )
    sizes = [self.data, self.fsdp, self.tensor]
    if -1 in sizes:
      known = math.prod(s for s in sizes if s != -1)
      sizes[sizes.index(-1)] = max(num_devices // known, 1)
    if math.prod(sizes) != num_devices:
      product = " x ".join(map(str, sizes))
      raise errors.ConfigError(
        f"runtime.mesh={self}: {product} = {math.prod(sizes)} is not the"
        f" number of devices, {num_devices}"
      )
    return sizes[0], sizes[1], sizes[2]


def make(shape: MeshShape, devices: Sequence[Any] | None = None) -> Mesh:
  """The mesh over these devices, or over all devices of all processes."""
  devices = jax.devices() if devices is None else devices
  # jax.make_mesh would refuse an axis that is a part of a torus's axis.
  grid = mesh_utils.create_device_mesh(
    shape.resolve(len(devices)), devices, allow_split_physical_axes=True
  )
  # Explicit axes are rejected by Linen's convolutions.
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def shardings(mesh: Mesh, params: Any, rules: Rules) -> Any:
  """The NamedSharding of each parameter; replicated where no rule matches.

  Args:
    mesh: the device mesh.
    params: tree of arrays or of their shapes.
    rules: (regex of the whole name, PartitionSpec); the first match wins, and
      every rule must match something.

  Raises:
    ConfigError: a rule matches nothing, or a dimension cannot be split evenly.
  """
  index = tree.first_match(params, [pattern for pattern, _ in rules])

  def sharding_of(name: str, leaf: Any, i: int) -> NamedSharding:
    spec = rules[i][1] if i >= 0 else PartitionSpec()
    for size, axes in zip(leaf.shape, spec, strict=False):
      parts = _size(mesh, axes)
      if size % parts:
        raise errors.ConfigError(
          f"parameter {name} of shape {leaf.shape}: {size} is not divisible"
          f" by {axes}={parts} of runtime.mesh; use a smaller axis"
        )
    return NamedSharding(mesh, spec)

  return tree.map_named(sharding_of, params, index)


def _size(mesh: Mesh, axes: Any) -> int:
  if axes is None:
    return 1
  names = (axes,) if isinstance(axes, str) else axes
  return math.prod(mesh.shape[name] for name in names)


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
  """Every device holds the whole array."""
  return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The first dimension split over data and fsdp, the rest whole."""
  return NamedSharding(mesh, BATCH)


def split_batch(x: jax.Array, axes: PartitionSpec = BATCH) -> jax.Array:
  """Constrains x to be split like the batch, in a step that names its mesh.

  Otherwise the partitioner may follow the parameters: with fsdp it then splits
  features instead of the batch, and needs many times the memory. Outside of
  `jax.sharding.use_abstract_mesh` this returns x.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, axes)


def split_tokens(x: jax.Array) -> jax.Array:
  """Constrains x [B, N, D] to be split like the batch, and by tokens.

  The axis "tensor" splits the tokens. Between layers that mix them, the devices
  of a tensor group would otherwise all compute the same (sequence parallelism,
  Section 4.2.2, arXiv:2205.05198). Outside of `jax.sharding.use_abstract_mesh`
  this returns x.

  Raises:
    ConfigError: the tokens cannot be split evenly.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return x
  tokens, parts = x.shape[1], mesh.shape["tensor"]
  if tokens % parts:
    raise errors.ConfigError(
      f"{{split_tokens}}: {tokens} tokens are not divisible by tensor={parts}"
      f" of runtime.mesh ({tokens} % {parts} = {tokens % parts}); leave it"
      " False, or use a model without class token (pool=gap or map), which has"
      " one less",
      {"split_tokens": True},
    ).under("runtime")
  return split_batch(x, PartitionSpec(*BATCH, "tensor"))


def batch_ways(mesh: Mesh) -> int:
  """The number of parts the batch is split into."""
  return mesh.shape["data"] * mesh.shape["fsdp"]


def local_rows(mesh: Mesh, batch_size: int) -> slice:
  """The contiguous rows of a global batch that this process's devices own.

  Raises:
    ConfigError: the rows of this process are not contiguous on this mesh.
  """
  index = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
  rows = sorted({s[0].indices(batch_size)[:2] for s in index.values() if s})
  for (_, stop), (start, _) in itertools.pairwise(rows):
    if stop != start:
      raise errors.ConfigError(
        f"runtime.mesh: the rows {rows} of process {jax.process_index()} are"
        " not contiguous; order the mesh so that a process holds neighbours"
      )
  return slice(rows[0][0], rows[-1][1])


def put_batch(mesh: Mesh, rows: Any) -> Any:
  """The global batch on the devices, from the rows that this process owns."""
  sharding = batch_sharding(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, x), rows
  )


def with_shardings(shapes: Any, shardings: Any) -> Any:
  """Shapes of arrays with their shardings."""
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    shapes,
    shardings,
  )
