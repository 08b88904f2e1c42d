import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from vit_jax.core import errors, mesh as mesh_lib
from vit_jax.core.mesh import MeshShape


def make(text):
  return mesh_lib.make(MeshShape.parse(text))


@pytest.mark.parametrize(
  ("text", "num_devices", "shape"),
  [
    ("data=8", 8, (8, 1, 1)),
    ("data=-1", 6, (6, 1, 1)),
    ("fsdp=2", 8, (4, 2, 1)),
    ("fsdp=-1", 8, (1, 8, 1)),
    ("data=2,fsdp=2,tensor=2", 8, (2, 2, 2)),
    ("tensor=2, fsdp=-1", 8, (1, 4, 2)),
    ("data=2,fsdp=-1,tensor=2", 16, (2, 4, 2)),
  ],
)
def test_resolve(text, num_devices, shape):
  assert MeshShape.parse(text).resolve(num_devices) == shape


@pytest.mark.parametrize(
  ("text", "num_devices", "message"),
  [
    ("data=3", 8, "3 x 1 x 1 = 3 is not the number of devices, 8"),
    ("fsdp=3", 8, "2 x 3 x 1 = 6 is not the number of devices, 8"),
    ("fsdp=16", 8, "1 x 16 x 1 = 16 is not the number of devices, 8"),
  ],
)
def test_resolve_shows_the_arithmetic(text, num_devices, message):
  with pytest.raises(errors.ConfigError) as e:
    MeshShape.parse(text).resolve(num_devices)
  assert message in str(e.value)
  assert str(e.value).startswith("runtime.mesh=data=")


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("", "a mesh is axis=devices"),
    ("8", "a mesh is axis=devices"),
    ("data=eight", "a mesh is axis=devices"),
    ("data=2,data=4", "a mesh is axis=devices"),
    ("data=2,fsdp=x", "a mesh is axis=devices"),
    ("model=2", "a mesh is axis=devices"),
    ("data=0", "data=0 must be a number of devices, or -1"),
    ("fsdp=-2", "fsdp=-2 must be a number of devices, or -1"),
    ("data=-1,fsdp=-1", "only one axis can be -1"),
  ],
)
def test_parse_refuses(text, message):
  with pytest.raises(errors.ConfigError, match=message):
    MeshShape.parse(text)


@pytest.mark.parametrize("text", ["data=-1", "fsdp=2", "data=2,tensor=4"])
def test_text_is_its_own_round_trip(text):
  shape = MeshShape.parse(text)
  assert MeshShape.parse(str(shape)) == shape
  assert MeshShape.parse(shape) is shape


def test_make_spans_all_devices_with_auto_axes():
  mesh = make("data=2,fsdp=2,tensor=2")
  assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 2}
  assert set(mesh.devices.flat) == set(jax.devices())
  assert all(t == jax.sharding.AxisType.Auto for t in mesh.axis_types)


@pytest.fixture
def params():
  return {
    "mlp": {"kernel": np.zeros((8, 6)), "bias": np.zeros(6)},
    "head": {"kernel": np.zeros((6, 10))},
  }


def test_shardings_take_the_first_rule_and_replicate_the_rest(params):
  mesh = make("data=2,fsdp=2,tensor=2")
  rules = [
    ("head/kernel", PartitionSpec("fsdp")),
    (".*/kernel", PartitionSpec("fsdp", "tensor")),
  ]
  out = mesh_lib.shardings(mesh, params, rules)
  assert out["mlp"]["kernel"] == NamedSharding(
    mesh, PartitionSpec("fsdp", "tensor")
  )
  assert out["head"]["kernel"] == NamedSharding(mesh, PartitionSpec("fsdp"))
  assert out["mlp"]["bias"] == mesh_lib.replicated(mesh)


def test_shardings_really_split_the_bytes(params):
  mesh = make("data=2,fsdp=2,tensor=2")
  rules = [("mlp/kernel", PartitionSpec("fsdp", "tensor"))]
  placed = jax.device_put(params, mesh_lib.shardings(mesh, params, rules))
  shard = placed["mlp"]["kernel"].addressable_shards[0]
  assert shard.data.shape == (4, 3)
  whole = placed["head"]["kernel"].addressable_shards[0]
  assert whole.data.shape == (6, 10)


def test_shardings_of_one_dimension_over_two_axes(params):
  mesh = make("data=2,fsdp=4")
  rules = [("mlp/kernel", PartitionSpec(("data", "fsdp"), None))]
  out = mesh_lib.shardings(mesh, params, rules)
  assert out["mlp"]["kernel"].shard_shape((8, 6)) == (1, 6)


def test_shardings_refuse_uneven_parts(params):
  mesh = make("fsdp=4,data=2")
  with pytest.raises(errors.ConfigError) as e:
    mesh_lib.shardings(mesh, params, [("mlp/bias", PartitionSpec("fsdp"))])
  assert "parameter mlp/bias of shape (6,): 6 is not divisible by fsdp=4" in (
    str(e.value)
  )


def test_shardings_refuse_a_rule_without_effect(params):
  with pytest.raises(errors.ConfigError, match="matches none"):
    mesh_lib.shardings(
      make("data=8"), params, [("attention/.*", PartitionSpec("fsdp"))]
    )


def test_batch_is_split_over_data_and_fsdp():
  mesh = make("data=2,fsdp=2,tensor=2")
  assert mesh_lib.batch_ways(mesh) == 4
  rows = np.arange(24, dtype=np.int32).reshape(8, 3)
  batch = mesh_lib.put_batch(mesh, {"image": rows})
  assert batch["image"].shape == (8, 3)
  assert batch["image"].sharding == mesh_lib.batch_sharding(mesh)
  assert batch["image"].addressable_shards[0].data.shape == (2, 3)
  np.testing.assert_array_equal(batch["image"], rows, strict=True)


def test_local_rows_of_one_process_are_all():
  assert mesh_lib.local_rows(make("data=4,fsdp=2"), 16) == slice(0, 16)
  assert mesh_lib.local_rows(make("data=2,tensor=4"), 6) == slice(0, 6)


class _Owner:
  """A batch sharding whose process owns the given rows."""

  def __init__(self, *rows):
    self._rows = rows

  def addressable_devices_indices_map(self, shape):
    del shape
    return {i: (slice(*r),) for i, r in enumerate(self._rows)}


def test_local_rows_of_one_process_of_several(monkeypatch):
  # Tensor-parallel neighbours own the same rows.
  owner = _Owner((8, 12), (4, 8), (4, 8), (8, 12))
  monkeypatch.setattr(mesh_lib, "batch_sharding", lambda mesh: owner)
  assert mesh_lib.local_rows(None, 16) == slice(4, 12)


def test_local_rows_must_be_contiguous(monkeypatch):
  owner = _Owner((0, 4), (8, 12))
  monkeypatch.setattr(mesh_lib, "batch_sharding", lambda mesh: owner)
  with pytest.raises(errors.ConfigError, match="are not contiguous"):
    mesh_lib.local_rows(None, 16)


def test_auto_is_nobodys_choice_yet():
  shape = mesh_lib.MeshShape.parse("auto")
  assert str(shape) == "auto"
  with pytest.raises(errors.ConfigError, match="chosen by the command train"):
    shape.resolve(8)


def test_activations_are_split_like_the_batch():
  """Where the step names its mesh; elsewhere nothing happens."""
  mesh = mesh_lib.make(mesh_lib.MeshShape(2, 4, 1))
  x = jnp.ones((16, 3, 8))
  assert mesh_lib.split_batch(x) is x

  def f(x):
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return mesh_lib.split_batch(x)

  by_features = NamedSharding(mesh, PartitionSpec(None, None, "fsdp"))
  out = jax.jit(f)(jax.device_put(x, by_features))
  assert out.addressable_shards[0].data.shape == (2, 3, 8)
