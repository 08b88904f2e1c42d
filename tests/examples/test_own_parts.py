"""Parts of one's own, used by a stranger: outside of the package, no fork.

The files of examples/own_parts are copied into another folder as the package
`mylab`, and the commands are run there.
"""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from tests.e2e import run as cli
from vit_jax import checkpoints, models
from vit_jax.checkpoints import Loaded, Report, manifest

PREPROCESS = "decode(1)|mylab.ops.invert(0.5)|value_range(-1, 1)"
PLAIN = "decode(1)|value_range(-1, 1)"
MIXER = dict(
  num_classes=2,
  image_size="(16, 16)",
  patch_size="(4, 4)",
  width=16,
  depth=2,
  token_mlp_dim=8,
  channel_mlp_dim=32,
)
CONFIG = """
from mylab import balanced
from vit_jax.core import config
from vit_jax.train.experiment import Experiment

def get_config(arg=""):
  c = config.to_config_dict(Experiment(evals={"test": balanced.Config()}))
  c.duration = "6 steps"
  c.data.batch_size = 32
  for split in (c.data.train, c.evals.test.data):
    split.name = "mylab.stripes:64"
  c.runtime.save_every = "3 steps"
  c.runtime.log_every = 3
  return c
"""


def flags(teacher):
  return (
    "--config=config.py",
    "--config.model.name=mylab.mixer",
    *(f"--config.model.{k}={v}" for k, v in MIXER.items()),
    "--config.optim.name=mylab.lion",
    "--config.optim.peak_lr=0.01",
    "--config.task.name=mylab.distillation",
    f"--config.task.teacher={teacher}",
    "--config.task.warmup=2 steps",
    f"--config.data.train.preprocess={PREPROCESS}",
    f"--config.evals.test.data.preprocess={PLAIN}",
  )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
  """A folder with the package `mylab`, and a teacher's weights."""
  folder = tmp_path_factory.mktemp("lab")
  source = cli.ROOT / "examples" / "own_parts"
  shutil.copytree(source, folder / "mylab")
  for file in (folder / "mylab").glob("*.py"):
    text = file.read_text().replace("examples.own_parts", "mylab")
    file.write_text(text)
  (folder / "config.py").write_text(CONFIG)
  model = models.create(
    "vit",
    num_classes=2,
    image_size=(16, 16),
    patch_size=(8, 8),
    width=16,
    depth=1,
    num_heads=2,
    mlp_dim=16,
  )
  rng = np.random.default_rng(0)
  shapes = checkpoints.loaded.model_shapes(model, 1)
  arrays = {k: 0.3 * rng.standard_normal(v) for k, v in shapes.items()}
  params, _ = checkpoints.loaded.nested(
    {k: v.astype(np.float32) for k, v in arrays.items()}
  )
  teacher = Loaded(model, params, {}, "vision_transformer", Report(()), PLAIN)
  checkpoints.save(teacher, "npz", folder / "teacher.npz")
  return folder


def run(lab, *args):
  """A command in the folder; the package is where it is for all tests."""
  # The folder comes last, as it does for the console script.
  variables = {"PYTHONPATH": f"{cli.ROOT}"}
  started = cli.popen(
    [*(sys.executable, "-m", "vit_jax"), *args],
    devices=2,
    folder=lab,
    variables=variables,
  )
  return cli.wait([started])[0]


@pytest.fixture(scope="module")
def trained(lab):
  done = run(lab, "train", *flags("teacher.npz"), "--workdir=runs/own")
  assert done.returncode == 0, done.stderr
  return lab / "runs" / "own", done


def test_every_kind_of_part_trains(trained):
  workdir, done = trained
  rows = cli.rows(workdir / "metrics.jsonl")
  assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
  # The objective's own metric, a mean of hits over 32 images.
  assert all((row["agreement"] * 32).is_integer() for row in rows)
  # Its schedule: nothing counts at step 0, half of the loss at step 1.
  assert rows[0]["loss"] == 0.0 < rows[1]["loss"] < rows[2]["loss"]
  assert f"agreement {rows[5]['agreement']:.4f}" in done.stderr
  # Lion's updates are signs times the learning rate.
  scores = cli.rows(workdir / "evals.jsonl")
  assert 0 <= scores[-1]["balanced_accuracy"] <= 1
  assert scores[-1]["examples"] == 64


def test_the_run_knows_the_code_and_the_weights_of_others(trained):
  workdir, _ = trained
  step = workdir / "checkpoints" / "6"
  content = manifest.read(step)
  meta = content["meta"]
  assert meta["config"]["model"]["name"] == "mylab.mixer"
  assert {"mylab/mixer.py", "mylab/distillation.py"} <= set(meta["parts"])
  assert set(meta["weights"]) == {"teacher"}
  # The teacher is loaded again, not saved.
  assert not [name for name in content["arrays"] if "weights" in name]


def test_a_resume_says_what_code_and_refuses_what_teacher_changed(
  trained, lab, tmp_path
):
  workdir, _ = trained
  again = tmp_path / "again"
  shutil.copytree(workdir, again)
  shutil.rmtree(again / "checkpoints" / "6")
  other = tmp_path / "lab"
  shutil.copytree(lab, other, ignore=shutil.ignore_patterns("runs"))
  with (other / "mylab" / "lion.py").open("a") as f:
    f.write("# changed\n")
  done = run(other, "train", *flags("teacher.npz"), f"--workdir={again}")
  assert done.returncode == 0, done.stderr
  assert "code of parts from outside changed since step 3" in done.stderr
  assert "mylab/lion.py" in done.stderr
  ours, theirs = (cli.rows(x / "metrics.jsonl") for x in (again, workdir))
  for a, b in zip(ours, theirs, strict=True):
    assert {**a, "time_s": 0} == {**b, "time_s": 0}
  shutil.rmtree(again / "checkpoints" / "6")
  teacher = checkpoints.load(lab / "teacher.npz")
  teacher.params["head"]["kernel"][0, 0] += 1
  checkpoints.save(teacher, "npz", other / "teacher2.npz")
  shutil.move(other / "teacher2.npz", other / "teacher.npz")
  done = run(other, "train", *flags("teacher.npz"), f"--workdir={again}")
  assert done.returncode == 1
  assert "the weights of task.teacher changed since step 3" in done.stderr


def test_a_checkpoint_imports_nothing_unless_allowed(trained, lab):
  done = run(lab, "evaluate", "--checkpoint=runs/own")
  assert done.returncode == 2
  assert "--allow_parts=mylab" in done.stderr
  assert "Traceback" not in done.stderr
  done = run(lab, "inspect", "--checkpoint=runs/own")
  assert done.returncode == 2
  for command in (
    ["evaluate"],
    ["inspect"],
    ["evaluate", *flags("teacher.npz")],
  ):
    allow = [] if len(command) > 1 else ["--allow_parts=mylab"]
    done = run(lab, *command, "--checkpoint=runs/own", *allow)
    assert done.returncode == 0, done.stderr


def test_a_format_of_ones_own_reads_and_writes(trained, lab):
  own = ["--allow_parts=mylab"]
  out = ["--to=mylab.layout", "--out=mixer.npz"]
  done = run(lab, "convert", "--checkpoint=runs/own", *out, *own)
  assert done.returncode == 0, done.stderr
  with np.load(lab / "mixer.npz") as file:
    assert "MixerBlock_1/token_mixing/Dense_0/kernel" in file.files
  done = run(lab, "inspect", "--checkpoint=mixer.npz", "--layout=mylab.layout")
  assert done.returncode == 0, done.stderr
  assert "mixer_npz" in done.stdout
  # And a run starts from it.
  done = run(
    lab,
    *("train", *flags("teacher.npz"), "--workdir=runs/started"),
    "--config.start.checkpoint=mixer.npz",
    "--config.start.layout=mylab.layout",
    "--config.duration=1 steps",
  )
  assert done.returncode == 0, done.stderr
  assert "starts from mixer.npz (mixer_npz;" in done.stderr


def test_data_workers_find_the_parts(lab):
  done = run(
    lab,
    *("train", *flags("teacher.npz"), "--workdir=runs/workers"),
    "--config.runtime.data_workers=1",
    "--config.duration=2 steps",
  )
  assert done.returncode == 0, done.stderr


def test_the_launcher_starts_processes_that_agree(lab):
  launcher = str(pathlib.Path("mylab") / "launch.sh")
  train = [sys.executable, "-m", "vit_jax", "train", *flags("teacher.npz")]
  port = cli.free_address().rpartition(":")[2]
  started = cli.popen(
    [launcher, "2", *train, "--config.duration=2 steps", "--workdir=runs/two"],
    devices=1,
    folder=lab,
    variables={"PYTHONPATH": str(cli.ROOT), "PORT": port},
  )
  done = cli.wait([started])[0]
  assert done.returncode == 0, done.stderr
  assert len(cli.rows(lab / "runs" / "two" / "metrics.jsonl")) == 2


@pytest.mark.parametrize(
  ("flag", "says"),
  [
    ("--config.model.name=mylab.mixr", "No module named 'mylab.mixr'"),
    ("--config.model.name=mylab.lion", "lion.py defines no Model"),
    ("--config.optim.name=mylab.stripes", "stripes.py defines no Config"),
    ("--config.task.name=mylab.lion", "lion.py defines a Config that does not"),
    ("--config.data.train.name=mylab.ops:1", "ops.py defines no open_source"),
    (
      "--config.data.train.preprocess=mylab.ops.revert()",
      "did you mean invert",
    ),
  ],
)
def test_errors_name_the_file_and_what_it_lacks(lab, flag, says):
  done = run(lab, "train", "--config=config.py", flag, "--workdir=runs/wrong")
  assert done.returncode == 2, done.stderr
  assert says in done.stderr
  assert not (lab / "runs" / "wrong").exists()
