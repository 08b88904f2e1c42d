"""The preprocessing that a checkpoint names."""

import sys

import pytest

from vit_jax import checkpoints
from vit_jax.checkpoints import preprocessing
from vit_jax.core import errors, parts


def test_reading_a_checkpoint_imports_nothing_from_outside(
  tmp_path, monkeypatch
):
  """Not even where the module could be imported: anybody may have made it."""
  from tests.export.test_predict import make

  (tmp_path / "outside_ops.py").write_text(
    "def blur(image, rng):\n  return image\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  text = "decode|outside_ops.blur|resize(8)|value_range(-1, 1)"
  refused = pytest.raises(errors.ConfigError, match=r"--allow_parts=outside_op")
  with parts.only(()), refused:
    preprocessing.checked(text)
  assert "outside_ops" not in sys.modules
  # Own words beside published weights, as `convert` writes them.
  checkpoints.save(make(), "timm", tmp_path / "weights")
  config = tmp_path / "weights" / "config.json"
  own = '"preprocess": "'
  assert own in config.read_text()
  config.write_text(config.read_text().replace(own, f"{own}outside_ops.blur|"))
  with pytest.raises(errors.UserError, match=r"outside_ops\.blur"):
    checkpoints.load(tmp_path / "weights")
  assert "outside_ops" not in sys.modules


def test_the_usual_form():
  text = "decode | resize( 8 )|value_range(-1,1)"
  assert (
    preprocessing.checked(text) == "decode|resize(8)|value_range(-1.0, 1.0)"
  )
