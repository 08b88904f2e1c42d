"""A run on a folder with images that cannot be read."""

import json

import pytest

from tests.data import trees
from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors
from vit_jax.data import base as sources
from vit_jax.train import evaluate, loop

COUNTS = {"ant": 24, "bee": 24}
STEPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  root = trees.classes(tmp_path_factory.mktemp("folder"), COUNTS)
  for name in ("ant/3.png", "bee/7.png", "bee/8.png"):
    (root / name).write_bytes(b"no image")
  return root


def load(folder, on_error):
  name = f"folder:{folder}"
  fields = {
    "model.num_classes": 2,
    "data.batch_size": 16,
    "data.train.name": name,
    "data.train.preprocess": "decode(1)|value_range(-1, 1)",
    "data.train.on_error": on_error,
    "evals.test.data.name": name,
    "evals.test.data.split": "train",
    "evals.test.data.on_error": on_error,
    "optim.schedule.warmup": "0 steps",
    "runtime.mesh": "data=2,tensor=2,fsdp=2",
  }
  return config_lib.load(cli.TINY, f"steps={STEPS}", fields)


def test_skipped_examples_are_counted(folder, tmp_path):
  config = load(folder, "skip")
  scores = loop.train(config, str(tmp_path))["test"]
  assert (scores["examples"], scores["skipped"]) == (45, 3)
  rows = cli.rows(tmp_path / "metrics.jsonl")
  # 96 positions are two epochs of 48 images, and the next good one is taken.
  source = sources.open_source(f"folder:{folder}", "train")
  bad = {i for i in range(48) if source[i]["image"] == b"no image"}
  assert len(bad) == 3
  passed = [next(k for k in range(9) if i + k not in bad) for i in bad]
  assert sum(row["skipped"] for row in rows) == 2 * sum(passed)
  (row,) = map(json.loads, (tmp_path / "evals.jsonl").read_text().splitlines())
  assert row["skipped"] == 3
  again = evaluate.evaluate(str(tmp_path))["test"]
  assert again == pytest.approx(scores, rel=1e-5)


def test_otherwise_the_run_ends_with_the_file_named(folder, tmp_path):
  with pytest.raises(errors.DataError, match=r"(ant/3|bee/[78])\.png"):
    loop.train(load(folder, "raise"), str(tmp_path))
