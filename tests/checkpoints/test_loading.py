"""What a path leads to: a file of weights, a folder with one, or a run."""

import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints
from vit_jax.checkpoints import npz, tensors
from vit_jax.core import errors


def write(path, arrays):
  npz.write(path, {k: tensors.from_array(v) for k, v in arrays.items()})
  return path


def test_importing_names():
  assert callable(checkpoints.load)
  assert checkpoints.load.__module__ == "vit_jax.checkpoints.loading"


def test_a_folder(tmp_path):
  path = files.write(tmp_path, "hf_vit")
  files.same(checkpoints.load(tmp_path).params, checkpoints.load(path).params)


def test_a_folder_with_two_files(tmp_path):
  for name in ("a.npz", "b.npz"):
    write(tmp_path / name, rule.params(rule.load("vit_token")))
  with pytest.raises(errors.CheckpointError, match=r"a\.npz, b\.npz; name one"):
    checkpoints.load(tmp_path)


def test_nothing_there(tmp_path):
  with pytest.raises(errors.CheckpointError, match="does not exist"):
    checkpoints.load(tmp_path / "x")
  with pytest.raises(errors.CheckpointError, match="is not a checkpoint"):
    checkpoints.load(tmp_path)
