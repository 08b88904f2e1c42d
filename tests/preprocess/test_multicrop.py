"""Several crops of an image, and the ops behind them."""

import jax
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess.pipeline import Pipeline


def run(text, image, seed=0):
  example = {"image": image, "label": 3, "id": 7}
  return Pipeline.parse(text).host(example, np.random.default_rng(seed))


def place(h, w):
  """A picture whose pixel says where it is: (row, column, 0)."""
  y, x = np.mgrid[:h, :w]
  return np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)


def covered(crop):
  """Share of a 100 x 100 picture that a crop of it shows."""
  spans = [np.ptp(crop[..., i].astype(float)) for i in (0, 1)]
  n = crop.shape[0]
  return np.prod(spans) * (n / (n - 1)) ** 2 / 100**2


def test_shapes_and_other_features():
  out = run("multicrop((16, 24), 8, 5)", place(60, 80))
  assert out["image"].shape == (2, 16, 24, 3)
  assert out["local_images"].shape == (5, 8, 8, 3)
  assert out["image"].dtype == out["local_images"].dtype == np.uint8
  assert out["label"] == 3 and out["id"] == 7
  assert "local_images" not in run("multicrop(16, 8, 0)", place(60, 80))


def test_crops_are_of_their_scales_and_differ():
  large, small = [], []
  for seed in range(20):
    out = run("multicrop(32, 16, 6)", place(100, 100), seed)
    large += map(covered, out["image"])
    small += map(covered, out["local_images"])
    assert len({v.tobytes() for v in out["local_images"]}) == 6
  assert 0.35 < min(large) < 0.5 and max(large) > 0.9
  assert min(small) < 0.1 and 0.3 < max(small) < 0.45


def test_each_crop_has_its_ops():
  out = run(
    "multicrop(16, 8, 3, first='random_solarize(0, p=1)',"
    " local='flip_lr(1.0)')",
    place(100, 100),
  )
  first, second = out["image"]
  assert (first[..., 2] == 255).all() and (second[..., 2] == 0).all()
  for crop in out["local_images"]:
    assert (np.diff(crop[..., 1].astype(int), axis=1) <= 0).all()
  assert (np.diff(second[..., 1].astype(int), axis=1) >= 0).all()


def test_local_ops_draw_anew_for_each_crop():
  out = run("multicrop(16, 8, 40, local='random_solarize(0)')", place(50, 50))
  inverted = (out["local_images"][:, 0, 0, 2] == 255).sum()
  assert 8 < inverted < 32


def test_device_ops_reach_both_features():
  p = Pipeline.parse("multicrop(16, 8, 2)|normalise((0, 0, 0.1), (1, 1, 0.5))")
  out = p.host(
    {"image": place(50, 50), "id": 0, "label": 0}, np.random.default_rng(0)
  )
  batch = {k: np.asarray(v)[None] for k, v in out.items()}
  done = jax.jit(p.device)(batch)
  assert done["image"].shape == (1, 2, 16, 16, 3)
  for key in ("image", "local_images"):
    np.testing.assert_allclose(done[key][..., 2], -0.2, rtol=1e-6)
    np.testing.assert_allclose(
      done[key][..., 0], batch[key][..., 0] / 255, rtol=1e-6
    )


def test_canonical_text():
  text = (
    "multicrop(16, (8, 9), local_crops_number=2,"
    " local_crops_scale=(0.1, 0.2), second=\"random_shift(1, pad='edge')\")"
    "|value_range(-1.0, 1.0)"
  )
  parsed = Pipeline.parse(text)
  assert str(parsed) == text
  assert Pipeline.parse(str(parsed)) == parsed


REFUSED = {
  "multicrop(224)": "multicrop needs local_size",
  "multicrop(9, 9, -1)": "multicrop.local_crops_number=-1 must be >= 0",
  "multicrop(9, 9, global_crops_scale=(0, 1))": (
    "multicrop.global_crops_scale=(0.0, 1.0) must be (low, high)"
  ),
  "multicrop(9, 9, local_crops_scale=(0.5, 0.1))": (
    "multicrop.local_crops_scale=(0.5, 0.1) must be (low, high)"
  ),
  "multicrop(9, 9, first='flip')": "unknown op flip; did you mean flip_lr?",
  "multicrop(9, 9, local='flip_lr(2)')": "flip_lr.p=2.0 must be in [0, 1]",
  "multicrop(9, 9, second='value_range(0, 1)')": (
    "multicrop.second=value_range(0.0, 1.0) must be ops of the host"
  ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
  with pytest.raises(errors.ConfigError) as caught:
    Pipeline.parse(text)
  assert REFUSED[text] in str(caught.value)


def test_host_ops_behind_it_are_refused():
  with pytest.raises(errors.ConfigError, match="give multicrop the ops"):
    run("multicrop(16, 8)|flip_lr(1.0)", place(50, 50))


def test_large_crops_of_two_sizes_are_refused():
  with pytest.raises(errors.ConfigError, match="first and second give images"):
    run("multicrop(16, 8, first='resize(9)')", place(50, 50))
