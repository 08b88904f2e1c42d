"""A run in this process: its files, and what it refuses to go on with."""

import gzip
import json
import shutil

from absl import flags
import pytest

from tests.e2e import run as cli
from vit_jax import checkpoints
from vit_jax.core import config as config_lib, errors
from vit_jax.train import evaluate, loop


def load(data_dir, **overrides):
  overrides = {k.replace("__", "."): v for k, v in overrides.items()}
  return config_lib.load(
    cli.TINY, "steps=20", {"runtime.data_dir": str(data_dir), **overrides}
  )


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
  """A finished run and the scores it ended with."""
  workdir = tmp_path_factory.mktemp("finished")
  config = load(data_dir, runtime__profile=(3, 2))
  return workdir, loop.train(config, str(workdir))


def test_files(finished):
  workdir, scores = finished
  assert scores["test"]["examples"] == 351
  assert len(cli.rows(workdir / "metrics.jsonl")) == 20
  assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == [
    "10",
    "20",
  ]
  assert list(workdir.glob("events.out.tfevents.*"))
  assert list((workdir / "profile").rglob("*.xplane.pb"))
  # Names the kind of every buffer it counts.
  memory = gzip.decompress((workdir / "profile/memory.prof").read_bytes())
  assert b"buffer" in memory
  manifest = json.loads((workdir / "checkpoints/20/manifest.json").read_text())
  meta = manifest["body"]["meta"]
  assert set(meta) == {
    *("config", "data", "labels", "provenance"),
    *("model", "parts", "weights"),
  }
  assert meta["model"] == {"params": "ema"}
  assert meta["weights"] == {}
  assert meta["labels"] == [str(i) for i in range(10)]
  assert meta["config"] == json.loads((workdir / "config.json").read_text())
  assert meta["data"]["name"] == "digits"
  assert meta["provenance"]["versions"]["jax"]


def test_tensorboard_has_the_numbers(finished):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  workdir, scores = finished
  events = event_accumulator.EventAccumulator(
    str(workdir), size_guidance={"tensors": 0}
  ).Reload()
  assert {"train/loss", "train/images_per_s", "test/top_1"} <= set(
    events.Tags()["tensors"]
  )
  last = events.Tensors("test/top_1")[-1]
  assert last.step == 20
  value = tensor_util.make_ndarray(last.tensor_proto)
  assert float(value) == pytest.approx(scores["test"]["top_1"])


def test_evaluate_counts_the_same(finished):
  workdir, scores = finished
  for place in (workdir, workdir / "checkpoints", workdir / "checkpoints/20"):
    assert evaluate.evaluate(str(place)) == scores


def test_evaluate_at_another_batch_size(finished, data_dir):
  workdir, scores = finished
  config = load(data_dir, evals__test__batch_size=7)
  again = evaluate.evaluate(str(workdir), config)["test"]
  assert again["examples"] == 351
  assert again["top_1"] == scores["test"]["top_1"]
  assert again["loss"] == pytest.approx(scores["test"]["loss"], rel=1e-5)


@pytest.mark.parametrize("to", ["npz", "hf", "orbax"])
def test_evaluate_published_weights(finished, data_dir, tmp_path, to):
  """The run's weights in other formats score as the run did."""
  workdir, scores = finished
  out = tmp_path / ("weights.npz" if to == "npz" else "weights")
  checkpoints.convert(workdir, to, out)
  with pytest.raises(errors.ConfigError, match="give --config"):
    evaluate.evaluate(str(out))
  found = evaluate.evaluate(str(out), load(data_dir))
  assert found["test"]["examples"] == 351
  assert found["test"]["loss"] == pytest.approx(scores["test"]["loss"], 1e-5)
  assert found["test"]["top_1"] == scores["test"]["top_1"]


def test_evaluate_another_model(finished, data_dir):
  config = load(data_dir, model__width=32)
  with pytest.raises(errors.CheckpointError, match=r"blocks/.*\(2, 32"):
    evaluate.evaluate(str(finished[0]), config)


def test_another_config_is_refused(finished, data_dir):
  workdir, _ = finished
  before = (workdir / "config.json").read_bytes()
  config = load(data_dir, optim__peak_lr=0.5, task__mixup=0.0)
  with pytest.raises(errors.ConfigError) as error:
    loop.train(config, str(workdir))
  assert "optim.peak_lr: 0.001 -> 0.5; task.mixup: 0.2 -> 0.0" in str(
    error.value
  )
  assert (workdir / "config.json").read_bytes() == before


def test_changed_data_is_refused(finished, data_dir, tmp_path):
  """The data set has moved, which is fine, and grown, which is not."""
  workdir = tmp_path / "run"
  shutil.copytree(finished[0], workdir)
  moved = tmp_path / "data"
  shutil.copytree(data_dir, moved)
  assert loop.train(load(moved), str(workdir)) == finished[1]
  info = next(moved.rglob("dataset_info.json"))
  text = info.read_text()
  size = json.loads(text)["splits"][0]["numBytes"]
  info.write_text(text.replace(f'"{size}"', f'"{int(size) + 1}"'))
  with pytest.raises(errors.DataError, match=r"changed since step 20.*bytes"):
    loop.train(load(moved), str(workdir))


def test_a_file_in_the_way(data_dir, tmp_path):
  """A workdir that cannot be made: one line, whoever runs it."""
  blocked = tmp_path / "file"
  blocked.write_text("")
  with pytest.raises(errors.StorageError, match=r"cannot write .*/file/run"):
    loop.train(load(data_dir), str(blocked / "run"))


def test_a_poisoned_run_stops_and_keeps_its_checkpoint(data_dir, tmp_path):
  config = load(data_dir, optim__peak_lr=1e30, optim__clip_norm=0.0)
  with pytest.raises(errors.NonFiniteError, match=r"step \d+: .* examples of"):
    loop.train(config, str(tmp_path))
  rows = cli.rows(tmp_path / "metrics.jsonl")
  assert len(rows) < 10
  assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


def test_batches_that_do_not_divide(data_dir, tmp_path):
  config = load(data_dir, data__batch_size=20)
  message = (
    r"data.batch_size=20 is not divisible by 8 devices x 1 microbatches = 8;"
    " nearest: 16 or 24"
  )
  with pytest.raises(errors.ConfigError, match=message):
    loop.train(config, str(tmp_path))


def test_worker_processes_change_nothing(finished, data_dir, tmp_path):
  # As the command line does.
  flags.FLAGS.mark_as_parsed()
  loop.train(load(data_dir, runtime__data_workers=2), str(tmp_path))
  ours = cli.rows(tmp_path / "metrics.jsonl")
  assert ours == cli.rows(finished[0] / "metrics.jsonl")
