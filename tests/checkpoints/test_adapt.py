"""Other image sizes, other classes, other heads."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints, models
from vit_jax.checkpoints import adapt, layouts
from vit_jax.core import errors, tree
from vit_jax.models import segmenter, vit
from vit_jax.nn import posemb_resize

BICUBIC = [
  [-0.589028, -0.412414, -0.038573, 0.315056, 0.602009, 0.737627],
  [-0.01417, -0.178307, -0.525958, -0.693043, -0.657608, -0.640996],
]

NO_ANTIALIAS = {
  (4, 5): (
    *(-0.0541832, 0.4885334, 0.9008535, -0.064627, -0.9405338),
    *(-0.1584162, 0.4388966, 0.9274362, -0.0024813, -0.8656532),
    *(-0.3300941, 0.3571419, 0.9712194, 0.0998762, -0.7423205),
    *(-0.4343271, 0.3075051, 0.9978022, 0.1620218, -0.6674401),
  ),
  (1, 2): (0.1632677, -0.2496844),
}


def published_resize():
  fixture = rule.load("posembed_resize")
  config = fixture["config"]
  side, width = config["grid_from"], config["width"]
  return fixture, rule.params(fixture), side, width


def test_linear_as_the_published_loader_does_it():
  fixture, params, side, width = published_resize()
  (value,) = params.values()
  grid = value[0, 1:]
  assert grid.shape == (side * side, width)
  for new in fixture["config"]["grid_to"]:
    got = posemb_resize.resize(grid, (side, side), (new, new), "linear")
    theirs = np.asarray(fixture["outputs"][f"to_{new}"]).reshape(-1, width)[1:]
    assert np.abs(got - theirs).max() / theirs.std() < 1e-6


def test_linear_keeps_the_corners_of_a_grid_that_is_no_square():
  grid = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
  got = posemb_resize.resize(grid, (2, 3), (5, 4), "linear").reshape(5, 4, 2)
  old = grid.reshape(2, 3, 2)
  np.testing.assert_allclose(
    got[[0, 0, 4, 4], [0, 3, 0, 3]], old[[0, 0, 1, 1], [0, 2, 0, 2]], rtol=1e-6
  )
  np.testing.assert_allclose(got[2, 0], (old[0, 0] + old[1, 0]) / 2, rtol=1e-5)


def test_bicubic_as_pytorch_does_it():
  # torch 2.13: F.interpolate(x, (2, 6), mode="bicubic", antialias=True) of
  # x[i, j] = sin(5 i + j) with 4 rows and 3 columns.
  i, j = np.mgrid[:4, :3]
  grid = np.sin(5 * i + j).astype(np.float32).reshape(12, 1)
  got = posemb_resize.resize(grid, (4, 3), (2, 6), "bicubic").reshape(2, 6)
  np.testing.assert_allclose(got, BICUBIC, atol=2e-6)


@pytest.mark.parametrize(("new", "expected"), NO_ANTIALIAS.items())
def test_bicubic_as_transformers_does_it(new, expected):
  # torch 2.13: F.interpolate(x, new, mode="bicubic") of x[i, j] =
  # sin(6 i + 2 j) with 2 rows and 3 columns.
  grid = np.sin(2 * np.arange(6, dtype=np.float32)).reshape(6, 1)
  got = posemb_resize.resize(grid, (2, 3), new, "bicubic_no_antialias")
  np.testing.assert_allclose(got.ravel(), expected, atol=1e-6)


def test_every_format_resizes_as_its_code_does():
  methods = {x.format: x.resize for x in layouts.find_all() if x.model == "vit"}
  assert methods == {
    "big_vision": "linear",
    "big_vision_scan": "linear",
    "vision_transformer": "linear",
    "timm": "bicubic",
    "hf": "bicubic_no_antialias",
  }


def test_a_larger_image(tmp_path):
  path = files.write(tmp_path, "vit_token")
  got = checkpoints.load(path, resolution=(48, 64))
  assert got.model.config.image_size == (48, 64)
  assert got.report.resized == ("posemb/table",)
  table = got.params["posemb"]["table"]
  before = checkpoints.load(path).params["posemb"]["table"]
  assert table.shape == (1 + 6 * 8, 48)
  np.testing.assert_array_equal(table[0], before[0])
  images = np.zeros((1, 48, 64, 3), np.float32)
  out = jax.eval_shape(got.model.apply, got.variables, images)
  assert out["logits"].shape == (1, 10)


def test_a_grid_without_class_token(tmp_path):
  path = files.write(tmp_path, "vit_gap")
  got = checkpoints.load(path, resolution=16)
  assert got.params["posemb"]["table"].shape == (4, 48)
  # Corners stay where they are.
  before = checkpoints.load(path).params["posemb"]["table"]
  np.testing.assert_array_equal(
    got.params["posemb"]["table"], before[[0, 3, 12, 15]]
  )


def test_a_new_head_is_zero(tmp_path):
  path = files.write(tmp_path, "vit_token_prelogits")
  got = checkpoints.load(path, num_classes=7)
  assert set(got.report.reset) == {"head/kernel", "head/bias"}
  assert got.params["head"]["kernel"].shape == (36, 7)
  assert not got.params["head"]["kernel"].any()
  assert got.params["pre_logits"]["kernel"].any()
  assert not got.report.dropped


def test_no_head(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  got = checkpoints.load(path, num_classes=0)
  assert "head" not in got.params
  assert set(got.report.dropped) == {"head/kernel", "head/bias"}


def test_the_same_number_of_classes_keeps_the_head(tmp_path):
  path = files.write(tmp_path, "vit_token")
  got = checkpoints.load(path, num_classes=10)
  assert not got.report.reset
  assert got.params["head"]["kernel"].any()


def test_pre_logits_dropped(tmp_path):
  path = files.write(tmp_path, "vit_token_prelogits")
  config = dict(checkpoints.load(path).model.config.__dict__, pre_logits_dim=0)
  classes = config.pop("num_classes")
  model = models.create("vit", num_classes=classes, **config)
  got = checkpoints.load(path, model=model)
  assert set(got.report.dropped) == {"pre_logits/kernel", "pre_logits/bias"}
  # Its input is another one now.
  assert set(got.report.reset) == {"head/kernel", "head/bias"}


def test_pre_logits_without_a_head_is_kept(tmp_path):
  def no_head(arrays):
    del arrays["head/kernel"], arrays["head/bias"]

  path = files.write(tmp_path, "vit_token_prelogits", no_head)
  got = checkpoints.load(path)
  assert got.model.config.num_classes == 0
  assert got.model.config.pre_logits_dim == 36
  assert got.params["pre_logits"]["kernel"].any()


def test_what_cannot_be_adapted_lists_all(tmp_path):
  path = files.write(tmp_path, "vit_token")
  config = dict(checkpoints.load(path).model.config.__dict__)
  config |= dict(num_classes=10, pre_logits_dim=5)
  model = models.create("vit", **config)
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(path, model=model)
  assert "pre_logits/kernel is missing" in str(e.value)
  assert "pre_logits/bias is missing" in str(e.value)


@pytest.mark.parametrize("kind", ["sincos_2d", "learned_2d"])
def test_other_positions_as_one_learned_table(kind):
  model = models.create(
    "vit", num_classes=3, image_size=(16, 24), patch_size=(8, 8), width=16,
    depth=1, mlp_dim=8, num_heads=2, posemb=kind, class_token_position=False,
  )  # fmt: skip
  x = jax.random.normal(jax.random.key(1), (2, 16, 24, 3))
  params = model.init(jax.random.key(0), x)["params"]
  config, flat = adapt.learned_positions(model.config, tree.flatten(params))
  assert flat["posemb/table"].shape == (1 + 2 * 3, 16)
  assert not flat["posemb/table"][0].any()
  other = type(model)(config)
  ours = other.apply({"params": tree.unflatten(flat)}, x)["tokens"]
  np.testing.assert_allclose(
    ours, model.apply({"params": params}, x)["tokens"], atol=1e-5
  )


def test_a_segmenter_at_another_size(tmp_path):
  backbone = vit.Config(
    num_classes=0, image_size=(16, 16), patch_size=(8, 8), width=16, depth=1,
    mlp_dim=8, num_heads=2,
  )  # fmt: skip
  model = segmenter.Model(segmenter.Config(backbone=backbone, num_classes=3))
  images = np.zeros((1, 16, 16, 3), np.float32)
  params = model.init(jax.random.key(0), images)["params"]
  loaded = checkpoints.Loaded(
    model, params, {}, "new", checkpoints.Report(()), "decode"
  )
  checkpoints.save(loaded, "orbax", tmp_path / "run")
  got = checkpoints.load(tmp_path / "run", resolution=32, num_classes=5)
  assert got.model.config.image_size == (32, 32)
  assert got.report.resized == ("backbone/posemb/table",)
  assert got.params["backbone"]["posemb"]["table"].shape == (1 + 16, 16)
  assert got.params["head"]["kernel"].shape[-1] == 5


def test_classes_in_another_order(tmp_path):
  loaded = checkpoints.load(files.write(tmp_path, "vit_token"))
  count = loaded.model.config.num_classes
  numbers = np.random.default_rng(0).permutation(count).tolist()
  names = [f"class {k}" for k in numbers]
  got = adapt.reordered(loaded, numbers, names)
  assert got.labels == tuple(names)
  for name, value in loaded.params["head"].items():
    np.testing.assert_array_equal(got.params["head"][name], value[..., numbers])
  assert got.params["embedding"] is loaded.params["embedding"]
  images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3))
  old, new = (
    x.model.apply(x.variables, images.astype("f4"))["logits"]
    for x in (loaded, got)
  )
  np.testing.assert_allclose(new, old[:, np.array(numbers)], rtol=1e-5)


def test_a_head_without_an_axis_of_classes_stays(tmp_path):
  loaded = checkpoints.load(files.write(tmp_path, "vit_token"))
  odd = {**loaded.params, "head": {"scale": np.ones((5, 1), np.float32)}}
  changed = dataclasses.replace(loaded, params=odd)
  with pytest.raises(errors.CheckpointError, match=r"head/scale is \(5, 1\)"):
    adapt.reordered(changed, (1, 0), ("a", "b"))
