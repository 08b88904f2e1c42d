"""Layer scale of timm's ViTs is multiplied into the projections on load.

That the outputs are timm's: `tests/parity/test_files.py`.
"""

import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints
from vit_jax.core import errors

NAME = "timm_vit_layer_scale"


def unscaled(arrays):
  for name in [x for x in arrays if x.endswith(".gamma")]:
    del arrays[name]


def test_the_factors_are_in_the_projections(tmp_path):
  got = checkpoints.load(files.write(tmp_path, NAME))
  plain = checkpoints.load(files.write(tmp_path / "plain", NAME, unscaled))
  arrays = rule.params(rule.load(NAME))
  for ours, theirs, gamma in (
    ("attention", "attn.proj", "ls1"),
    ("mlp", "mlp.fc2", "ls2"),
  ):
    for layer in (0, 1):
      factor = arrays[f"blocks.{layer}.{gamma}.gamma"]
      ends = got.params["blocks"][ours]["out"]
      want = arrays[f"blocks.{layer}.{theirs}.bias"] * factor
      np.testing.assert_array_equal(ends["bias"][layer], want)
      kernel = plain.params["blocks"][ours]["out"]["kernel"][layer]
      np.testing.assert_array_equal(ends["kernel"][layer], kernel * factor)
  assert "blocks.1.ls2.gamma" in got.report.used
  assert any("4 tensors ls1.gamma" in x for x in got.report.assumptions)
  # Another format gets the products, and no factors.
  checkpoints.save(got, "npz", tmp_path / "out.npz")
  again = checkpoints.load(tmp_path / "out.npz")
  np.testing.assert_array_equal(
    again.params["blocks"]["mlp"]["out"]["kernel"],
    got.params["blocks"]["mlp"]["out"]["kernel"],
  )


@pytest.mark.parametrize("spoilt", ["gamma", "bias", "gone"])
def test_a_factor_that_does_not_fit(tmp_path, spoilt):
  def spoil(arrays):
    if spoilt == "gamma":
      arrays["blocks.1.ls1.gamma"] = np.ones(47, np.float32)
    elif spoilt == "bias":
      arrays["blocks.1.attn.proj.bias"] = np.ones((), np.float32)
    else:
      del arrays["blocks.1.attn.proj.bias"]

  path = files.write(tmp_path, NAME, spoil)
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(path)
  assert "blocks.1.ls1.gamma" in str(e.value)
  assert "\n" not in str(e.value)
