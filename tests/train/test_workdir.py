"""Where a run may be."""

import pytest

from vit_jax.core import config as config_lib, errors
from vit_jax.train import workdir


def test_a_bucket_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with (
    pytest.raises(errors.ConfigError, match="gs://b/run needs a file system"),
    workdir.claim("gs://b/run", config_lib.ConfigDict()),
  ):
    pass
  assert not list(tmp_path.iterdir())
