"""Prefixes of wrappers are left out, and the report says so."""

import numpy as np
import pytest

from tests.checkpoints import files
from vit_jax import checkpoints
from vit_jax.checkpoints import prefixes


@pytest.mark.parametrize(
  "prefix",
  [
    *("module.", "model.", "backbone.", "_orig_mod."),
    *("module._orig_mod.", "_orig_mod.module."),
  ],
)
@pytest.mark.parametrize("name", ["timm_vit_token", "hf_vit", "timm_swin"])
def test_prefixes_of_all_names(tmp_path, prefix, name):
  def wrap(arrays):
    for key in list(arrays):
      arrays[prefix + key] = arrays.pop(key)

  got = checkpoints.load(files.write(tmp_path / "a", name, wrap))
  same = checkpoints.load(files.write(tmp_path / "b", name))
  assert got.model == same.model
  np.testing.assert_array_equal(
    got.params["head"]["kernel"], same.params["head"]["kernel"]
  )
  assert all(x.startswith(prefix) for x in got.report.used)
  for part in filter(None, prefix.split(".")):
    assert any(f"prefix {part}. of" in x for x in got.report.assumptions)


def test_a_head_that_is_outside_of_the_wrapper():
  names, sentences = prefixes.stripped(
    dict.fromkeys(("backbone.a", "backbone.b", "head.weight"))
  )
  assert names == {
    "a": "backbone.a", "b": "backbone.b", "head.weight": "head.weight",
  }  # fmt: skip
  assert sentences == ["the prefix backbone. of 2 names is left out"]


def test_no_two_names_become_one():
  names = dict.fromkeys(("model.a", "model.b", "a"))
  assert prefixes.stripped(names) == ({k: k for k in names}, [])
