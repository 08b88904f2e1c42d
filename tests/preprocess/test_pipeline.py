"""The preprocessing language: what it reads, writes and refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import geometry, op, pipeline

TEXTS = {
  "decode|inception_crop(224)|flip_lr|value_range(-1, 1)": (
    "decode|inception_crop(224)|flip_lr|value_range(-1.0, 1.0)"
  ),
  "decode(1) | random_shift(2, pad='edge')|onehot(depth=10)": (
    "decode(channels=1)|random_shift(2, pad='edge')|onehot(10)"
  ),
  "resize_small(40, antialias=True, method='bilinear')|central_crop((3, 4))": (
    "resize_small(40, method='bilinear', antialias=True)|central_crop((3, 4))"
  ),
  "keep('image', 'label')|copy('fine', 'label')": (
    "keep('image', 'label')|copy('fine', 'label')"
  ),
  "normalise((0.5,), std=(1,))": "normalise((0.5,), (1.0,))",
  "inception_crop((8, 8), area_min=20)|flip_lr(0.25)": (
    "inception_crop(8, area_min=20.0)|flip_lr(p=0.25)"
  ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_canonical_text_parses_to_the_equal_pipeline(text):
  parsed = pipeline.Pipeline.parse(text)
  assert str(parsed) == TEXTS[text]
  assert pipeline.Pipeline.parse(str(parsed)) == parsed
  assert pipeline.Pipeline.parse(parsed) is parsed


def test_arguments_reach_the_fields():
  text = "inception_crop((4, 6), 10, 50, 'bicubic', True)"
  (crop,) = pipeline.Pipeline.parse(text).ops
  assert crop == geometry.InceptionCrop(
    size=op.Size(4, 6),
    area_min=10.0,
    area_max=50.0,
    method="bicubic",
    antialias=True,
    aspect=(0.75, 1.33),
  )


REFUSED = {
  "": "cannot be read; write ops with a | between them",
  "decode|": "cannot be read",
  "decod": "unknown op decod; did you mean decode? (ops: central_crop, ",
  "host_op": "unknown op host_op",
  "resize": "resize needs size: write resize(size)",
  "resize(0)": "resize.size=0: a size is a number of pixels >= 1",
  "resize(True)": "resize.size=True: a size is a number of pixels >= 1",
  "resize((1, 2, 3))": "resize.size=(1, 2, 3): a size is",
  "resize(1, 'area', False, 4)": "resize takes 3 arguments (size, method,",
  "resize(siz=3)": "unknown field resize.siz; did you mean resize.size?",
  "resize(3, size=3)": "resize: give size once",
  "resize(3, **{})": "resize: give every argument once",
  "resize(x)": "x is no literal",
  "resize({[]: 1})": "is no literal",
  "resize(4, 'cubic')": "resize.method=cubic is not one of: bilinear, bicubic,",
  "resize_small(4, 'area', True)": "resize_small.antialias=True is for",
  "resize(4, 'pillow_box', True)": (
    "resize.antialias=True is for a kernel that can be widened (bilinear,"
    " bicubic), not for method='pillow_box', which Pillow widens by itself"
  ),
  "central_crop(4, fill=(0, 256))": (
    "central_crop.fill=(0, 256) must be pixel values in [0, 255]"
  ),
  "resize_small(0)": "resize_small.smaller_size=0 must be > 0 px",
  "resize_small(4.5)": "resize_small.smaller_size=4.5 is a float, not a int",
  "a().resize(3)": "a().resize(3) is no op",
  "a.resize(3)": "op a.resize: the module a cannot be imported (No module",
  "decode and flip_lr": "decode and flip_lr is no op",
  "decode(2)": "decode.channels=2 must be 1 (grey) or 3 (RGB)",
  "decode(max_pixels=0)": "decode.max_pixels=0 must be > 0",
  "inception_crop(8, aspect=(1.5,))": "inception_crop.aspect=(1.5,) has 1",
  "inception_crop(8, 50, 10)": (
    "inception_crop.area_min=50.0 and inception_crop.area_max=10.0 are percent"
  ),
  "inception_crop(8, 0)": "0 < area_min <= area_max <= 100",
  "inception_crop(8, 5, 101)": "0 < area_min <= area_max <= 100",
  "inception_crop(8, area=(0.1, 1))": "did you mean inception_crop.area_m",
  "inception_crop(8, aspect=(0, 1))": "inception_crop.aspect=(0.0, 1.0) must",
  "flip_lr(2)": "flip_lr.p=2.0 must be in [0, 1]",
  "random_shift(0)": "random_shift.pixels=0 must be > 0",
  "random_shift(1, 'wrap')": "random_shift.pad=wrap is not one of: zero, edge",
  "value_range(1, -1)": "value_range.vmin=1.0 must be < value_range.vmax=-1.0",
  "normalise((1,), (0,))": "normalise.std=(0.0,) must be > 0",
  "normalise((1, 2), (1,))": "must have one number for each channel",
  "keep": "keep needs keys",
  "keep(1)": "keep.keys=1 is a int, not a str",
  "onehot(1)": "onehot.depth=1 must be > 1",
  "value_range(0, 1)|decode": (
    "decode runs on the host, value_range before it on the device: move decode"
    " to the left of value_range"
  ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
  with pytest.raises(errors.ConfigError) as caught:
    pipeline.Pipeline.parse(text)
  said = str(caught.value)
  assert REFUSED[text] in said
  assert "\n" not in said


def test_device_ops_run_inside_jit_on_uint8():
  image = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3) * 10
  batch = {"image": image, "label": np.array([2, -1]), "id": np.array([0, 1])}
  p = pipeline.Pipeline.parse("flip_lr(1)|value_range(-1, 3)|onehot(3)")
  out = jax.jit(p.device)(batch)
  assert out["image"].dtype == jnp.float32
  np.testing.assert_allclose(out["image"], image / 255 * 4 - 1, atol=1e-6)
  np.testing.assert_array_equal(out["label"], [[0, 0, 1], [0, 0, 0]])
  np.testing.assert_array_equal(out["id"], [0, 1])


def test_normalise_per_channel():
  image = np.full((1, 2, 2, 3), (0, 51, 255), np.uint8)
  p = pipeline.Pipeline.parse("normalise((0, 0.1, 0.5), (1, 0.1, 0.25))")
  out = jax.jit(p.device)({"image": image})["image"]
  np.testing.assert_allclose(
    out, np.full((1, 2, 2, 3), (0.0, 1.0, 2.0)), atol=1e-6
  )


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("value_range(0, 1)|value_range(0, 1)", "keep one of value_range"),
    ("normalise((0, 0), (1, 1))", "normalise has 2 channels, the image 3"),
  ],
)
def test_values_that_do_not_fit_the_image(text, said):
  batch = {"image": np.zeros((1, 2, 2, 3), np.uint8)}
  with pytest.raises(errors.ConfigError, match=said):
    jax.eval_shape(pipeline.Pipeline.parse(text).device, batch)


def test_keep_and_copy():
  example = {"image": 0, "fine": 7, "name": b"x", "id": 3}
  p = pipeline.Pipeline.parse("copy('fine', 'label')|keep('image', 'label')")
  out = p.host(example, np.random.default_rng(0))
  assert out == {"image": 0, "label": 7, "id": 3}
  assert "name" in example
  with pytest.raises(
    errors.ConfigError, match="no feature fin; did you mean f"
  ):
    pipeline.Pipeline.parse("keep('fin')").host(
      example, np.random.default_rng(0)
    )


def test_an_encoded_image_needs_decode():
  p = pipeline.Pipeline.parse("resize(4)")
  with pytest.raises(errors.ConfigError, match="with decode"):
    p.host({"image": b"\x89PNG", "id": 0}, np.random.default_rng(0))
