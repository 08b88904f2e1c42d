"""What an earlier version saved, this one restores and goes on with."""

import json

import jax
import numpy as np
import pytest

from tests.e2e import old_runs, run as cli
from vit_jax.core import config as config_lib, identity
from vit_jax.train.experiment import Experiment

NAMES = [str(run.relative_to(old_runs.FIXTURES)) for run in old_runs.RUNS]
# Configs of runs whose results are on record, and of every recipe.
CONFIGS = sorted(
  path.relative_to(cli.ROOT)
  for folder, pattern in (
    ("results", "**/config*.json"),
    ("tests/golden/configs", "*.json"),
    ("tests/e2e/fixtures", "run_of_*/*/config.json"),
  )
  for path in (cli.ROOT / folder).glob(pattern)
)


@pytest.fixture(params=NAMES)
def name(request):
  return request.param


@pytest.fixture
def expected(name):
  return json.loads((old_runs.FIXTURES / name / "expected.json").read_text())


def test_the_runs_are_there():
  # The second were saved by Python 3.13 with jax 0.12.0.1 and Flax 0.12.12.
  for version in ("0_1_0", "0_1_0_jax_0_12"):
    names = {f"run_of_{version}/{kind}" for kind in old_runs.KINDS}
    assert names <= set(NAMES)
  parts = {
    array.partition("/")[0]
    for run in old_runs.RUNS
    for array in json.loads((run / "expected.json").read_text())["arrays"]
  }
  state = {"step", "params", "opt_state", "task_state", "ema", "rng"}
  assert parts == state


def test_every_array_has_its_old_bytes(name, expected):
  assert old_runs.restored(old_runs.FIXTURES / name) == expected["arrays"]


def test_the_run_goes_on(name, expected, data_dir, tmp_path):
  run = old_runs.FIXTURES / name
  old_runs.unpack(run, tmp_path)
  done = cli.run(
    "train",
    f"--config={old_runs.__file__}:{name}",
    f"--config.runtime.data_dir={data_dir}",
    f"--workdir={tmp_path}",
    devices=1,
  )
  assert done.returncode == 0, done.stderr
  assert f"resuming from step {old_runs.SAVED}\n" in done.stderr
  was = old_runs.jax_version(tmp_path)
  changed = (
    "" if was == jax.__version__ else (f"jax: '{was}' -> '{jax.__version__}'")
  )
  assert changed in done.stderr
  assert ("was saved with other versions" in done.stderr) >= bool(changed)
  losses = old_runs.losses(tmp_path)
  np.testing.assert_allclose(losses, expected["losses"], rtol=1e-6)
  # What was there before is as it was, and the state is of the same form.
  for file in ("metrics.jsonl", "evals.jsonl"):
    assert (tmp_path / file).read_text().startswith((run / file).read_text())
  assert set(cli.arrays(tmp_path)) == set(expected["arrays"])


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_a_config_on_record_still_builds(path):
  recorded = config_lib.ConfigDict(json.loads((cli.ROOT / path).read_text()))
  experiment = config_lib.build(Experiment, recorded)
  # No field is left out, and what they say is written in one way alone.
  again = config_lib.to_config_dict(experiment)
  fields = identity.leaves(recorded).keys()
  assert fields <= identity.leaves(again).keys()
  assert config_lib.build(Experiment, again) == experiment
