"""Checkpoints on a file system that cannot sync folders."""

import errno
import os
import stat

import jax.numpy as jnp
from orbax.checkpoint._src.serialization import tensorstore_utils
import pytest
import tensorstore

from vit_jax.checkpoints import orbax_sync, run_checkpoints


@pytest.fixture
def contexts(monkeypatch):
  """Copies of Orbax's settings, which a test may change."""
  names = ("_BASE_TS_CONTEXT", "_DEFAULT_OCDBT_TS_CONTEXT")
  copies = tuple(dict(vars(tensorstore_utils)[name]) for name in names)
  for name, copy in zip(names, copies, strict=True):
    monkeypatch.setattr(tensorstore_utils, name, copy)
  monkeypatch.setattr(orbax_sync, "_CONTEXTS", copies)
  return copies


def save(folder):
  with run_checkpoints.Checkpointer(folder, keep=1) as saved:
    saved.save(1, {"x": jnp.arange(3)}, {})
  return run_checkpoints.open_step(folder).name


def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, contexts):
  """CIFS and some FUSE; whoever asks for a sync there is refused."""
  fsync = os.fsync

  def refused(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
      raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fsync(descriptor)

  monkeypatch.setattr(os, "fsync", refused)
  assert save(tmp_path) == "1"
  for use_ocdbt in (True, False):
    context = tensorstore_utils.get_ts_context(use_ocdbt=use_ocdbt)
    assert context.spec.to_json()["file_io_sync"] is False
    assert isinstance(context, tensorstore.Context)


def test_elsewhere_nothing_is_changed(tmp_path, contexts):
  assert save(tmp_path) == "1"
  assert all("file_io_sync" not in context for context in contexts)
