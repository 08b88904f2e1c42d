"""Every op of the package keeps the contract of `op.py`, and so may others'.

The ops are found by themselves. A new one needs a text in `TEXTS`.
"""

import dataclasses
import pickle
import re
import sys

import jax
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import lookup, op
from vit_jax.preprocess.pipeline import Pipeline

# The canonical text of each op, with values other than the defaults.
TEXTS = {
  "central_crop": "central_crop((9, 7))",
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
      named = rf"`{field.name}`|^    {field.name}: \S"
      assert re.search(named, cls.__doc__, re.M), field.name

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


OURS = '''
import dataclasses
from typing import Literal
import numpy as np
from vit_jax.preprocess import op

def blur(image, rng, radius: int, how: Literal["box", "mean"] = "box"):
  """Sets the first `radius` rows to a random level."""
  image = image.copy()
  image[:radius] = rng.integers(256)
  return image

@dataclasses.dataclass(frozen=True)
class Brighter(op.ImageOp):
  """Adds `by`."""
  by: int
  size: op.Size = op.Size(2, 3)
  def __post_init__(self):
    op.check(self, self.by > 0, "{by} must be > 0")
  def change(self, image, rng):
    return image + np.uint8(self.by)

@dataclasses.dataclass(frozen=True)
class Halve(op.DeviceOp):
  """Halves the values."""
  def __call__(self, batch):
    return {**batch, "image": batch["image"] / 2}

LEVEL = 3
class Plain: pass
@dataclasses.dataclass(frozen=True)
class NoOp: pass
@dataclasses.dataclass
class Thawed(op.ImageOp):
  def change(self, image, rng): return image
class Undecorated(Brighter): pass
@dataclasses.dataclass(frozen=True)
class Abstract(op.ImageOp): pass
@dataclasses.dataclass(frozen=True)
class Array(op.DeviceOp):
  mean: np.ndarray
  def __call__(self, batch): return batch
def swapped(rng, image): return image
def untyped(image, rng, level): return image
def starred(image, rng, *levels: int): return image
def unknown(image, rng, level: "Nowhere"): return image
def optional(image, rng, level: int | None = None): return image
'''


@pytest.fixture
def mylab(tmp_path, monkeypatch):
  """The file of a module of somebody else's."""
  lookup._from_outside.cache_clear()
  monkeypatch.syspath_prepend(tmp_path)
  package = tmp_path / "mylab"
  package.mkdir()
  (package / "__init__.py").write_text("")
  (package / "broken.py").write_text("def f(:")
  (package / "needy.py").write_text("import nowhere_to_be_found")
  file = package / "ops.py"
  file.write_text(OURS)
  yield file
  for name in [n for n in sys.modules if n.split(".")[0] == "mylab"]:
    del sys.modules[name]


def test_ops_from_outside(mylab):
  text = (
    "mylab.ops.blur(3)|mylab.ops.Brighter(4, size=(5, 6))|resize(8)"
    "|mylab.ops.Halve"
  )
  pipeline = Pipeline.parse(text)
  assert str(pipeline) == text
  assert Pipeline.parse(text) == pipeline
  again = pickle.loads(pickle.dumps(pipeline))  # noqa: S301
  assert again == pipeline and hash(again) == hash(pipeline)
  out, other = (
    pipeline.host(example(), np.random.default_rng(seed))["image"]
    for seed in (0, 1)
  )
  assert out.shape == (8, 8, 3)
  assert len(np.unique(out[0])) == 1 and out[0, 0, 0] != other[0, 0, 0]
  np.testing.assert_array_equal(out[3:], other[3:])
  halved = jax.jit(pipeline.device)({"image": out[None]})["image"]
  np.testing.assert_allclose(halved[0], out / 2)
  text = "mylab.ops.blur(1, how='mean')"
  assert str(Pipeline.parse(text)) == text


def test_ops_from_outside_in_crops(mylab):
  text = "multicrop(8, 4, local='mylab.ops.Brighter(1)')"
  assert str(Pipeline.parse(text)) == text


WRONG = {
  "nolab.ops.blur(3)": "the module nolab.ops cannot be imported (No module",
  "mylab.opps.blur(3)": "the module mylab.opps cannot be imported (No module",
  "mylab.broken.f": "mylab.broken cannot be imported (invalid syntax",
  "mylab.needy.f": "(No module named 'nowhere_to_be_found')",
  "mylab.ops.blurr(3)": "{file}: no class or function blurr; did you mean bl",
  "mylab.ops.LEVEL": "{file}: no class or function LEVEL",
  "mylab.ops.Plain": "{file}: Plain must derive from HostOp, ImageOp or Dev",
  "mylab.ops.NoOp": "{file}: NoOp must derive from HostOp, ImageOp or Device",
  "mylab.ops.Thawed": "{file}: Thawed must be a frozen dataclass",
  "mylab.ops.Undecorated(3)": "{file}: Undecorated must be a frozen dataclass",
  "mylab.ops.Abstract": "{file}: Abstract must define change",
  "mylab.ops.Array(0)": "{file}: Array's argument mean is <class 'numpy.nd",
  "mylab.ops.swapped": "{file}: swapped must begin with the parameters image",
  "mylab.ops.untyped(1)": "{file}: untyped must have a type for each argument",
  "mylab.ops.starred(1)": "and no * (it has *levels: int)",
  "mylab.ops.unknown(1)": "{file}: unknown has an unknown type (name 'Nowhere'",
  "mylab.ops.optional(1)": "{file}: optional's argument level is int | None",
  "mylab.ops.blur": "mylab.ops.blur needs radius: write mylab.ops.blur(radius)",
  "mylab.ops.blur(0.5)": "mylab.ops.blur.radius=0.5 is a float, not a int",
  "mylab.ops.blur(1, 'median')": "mylab.ops.blur.how=median is not one of: box",
  "mylab.ops.Brighter(0)": "mylab.ops.Brighter.by=0 must be > 0",
  "os.system('true')": "no class or function system",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_ops_from_outside(mylab, text):
  with pytest.raises(errors.ConfigError) as caught:
    Pipeline.parse(f"decode|{text}|resize(4)")
  assert WRONG[text].format(file=mylab) in str(caught.value)
  assert "\n" not in str(caught.value)
