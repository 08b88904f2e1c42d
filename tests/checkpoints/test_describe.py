"""A description of a checkpoint is that of `load`, and starts no device."""

import subprocess
import sys

import pytest

from tests.e2e import own_folder, run as cli
from vit_jax import checkpoints
from vit_jax.checkpoints import describe
from vit_jax.core import errors
from vit_jax.models import vit

PLAIN = vit.Config(
  **{**vars(own_folder.VIT), "pre_logits_dim": 0, "gelu": "exact"}
)


@pytest.fixture(scope="module", params=["orbax", "timm", "npz"])
def saved(request, tmp_path_factory):
  place = tmp_path_factory.mktemp("saved") / f"weights.{request.param}"
  own_folder.save(place, vit.Model(PLAIN), request.param, channels=1)
  return place


def test_it_says_what_loading_says(saved):
  about, loaded = describe.describe(saved), checkpoints.load(saved)
  assert about.config == loaded.model.config
  assert about.preprocess == loaded.preprocess
  assert about.channels == 1


def test_no_device_is_started(saved):
  code = (
    "import sys; from jax._src import xla_bridge\n"
    "from vit_jax.checkpoints import describe\n"
    "describe.describe(sys.argv[1])\n"
    "assert not xla_bridge.backends_are_initialized()\n"
  )
  subprocess.run(
    [sys.executable, "-c", code, str(saved)],
    check=True,
    cwd=cli.ROOT,
    env=cli.environment(1),
  )


def test_what_is_not_there(tmp_path):
  with pytest.raises(errors.CheckpointError, match="does not exist"):
    describe.describe(tmp_path / "nothing")
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(errors.CheckpointError, match="is not a checkpoint"):
    describe.describe(tmp_path)
