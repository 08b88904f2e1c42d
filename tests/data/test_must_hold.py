"""What remains of the list of hostile inputs, and memory that stays flat."""

import builtins
import pathlib
import shutil

import numpy as np
import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.preprocess.pipeline import Pipeline

DECODE = Pipeline.parse("decode(1)")


def rows(source, on_error="raise"):
  return list(
    pipeline.eval_batches(source, DECODE, batch_size=64, on_error=on_error)
  )


@pytest.fixture
def cut(digits_dir, tmp_path):
  """The digits with a shard that ends in the middle."""
  shutil.copytree(digits_dir, tmp_path, dirs_exist_ok=True)
  (shard,) = (tmp_path / "digits/1.0.0").glob("*-test.array_record*")
  shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
  return str(tmp_path), shard


def test_a_shard_that_ends_too_early(cut):
  data_dir, shard = cut
  with pytest.raises(errors.DataError) as caught:
    rows(base.open_source("tfds:digits", "test", data_dir))
  assert f"{shard}, record " in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
  root = trees.classes(tmp_path, {"ant": 3, "bee": 3})
  source = base.open_source(f"folder:{root}", "train")
  real = builtins.open

  # The superuser may read everything, so that no mode would refuse.
  def refuse(path, *args, **kwargs):
    if str(path).endswith("bee/1.png'"):
      raise PermissionError(13, "Permission denied", path)
    return real(path, *args, **kwargs)

  monkeypatch.setattr(builtins, "open", refuse)
  with pytest.raises(errors.DataError) as caught:
    rows(source)
  file = root / "bee/1.png"
  assert f"{file} cannot be read: Permission denied" in str(caught.value)
  (batch,) = rows(source, "skip")
  (left_out,) = np.flatnonzero(batch["skipped"])
  assert source.where(left_out) == str(file)
  assert batch["mask"].sum() == 5


def resident_bytes():
  return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_ten_thousand_batches_take_no_more_memory(tmp_path):
  root = trees.classes(tmp_path, {"ant": 30, "bee": 30})
  batches = pipeline.train_batches(
    base.open_source(f"folder:{root}", "train"),
    Pipeline.parse("decode|inception_crop(8)|flip_lr"),
    batch_size=1,
    seed=0,
    num_steps=10_000,
  )
  seen = []
  for step, _ in enumerate(pipeline.iterate(batches, num_threads=1)):
    if step % 1000 == 999:
      seen.append(resident_bytes())
  # A batch that is kept has 200 bytes of pixels, and its arrays more.
  assert len(seen) == 10
  assert seen[-1] - seen[1] < 2_000_000
