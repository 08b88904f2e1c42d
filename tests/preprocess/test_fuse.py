"""Ops that are run as one give what they give apart."""

import pickle

import numpy as np
import pytest
import simplejpeg

from tests.preprocess import image_files
from tests.preprocess.jpeg_files import FILES, H, W, encoded, ramp
from vit_jax.core import errors
from vit_jax.preprocess import geometry, op
from vit_jax.preprocess.pipeline import Pipeline


def run(text, data, seed=0):
  example = {"image": data, "label": 0, "id": 7}
  return Pipeline.parse(text).host(example, np.random.default_rng(seed))


def one_by_one(text, data, seed=0):
  """The same ops, none of which knows of the others."""
  example, rng = (
    {"image": data, "label": 0, "id": 7},
    np.random.default_rng(seed),
  )
  for o in Pipeline.parse(text).ops:
    example = o(example, rng)
  return example


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
  "crop",
  [
    "inception_crop(190)",
    "inception_crop((20, 300), area_min=30)",
    "inception_crop(24, method='bicubic', antialias=True)",
    "inception_crop(24, method='area')",
  ],
)
def test_at_full_scale_fusing_changes_nothing(name, crop):
  text = f"decode|{crop}|flip_lr|random_shift(3)"
  for seed in range(5):
    fused = run(text, FILES[name], seed)
    apart = one_by_one(text, FILES[name], seed)
    assert fused.keys() == apart.keys()
    np.testing.assert_array_equal(fused["image"], apart["image"])


def test_scaling_keeps_the_rectangle():
  """Where any scale shows the same, it shows the same place."""
  data = encoded(ramp(), "444", quality=100)
  differences = []
  for seed in range(40):
    fused = run("decode|inception_crop((24, 28))|flip_lr", data, seed)["image"]
    apart = one_by_one("decode|inception_crop((24, 28))|flip_lr", data, seed)
    differences.append(np.abs(fused.astype(int) - apart["image"]))
  assert np.mean(differences) < 0.6
  assert np.max(differences) <= 4


def scales(text, seeds):
  """The scales at which a crop's JPEG is decoded."""
  found = []

  def decode_jpeg(data, *args, **kwargs):
    image = real(data, *args, **kwargs)
    found.append(round(W / image.shape[1]))
    return image

  real = simplejpeg.decode_jpeg
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(simplejpeg, "decode_jpeg", decode_jpeg)
    for seed in range(seeds):
      run(text, FILES["jpeg 420"], seed)
  return found


@pytest.mark.parametrize(
  ("size", "known"), [((25, 20), {2, 4, 8}), ((60, 50), {1, 2})]
)
def test_the_smallest_scale_that_has_the_pixels_is_taken(size, known):
  crop = geometry.InceptionCrop(op.Size(*size))
  wanted = []
  for seed in range(60):
    _, _, part = crop.draw(H, W, np.random.default_rng(seed))
    times = min(part.h / size[0], part.w / size[1])
    wanted.append(max(s for s in (1, 2, 4, 8) if s <= max(times, 1)))
  assert set(wanted) == known
  assert scales(f"decode|inception_crop({size})", 60) == wanted


@pytest.mark.parametrize(
  "text",
  [
    "decode(scaled=False)|inception_crop(8)",
    "decode|inception_crop(8, method='bicubic')",
    "decode|inception_crop(8, antialias=True)",
    "decode|flip_lr|inception_crop(8)",
    "decode|resize(8)",
  ],
)
def test_what_is_never_scaled(text):
  assert set(scales(text, 20)) == {1}


def test_unscaled_is_as_published():
  text = "decode(scaled=False)|inception_crop(8)"
  for seed in range(5):
    np.testing.assert_array_equal(
      run(text, FILES["jpeg 420"], seed)["image"],
      one_by_one(text, FILES["jpeg 420"], seed)["image"],
    )


def test_what_has_begun_goes_on_without_drawing_again(monkeypatch):
  p = Pipeline.parse("decode|inception_crop((24, 28))|flip_lr")
  example = {"image": FILES["jpeg 420"], "id": 0}
  for seed in range(8):
    wanted = p.host(example, np.random.default_rng(seed))["image"]
    rng = np.random.default_rng(seed)
    with monkeypatch.context() as m:
      m.setattr(simplejpeg, "decode_jpeg", None)
      begun = p.begin(example, rng)
    np.testing.assert_array_equal(p.host(begun, rng)["image"], wanted)


@pytest.mark.parametrize("name", image_files.REFUSED)
def test_fused_refuses_what_decode_refuses(name):
  data, said = image_files.REFUSED[name]
  with pytest.raises(errors.DataError) as caught:
    run("decode|inception_crop(8)", data)
  assert str(caught.value).startswith("record 7: the image ")
  assert said in str(caught.value)


def test_a_bomb_is_never_given_to_the_jpeg_decoder(monkeypatch):
  def fail(*args, **kwargs):
    raise AssertionError("decoded")

  monkeypatch.setattr(simplejpeg, "decode_jpeg", fail)
  with pytest.raises(errors.DataError, match="max_pixels"):
    run("decode|inception_crop(8)", image_files.REFUSED["jpeg bomb"][0])


def test_a_fused_pipeline_is_written_and_pickled_as_it_was():
  text = "decode|inception_crop(8)|flip_lr|value_range(-1.0, 1.0)"
  pipeline = Pipeline.parse(text)
  names = [name for name, _ in pipeline.host_steps]
  assert names == ["decode|inception_crop(8)", "flip_lr"]
  again = pickle.loads(pickle.dumps(pipeline))  # noqa: S301
  assert str(again) == str(pipeline) == text
  assert again == pipeline
