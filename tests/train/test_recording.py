"""The files and lines that a run leaves of its steps and scores."""

import contextlib
import json

import jax.numpy as jnp
import pytest

from vit_jax.core import errors
from vit_jax.train import recording


def rows(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, *steps):
  journal = recording.Journal(path, 0)
  for step in steps:
    journal.write({"step": step, "loss": step / 3})
  journal.close()


def test_journal_is_cut_back_to_the_step(tmp_path):
  path = tmp_path / "metrics.jsonl"
  write(path, 1, 2, 3, 4)
  journal = recording.Journal(path, 2)
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
  recording.Journal(path, 9).close()
  assert path.read_bytes() == good


def test_journal_says_what_cannot_be_written(tmp_path):
  with pytest.raises(errors.StorageError, match=r"cannot write .*metrics"):
    recording.Journal(tmp_path / "none" / "metrics.jsonl", 0)


def record(folder, start=0, log_every=1):
  return recording.Recording(
    folder,
    start,
    100,
    log_every=log_every,
    batch_size=32,
    last_good=lambda: "last good checkpoint: 7",
  )


def test_metrics_are_fetched_one_step_late(tmp_path, monkeypatch):
  fetched = []
  real = recording.fetch
  monkeypatch.setattr(
    recording, "fetch", lambda m: fetched.append(m) or real(m)
  )
  with contextlib.closing(record(tmp_path)) as run:
    for step in (1, 2, 3):
      run.push(step, {"loss": jnp.float32(step)}, [step])
      # While step k is under way, nobody has asked for its metrics.
      assert len(fetched) == step - 1
    run.flush()
    written = rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in written] == [1, 2, 3]
    run.flush()
    assert len(fetched) == 3


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
  with contextlib.closing(record(tmp_path)) as run:
    run.push(8, {"loss": jnp.float32(1)}, [5])
    run.push(9, {"loss": jnp.float32("nan")}, [3, 14, 15])
    message = (
      r"step 9: loss=nan is not finite; last good checkpoint: 7; examples of"
      r" the batch: \[3, 14, 15\]"
    )
    with pytest.raises(errors.NonFiniteError, match=message):
      run.push(10, {"loss": jnp.float32(1)}, [9])
    written = rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in written] == [8]
    # The step after it is poisoned: nothing of it is ever written.
    run.flush()
    assert rows(tmp_path / "metrics.jsonl") == written


def test_every_metric_reaches_the_row_and_tensorboard(tmp_path):
  with contextlib.closing(record(tmp_path, log_every=10)) as run:
    for step in (9, 10):
      run.push(step, {"loss": jnp.float32(step), "kl": jnp.float32(0.5)}, [0])
    run.flush()
    run.write_scores(10, "test", {"top_1": 0.25, "examples": 351})
  last = rows(tmp_path / "metrics.jsonl")[-1]
  assert last == {"step": 10, "loss": 10.0, "kl": 0.5, "time_s": last["time_s"]}
  points = curves(tmp_path)
  assert points.pop("train/images_per_s").keys() == {10}
  assert points == {
    "train/loss": {10: 10.0},
    "train/kl": {10: 0.5},
    "test/top_1": {10: 0.25},
    "test/examples": {10: 351.0},
  }


def curves(folder):
  """What TensorBoard shows of a folder: {curve: {step: value}}."""
  from tensorboard.backend.event_processing import plugin_event_accumulator

  events = plugin_event_accumulator.EventAccumulator(
    str(folder), tensor_size_guidance={"scalars": 0}
  ).Reload()
  return {
    tag: {p.step: p.tensor_proto.float_val[0] for p in events.Tensors(tag)}
    for tag in events.Tags()["tensors"]
  }


def test_tensorboard_drops_what_a_resumed_run_does_again(tmp_path):
  for start, steps in ((0, (1, 2, 3)), (2, (3, 4)), (1, (2,))):
    points = recording.TensorBoard(tmp_path, start)
    for step in steps:
      points.write(step, "train", {"loss": start + step / 10})
    points.close()
  assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 3
  shown = curves(tmp_path)["train/loss"]
  assert shown == pytest.approx({1: 0.1, 2: 1.2})


def test_events_that_cannot_be_written_are_one_line(tmp_path):
  with pytest.raises(errors.StorageError, match=r"cannot write .*tfevents"):
    recording.TensorBoard(tmp_path / "none", 0)


def test_progress_line(capsys):
  progress = recording.Progress(0, 100, 10, 32)
  progress.seconds = iter([10.0, 12.0, 14.0]).__next__
  for step in range(1, 21):
    progress({"step": step, "loss": 0.5})
  lines = capsys.readouterr().err.splitlines()
  assert lines == [
    "step 1/100 (1%)  loss 0.5000  - images/s  - left",
    "step 10/100 (10%)  loss 0.5000  144.0 images/s  0:20 left",
    "step 20/100 (20%)  loss 0.5000  160.0 images/s  0:16 left",
  ]


def test_counts_are_whole_numbers():
  text = recording.scores_text(
    {"top_1": 0.25, "examples": 50_000, "skipped": 0}
  )
  assert text == "top_1 0.2500  examples 50,000  skipped 0"


def test_what_is_cut_is_kept(tmp_path):
  path = tmp_path / "metrics.jsonl"
  write(path, 1, 2, 3, 4)
  lines = path.read_bytes().splitlines(keepends=True)
  broken = b'{"step": 2, "lo\xff\n'
  path.write_bytes(lines[0] + broken + b"".join(lines[2:]) + b'{"step": 5')
  journal = recording.Journal(path, 3)
  journal.close()
  assert [row["step"] for row in journal.rows] == [1, 3]
  assert journal.unreadable == 1
  assert path.read_bytes() == lines[0] + lines[2]
  copy = tmp_path / "metrics.cut.jsonl"
  assert copy.read_bytes() == broken + lines[3] + b'{"step": 5\n'
  # What is cut later is added.
  recording.Journal(path, 1).close()
  assert copy.read_bytes().endswith(b'{"step": 5\n' + lines[2])


def test_a_journal_that_is_a_folder_is_one_line(tmp_path):
  (tmp_path / "metrics.jsonl").mkdir()
  with pytest.raises(errors.StorageError, match="is not a regular file"):
    recording.Journal(tmp_path / "metrics.jsonl", 0)
