"""Every op of the package keeps the contract of `op.py`, and so may others'.

The ops are found by themselves. A new one needs a text in `TEXTS`.
"""

import dataclasses
import inspect
import pickle
import re

import jax
import numpy as np
import pytest

from vit_jax.preprocess import lookup, op
from vit_jax.preprocess.pipeline import Pipeline

# The canonical text of each op, with values other than the defaults.
TEXTS = {
  "central_crop": "central_crop((9, 7), rounding='nearest', fill=(1, 2, 3))",
  "colour_jitter": "colour_jitter(brightness=0.4, hue=0.1, p=0.8)",
  "copy": "copy('image', 'original')",
  "decode": "decode(channels=1, max_pixels=1000, scaled=False)",
  "flip_lr": "flip_lr(p=0.75)",
  "gaussian_blur": "gaussian_blur(p=0.9, sigma=(0.5, 1.0))",
  "inception_crop": "inception_crop((8, 9), area_min=20.0, method='area')",
  "keep": "keep('image', 'label')",
  "multicrop": "multicrop(12, 6, local_crops_number=2, first='flip_lr')",
  "normalise": "normalise((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))",
  "onehot": "onehot(10)",
  "pad_labels": "pad_labels(4, key='classes')",
  "randaug": "randaug(3, 15, contrast='mean')",
  "random_crop": "random_crop(10)",
  "random_erasing": "random_erasing(probability=0.9, mode='pixel', count=3)",
  "random_grayscale": "random_grayscale(p=0.5)",
  "random_shift": "random_shift(3, pad='edge')",
  "random_solarize": "random_solarize(threshold=100, p=0.6)",
  "resize": "resize((10, 6), method='bicubic', antialias=True)",
  "resize_keep_ratio": (
    "resize_keep_ratio((9, 8), method='pillow_bicubic', fit='inside',"
    " rounding='nearest')"
  ),
  "resize_small": "resize_small(9, method='nearest')",
  "value_range": "value_range(-1.0, 1.0)",
}
# Those whose result depends on the generator.
RANDOM = {
  *("colour_jitter", "flip_lr", "gaussian_blur", "inception_crop"),
  *("multicrop", "randaug", "random_crop", "random_erasing"),
  *("random_grayscale", "random_shift", "random_solarize"),
}


def example():
  image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
  return {"image": image, "label": 3, "classes": [1, 2], "id": 7}


def run(text, seed):
  """What one op makes of an example, or of a batch of one."""
  (o,) = Pipeline.parse(text).ops
  if isinstance(o, op.DeviceOp):
    batch = {k: np.asarray(v)[None] for k, v in example().items()}
    return jax.jit(o)(batch)
  given = example()
  before = given["image"].copy()
  out = o(given, np.random.default_rng(seed))
  np.testing.assert_array_equal(given["image"], before)
  assert given.keys() == example().keys()
  return out


def same(a, b):
  return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_every_op_is_covered():
  assert list(TEXTS) == list(lookup.known_ops())


@pytest.mark.parametrize("name", lookup.known_ops())
class TestEveryOp:
  def test_its_text_is_read_and_written(self, name):
    pipeline = Pipeline.parse(TEXTS[name])
    assert str(pipeline) == TEXTS[name]
    assert type(pipeline.ops[0]) is lookup.find(name)
    assert lookup.name_of(lookup.find(name)) == name
    # As it goes to worker processes.
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline  # noqa: S301

  def test_it_keeps_the_contract(self, name):
    lookup._check_contract(lookup.find(name))

  def test_its_docstring_names_every_argument(self, name):
    cls = lookup.find(name)
    for field in dataclasses.fields(cls):
      named = rf"`{field.name}`|^  {field.name}: \S"
      assert re.search(named, inspect.getdoc(cls), re.M), field.name

  def test_it_is_a_function_of_the_example_and_the_seed(self, name):
    first, *others = (run(TEXTS[name], seed) for seed in (0, 0, 1, 2, 3, 4))
    assert same(first, others[0])
    assert any(not same(first, o) for o in others) == (name in RANDOM)

  def test_images_are_uint8_until_the_device(self, name):
    is_device = issubclass(lookup.find(name), op.DeviceOp)
    image = run(TEXTS[name], 0)["image"]
    is_changed = name in {"normalise", "value_range"}
    assert is_changed <= is_device
    assert image.dtype == (np.float32 if is_changed else np.uint8)
