"""Wrong configs: one line, exit 2, before a device is touched."""
# The table reads best with one case a line.
# ruff: noqa: E501

import json
import os
import subprocess
import sys

import pytest

from tests.e2e import run as cli

# (what is wrong, overrides or arguments, what the line must say)
# fmt: off
CASES = [
  ("unknown key", ["--config.optim.peek_lr=1"], "unknown field optim.peek_lr; did you mean optim.peak_lr? (fields: "),
  ("unknown group", ["--config.optimizer.b1=1"], "unknown field optimizer; did you mean optim?"),
  ("key below a leaf", ["--config.seed.x=1"], "unknown field seed.x"),
  ("a group is no leaf", ["--config.optim=adam"], "optim is a group of fields; set one of them"),
  ("no value", ["--config.seed"], "--config.seed needs a value"),
  ("unknown flag", ["--confg.seed=1"], "unknown argument --confg.seed=1"),
  ("stray argument", ["seed=1"], "unknown argument seed=1"),
  ("not a number", ["--config.optim.b1=high"], "optim.b1"),
  ("not an integer", ["--config.model.width=1.5"], "model.width"),
  ("not a tuple", ["--config.model.image_size=8"], "model.image_size"),
  ("tuple too long", ["--config.model.image_size=(8,8,8)"], "model.image_size=(8, 8, 8) has 3 entries, not 2"),
  ("heads", ["--config.model.width=18", "--config.model.num_heads=4"], "model.width=18 must be a multiple of model.num_heads=4 (18 % 4 = 2); nearest: 16 or 20"),
  ("patches", ["--config.model.patch_size=(3,3)"], "model.image_size=(8, 8) must be a multiple of model.patch_size=(3, 3)"),
  ("depth", ["--config.model.depth=0"], "model.depth=0 must be at least 1"),
  ("dropout", ["--config.model.dropout=1.0"], "model.dropout=1.0 must be at least 0 and less than 1"),
  ("pool", ["--config.model.pool=max"], "model.pool=max is not one of: token, gap, patches, map"),
  ("posemb", ["--config.model.posemb=sincos2d"], "did you mean sincos_2d?"),
  ("posemb place", ["--config.model.posemb=relative"], "use every_layer"),
  ("dtype", ["--config.model.dtype=float16"], "model.dtype=float16 is not one of: float32, bfloat16"),
  ("unknown component", ["--config.model.name=vti"], "unknown model.name=vti; did you mean vit?"),
  ("unknown task", ["--config.task.name=supervized"], "unknown task.name=supervized; did you mean supervised?"),
  ("unknown optimiser", ["--config.optim.name=adam"], "unknown optim.name=adam; did you mean adamw?"),
  ("image size", ["--config.model.image_size=(16,16)"], "gives images of (8, 8)"),
  ("classes", ["--config.model.num_classes=11"], "has 10 classes; set it to 10"),
  ("learning rate", ["--config.optim.peak_lr=-1.0"], "optim.peak_lr=-1.0 must be positive"),
  ("b2", ["--config.optim.b2=1.0"], "optim.b2=1.0"),
  ("decay pattern", ["--config.optim.weight_decay_mask=('kernel[',)"], "is not a regex"),
  ("schedule option", ["--config.optim.schedule.timescale=5 steps"], "optim.schedule.timescale=5 steps has no effect"),
  ("end value", ["--config.optim.schedule.end_value=2.0"], "optim.schedule.end_value=2.0"),
  ("average option", ["--config.optim.average.kind=none"], "optim.average.decay=0.9 has no effect"),
  ("label smoothing", ["--config.task.label_smoothing=1.5"], "task.label_smoothing=1.5"),
  ("mixup", ["--config.task.mixup=-1.0"], "task.mixup=-1.0 must be at least 0"),
  ("loss", ["--config.task.loss=hinge"], "task.loss=hinge is not one of: softmax, sigmoid"),
  ("duration", ["--config.duration=10 epoches"], "did you mean epochs?"),
  ("duration in percent", ["--config.duration=10 %"], "duration=10 % is the whole run"),
  ("duration of nothing", ["--config.duration=0 steps"], "give at least one step"),
  ("saves without distance", ["--config.runtime.save_every=0 steps"], "runtime.save_every=0 steps is no distance; use at least '1 step', or '100 %' for the end alone"),
  ("evaluations without distance", ["--config.evals.test.every=0 epochs"], "evals.test.every=0 epochs is no distance; use at least '1 step', or '100 %' for the end alone"),
  ("lines without distance", ["--config.runtime.log_every=0"], "runtime.log_every=0 must be at least 1"),
  ("seed", ["--config.seed=-1"], "seed=-1 must be in [0, 2^32)"),
  ("batch size", ["--config.data.batch_size=0"], "data.batch_size=0 must be at least 1"),
  ("microbatches", ["--config.runtime.microbatches=5"], "data.batch_size=32 is not divisible by runtime.microbatches=5; nearest: 30 or 35"),
  ("mesh axis", ["--config.runtime.mesh=model=2"], "runtime.mesh=model=2: a mesh is axis=devices"),
  ("remat", ["--config.runtime.remat=some"], "runtime.remat=some is not one of: none, dots, full"),
  ("half a process", ["--num_processes=2", "--process_id=0"], "--coordinator_address is missing: give --coordinator_address, --num_processes and --process_id together"),
  ("process beyond the last", ["--coordinator_address=a:1", "--num_processes=2", "--process_id=2"], "--process_id=2 must be >= 0 and below --num_processes=2"),
  ("no port", ["--coordinator_address=a", "--num_processes=2", "--process_id=0"], "--coordinator_address=a must be HOST:PORT"),
  ("processes in words", ["--num_processes=two"], "--num_processes=two must be a number"),
  ("keep", ["--config.runtime.keep=0"], "runtime.keep=0 must be at least 1"),
  ("unknown op", ["--config.data.train.preprocess=decode(1)|flip"], "unknown op flip; did you mean flip_lr?"),
  ("op argument", ["--config.data.train.preprocess=decode(1)|random_shift(pixel=1)"], "data.train.preprocess"),
  ("op order", ["--config.data.train.preprocess=value_range(-1, 1)|decode(1)"], "decode runs on the host"),
  ("op syntax", ["--config.data.train.preprocess=decode(1)||"], "cannot be read"),
  ("data set", ["--config.data.train.name=tfds:digit"], "is not prepared"),
  ("scheme", ["--config.data.train.name=tdfs:digits"], "unknown scheme tdfs; did you mean tfds?"),
  ("split", ["--config.evals.test.data.split=tset"], "evals.test.data.split=tset is not a split of tfds:digits; did you mean test?"),
  ("evaluator's batch", ["--config.evals.test.batch_size=0"], "evals.test.batch_size=0"),
  ("evaluator's channels", ["--config.evals.test.data.preprocess=decode|value_range(-1, 1)"], "gives images of 3 channel(s), data.train.preprocess=decode(channels=1)|random_shift"),
  ("unknown evaluator", ["--config.evals.tset.batch_size=1"], "unknown field evals.tset; did you mean evals.test?"),
]
# fmt: on


@pytest.fixture(scope="module")
def results(data_dir, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("never") / "workdir"
  base = [
    "train",
    f"--config={cli.TINY}",
    f"--workdir={workdir}",
    f"--config.runtime.data_dir={data_dir}",
  ]
  argvs = [[*base, *case[1]] for case in CASES]
  # There is no such platform: whoever touches a device fails otherwise.
  done = subprocess.run(
    [sys.executable, "-m", "tests.cli.run_cases"],
    input=json.dumps(argvs),
    cwd=cli.ROOT,
    env={**os.environ, "JAX_PLATFORMS": "nowhere"},
    capture_output=True,
    text=True,
    check=True,
  )
  assert not workdir.exists()
  names = [case[0] for case in CASES]
  return dict(zip(names, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(
  ("name", "expected"), [(name, text) for name, _, text in CASES]
)
def test_one_line_and_exit_2(results, name, expected):
  code, err = results[name]
  assert code == 2, err
  assert expected in err
  assert err.startswith("ConfigError: ")
  assert err.count("\n") == 1


def test_without_a_config(tmp_path):
  """Config files that cannot be used, and a typo of a command."""
  bad = tmp_path / "bad.py"
  bad.write_text("def get_config(arg=''): return {}\n")
  broken = tmp_path / "broken.py"
  broken.write_text("def get_config(:\n")
  empty = tmp_path / "empty.py"
  empty.write_text("")
  work = f"--workdir={tmp_path}"
  argvs = [
    ["trian"],
    ["train", work],
    ["train", f"--config={tmp_path}/bda.py", work],
    ["train", f"--config={bad}", work],
    ["train", f"--config={broken}", work],
    ["train", f"--config={empty}", work],
    ["train", f"--config={cli.TINY}:step=3", work],
    ["train", f"--config={cli.TINY}:steps=three", work],
    ["evaluate", f"--checkpoint={tmp_path}", "--config.seed=1"],
  ]
  expected = [
    "invalid choice: 'trian'",
    "required: --config",
    "is no file; did you mean",
    "not a ConfigDict",
    "line 1",
    "defines no get_config",
    "unknown config argument step=3; did you mean steps?",
    "'three' is not a int",
    "unknown argument --config.seed=1",
  ]
  done = subprocess.run(
    [sys.executable, "-m", "tests.cli.run_cases"],
    input=json.dumps(argvs),
    cwd=cli.ROOT,
    env={**os.environ, "JAX_PLATFORMS": "nowhere"},
    capture_output=True,
    text=True,
    check=True,
  )
  for (code, err), text in zip(json.loads(done.stdout), expected, strict=True):
    assert (code, err.count("\n")) == (2, 1), err
    assert text in err
