import json

import jax.numpy as jnp
import pytest

from vit_jax.core import errors
from vit_jax.train import metrics


def rows(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, *steps):
  journal = metrics.Journal(path, 0)
  for step in steps:
    journal.write({"step": step, "loss": step / 3})
  journal.close()


def test_journal_is_cut_back_to_the_step(tmp_path):
  path = tmp_path / "metrics.jsonl"
  write(path, 1, 2, 3, 4)
  journal = metrics.Journal(path, 2)
  assert [row["step"] for row in journal.rows] == [1, 2]
  journal.write({"step": 3, "loss": 0.5})
  journal.sync()
  journal.close()
  assert rows(path)[1:] == [
    {"step": 2, "loss": 2 / 3},
    {"step": 3, "loss": 0.5},
  ]


@pytest.mark.parametrize("end", [b'{"step": 3, "lo', b'{"step": 3}', b"\0\n"])
def test_journal_drops_half_a_row(tmp_path, end):
  path = tmp_path / "metrics.jsonl"
  write(path, 1, 2)
  good = path.read_bytes()
  path.write_bytes(good + end)
  metrics.Journal(path, 9).close()
  assert path.read_bytes() == good


def test_journal_says_what_cannot_be_written(tmp_path):
  with pytest.raises(errors.StorageError, match=r"cannot write .*metrics"):
    metrics.Journal(tmp_path / "none" / "metrics.jsonl", 0)


def recorder(written, last="last good checkpoint: 7"):
  return metrics.Recorder(written.append, lambda: last)


def test_metrics_are_fetched_one_step_late(monkeypatch):
  written, fetched = [], []
  real = metrics.fetch
  monkeypatch.setattr(metrics, "fetch", lambda m: fetched.append(m) or real(m))
  record = recorder(written)
  for step in (1, 2, 3):
    record.push(step, {"loss": jnp.float32(step)}, [step])
    # While step k is under way, nobody has asked for its metrics.
    assert len(fetched) == step - 1
  record.flush()
  assert [row["step"] for row in written] == [1, 2, 3]
  record.flush()
  assert len(fetched) == 3


def test_a_loss_that_is_not_finite_stops_the_run():
  written = []
  record = recorder(written)
  record.push(8, {"loss": jnp.float32(1)}, [5])
  record.push(9, {"loss": jnp.float32("nan")}, [3, 14, 15])
  message = (
    r"step 9: loss=nan is not finite; last good checkpoint: 7; examples of the"
    r" batch: \[3, 14, 15\]"
  )
  with pytest.raises(errors.NonFiniteError, match=message):
    record.push(10, {"loss": jnp.float32(1)}, [9])
  assert [row["step"] for row in written] == [8]
  # The step after it is poisoned: nothing of it is ever written.
  record.flush()
  assert [row["step"] for row in written] == [8]


def test_what_is_cut_is_kept(tmp_path):
  path = tmp_path / "metrics.jsonl"
  write(path, 1, 2, 3, 4)
  lines = path.read_bytes().splitlines(keepends=True)
  broken = b'{"step": 2, "lo\xff\n'
  path.write_bytes(lines[0] + broken + b"".join(lines[2:]) + b'{"step": 5')
  journal = metrics.Journal(path, 3)
  journal.close()
  assert [row["step"] for row in journal.rows] == [1, 3]
  assert journal.unreadable == 1
  assert path.read_bytes() == lines[0] + lines[2]
  copy = tmp_path / "metrics.cut.jsonl"
  assert copy.read_bytes() == broken + lines[3] + b'{"step": 5\n'
  # What is cut later is added.
  metrics.Journal(path, 1).close()
  assert copy.read_bytes().endswith(b'{"step": 5\n' + lines[2])


def test_a_journal_that_is_a_folder_is_one_line(tmp_path):
  (tmp_path / "metrics.jsonl").mkdir()
  with pytest.raises(errors.StorageError, match="is not a regular file"):
    metrics.Journal(tmp_path / "metrics.jsonl", 0)
