"""What is collected of a model and images, and the page about it."""

import dataclasses
import re

import cv2
import jax
import numpy as np
import pytest

from tests.models import small_models, test_hybrid, vit_cases
from vit_jax import models
from vit_jax.analysis import (
  attention,
  filters,
  inside,
  inside_page,
  pictures,
  plots,
  positions,
  rollout,
)
from vit_jax.checkpoints import Loaded, Report
from vit_jax.core import errors, parts
from vit_jax.models import hybrid, vit

HYBRID = test_hybrid.SMALL


def loaded(model):
  x = small_models.images(model.config.image_size)
  params = small_models.noisy_variables(model, x)["params"]
  return Loaded(model, params, {}, "npz", Report(()), "value_range(-1, 1)")


def images(size, count=5):
  rng = np.random.default_rng(0)
  shape = (count, *size, 3)
  named = zip("abcde", rng.integers(0, 256, shape, np.uint8), strict=True)
  return list(named)


def look(monkeypatch, model, overlays=3):
  """With batches of two: the last of five images has an empty one beside."""
  config = model.config
  tokens = config.grid[0] * config.grid[1] + config.class_token
  of_one = 4 * config.depth * config.num_heads * tokens**2
  monkeypatch.setattr(inside, "_BATCH_BYTES", 2 * of_one)
  checkpoint = loaded(model)
  pairs = images(config.image_size)
  return checkpoint, inside.analyze(checkpoint, pairs, overlays=overlays)


@pytest.fixture(scope="module")
def map_model():
  with pytest.MonkeyPatch.context() as monkeypatch:
    return look(monkeypatch, vit.Model(vit_cases.small(pool="map")))


def direct(checkpoint):
  """What the model says of all images at once."""
  config = checkpoint.model.config
  x = np.stack([image for _, image in images(config.image_size)])
  run = jax.jit(
    lambda v, x: checkpoint.model.apply(v, x, attention_weights=True),
    compiler_options=small_models.COMPILE_FAST,
  )
  return run(checkpoint.variables, x.astype(np.float32) / 127.5 - 1)


def test_every_image_counts_once(map_model):
  checkpoint, found = map_model
  config = found.config
  out = direct(checkpoint)
  apart = attention.mean_distance(
    np.asarray(out["attention"]), config.grid, config.patch_size
  )
  assert found.images == 5
  np.testing.assert_allclose(found.distance, apart.mean(axis=1), rtol=1e-5)
  assert found.distance.shape == (config.depth, config.num_heads)
  assert found.uniform_px == pytest.approx(
    attention.distances(config.grid, config.patch_size).mean()
  )
  rolled = rollout.rollout(np.asarray(out["attention"]))
  want = rollout.relevance(
    rolled, config.grid, "map", np.asarray(out["pool_attention"])
  )
  assert [one.name for one in found.overlays] == ["a", "b", "c"]
  for one, (_, image), m in zip(
    found.overlays, images(config.image_size)[:3], want[:3], strict=True
  ):
    np.testing.assert_array_equal(one.image, image)
    np.testing.assert_allclose(one.relevance, m, rtol=1e-5)


def test_what_map_attends_to(map_model):
  """The probe's attention, from the tokens it attends to."""
  checkpoint, _ = map_model
  out = direct(checkpoint)
  p = jax.tree.map(np.float64, checkpoint.params["pool"])
  a = p["attention"]
  tokens = np.asarray(out["tokens"], np.float64)
  query = np.einsum("bnd,dhk->hk", p["probe"], a["query"]["kernel"])
  query += a["query"]["bias"]
  key = np.einsum("bnd,dhk->bnhk", tokens, a["key"]["kernel"])
  key += a["key"]["bias"]
  logits = np.einsum("hk,bnhk->bhn", query, key) / query.shape[-1] ** 0.5
  want = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
  np.testing.assert_allclose(out["pool_attention"], want, rtol=0, atol=1e-5)


def test_a_hybrids_patches_are_as_far_apart_as_in_the_image(monkeypatch):
  model = hybrid.Model(dataclasses.replace(HYBRID, pool="token"))
  checkpoint, found = look(monkeypatch, model)
  (gh, gw), (h, w) = found.config.grid, found.config.image_size
  assert inside.cell_px(found.config) == (h // gh, w // gw)
  assert gh * gw > 1
  w = np.asarray(direct(checkpoint)["attention"])
  apart = attention.mean_distance(w, (gh, gw), inside.cell_px(found.config))
  np.testing.assert_allclose(found.distance, apart.mean(axis=1), rtol=1e-4)
  page = inside_page.page("x", {}, found, pictures.files(found))
  assert "feature map" in page
  assert "filters.png" not in pictures.files(found)


def test_every_other_model_is_refused_with_its_reason():
  for name in models.list_variants():
    module = parts.find("vit_jax.models", name)
    if issubclass(module.Model, vit.Model):
      assert name not in inside.REFUSED
      continue
    with pytest.raises(errors.ConfigError) as e:
      inside.check(module.Model(module.Config()))
    assert e.value.exit_code == 2
    assert name in str(e.value)
    assert inside.REFUSED[name] in str(e.value)
    assert "\n" not in str(e.value)


def test_page_needs_nothing_but_itself(map_model):
  _, found = map_model
  files = pictures.files(found)
  assert list(files) == [
    *(f"rollout_{i:03d}.png" for i in (1, 2, 3)),
    "attention_distance.png",
    "attention_distance.csv",
    "position_similarity.png",
    "filters.png",
  ]
  page = inside_page.page("a & b", {"model": "<vit>"}, found, files)
  assert "a &amp; b" in page
  assert "&lt;vit&gt;" in page
  sources = re.findall(r'src="([^"]{22})', page)
  assert sources == ["data:image/png;base64,"] * 6
  assert not re.search(r"https?:|url\(|<script|<link", page)
  assert "first 3 of 5 images" in page
  assert f"{found.uniform_px:.1f} px" in page
  for what, source in (
    *attention.CHOICES,
    *rollout.CHOICES,
    rollout.ROWS["map"],
    *positions.CHOICES,
    *filters.CHOICES,
  ):
    for text in (what, source):
      assert text.replace("'", "&#x27;") in page
  assert rollout.ROWS["token"][0] not in page


def test_numbers_as_csv():
  text = pictures.table(np.array([[1.5, 2], [3, 40.25]]))
  assert text.splitlines() == [
    *("layer,head,distance_px", "1,1,1.5", "1,2,2", "2,1,3", "2,2,40.25")
  ]


def test_what_is_absent_is_told(map_model):
  _, found = map_model
  config = vit_cases.small(posemb="relative", posemb_at="shared")
  found = dataclasses.replace(
    found,
    config=config,
    similarity=[],
    channels=5,
    components=np.zeros((0, 0, 0, 0), np.uint8),
    shares=np.zeros(0),
  )
  files = pictures.files(found)
  assert not {"filters.png", "position_similarity.png"} & set(files)
  page = inside_page.page("x", {}, found, files)
  assert positions.absent(config) in page
  assert filters.absent(config, 5) in page


def test_tables_of_every_layer_have_a_picture_each(map_model):
  _, found = map_model
  found = dataclasses.replace(found, similarity=found.similarity * 3)
  files = pictures.files(found)
  names = [f"position_similarity_{i:02d}.png" for i in (1, 2, 3)]
  assert [n for n in files if n.startswith("position")] == names
  page = inside_page.page("x", {}, found, files)
  assert [f"Layer {i}.</fig" in page for i in (1, 2, 3)] == [True] * 3


def test_pictures_of_images(map_model):
  _, found = map_model
  one = found.overlays[0]
  drawn = pictures.triple(one, (4, 2))
  h, w = (18 * n for n in (12, 8))
  assert drawn.shape == (h, 3 * w + 16, 3)
  np.testing.assert_array_equal(drawn[::18, :w:18], one.image)
  # The brightest patch of the map is the same as in the numbers.
  patches = drawn[36 :: 4 * 18, 2 * w + 16 + 18 :: 2 * 18].astype(int)
  assert patches.shape == (3, 4, 3)
  assert patches[..., 0].argmax() == one.relevance.argmax()


@pytest.mark.parametrize("grid", [(1, 1), (12, 1), (1, 12), (3, 4)])
def test_similarity_of_any_grid_is_of_a_sensible_size(grid):
  rng = np.random.default_rng(0)
  tiles = rng.uniform(-1, 1, (*grid, *grid))
  data = plots.similarity(tiles)
  assert data == plots.similarity(tiles)
  h, w, _ = decoded(data).shape
  assert 60 < h < 2400
  assert 120 < w < 2400


def test_colours_of_the_similarity():
  tiles = np.full((2, 2, 2, 2), -1.0)
  tiles[1, 0] = 1.0
  drawn = decoded(plots.similarity(tiles))
  # Viridis ends in this yellow, which the bar beside has as well.
  tile = (np.abs(drawn - np.array((253, 231, 37))) < 3).all(axis=-1)
  rows, columns = np.nonzero(tile[:, : drawn.shape[1] * 2 // 3])
  assert rows.min() > drawn.shape[0] / 3
  assert columns.max() < drawn.shape[1] / 2


def test_distances_of_a_single_patch_can_be_drawn():
  assert decoded(plots.attention_distance(np.zeros((2, 17)), 0.0)).size


def decoded(data):
  """RGB pixels of a PNG."""
  return cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]


def test_mosaic_keeps_the_order():
  tiles = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones(
    (1, 4, 2, 1), np.uint8
  )
  drawn = pictures.mosaic(tiles)
  high, wide = 4 * 24 + 8, 2 * 24 + 8
  assert drawn.shape == (2 * high, 7 * wide, 1)
  centres = drawn[high // 2 :: high, wide // 2 :: wide, 0]
  want = [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 255, 255, 255, 255]]
  np.testing.assert_array_equal(centres, want)
