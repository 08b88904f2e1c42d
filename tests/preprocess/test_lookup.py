"""Ops from outside the package are found, or their file is named."""

import pickle
import sys

import jax
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess import lookup
from vit_jax.preprocess.pipeline import Pipeline


def example():
  image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
  return {"image": image, "label": 3, "classes": [1, 2], "id": 7}


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
  lookup._op_in.cache_clear()
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
