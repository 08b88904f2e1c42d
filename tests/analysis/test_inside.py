"""What is collected of a model and images, and the page about it."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.analysis import looked
from tests.models import small_models, test_hybrid
from vit_jax import models
from vit_jax.analysis import attention, inside, inside_page, pictures, rollout
from vit_jax.core import errors, parts
from vit_jax.models import hybrid, vit

HYBRID = test_hybrid.SMALL


def direct(checkpoint):
  """What the model says of all images at once."""
  config = checkpoint.model.config
  x = np.stack([image for _, image in looked.images(config.image_size)])
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
    found.overlays, looked.images(config.image_size)[:3], want[:3], strict=True
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
  checkpoint, found = looked.look(monkeypatch, model)
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
