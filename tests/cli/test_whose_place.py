"""No command replaces what another one, or somebody else, has made."""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from tests.e2e import run as cli
from tests.export.test_predict import make
from vit_jax import checkpoints
from vit_jax.cli.main import main

CONFIG = f"--config={cli.TINY}:steps=12"


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
  """A run of twelve steps."""
  workdir = tmp_path_factory.mktemp("trained") / "run"
  assert main(["train", CONFIG, *data(data_dir), f"--workdir={workdir}"]) == 0
  return workdir


@pytest.fixture
def workdir(trained, tmp_path):
  return pathlib.Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
  path = tmp_path_factory.mktemp("weights") / "tiny.npz"
  checkpoints.save(make(), "npz", path)
  return path


def data(data_dir):
  return [f"--config.runtime.data_dir={data_dir}"]


def contents(folder):
  """Digests of all files, but the lock, which says nothing."""
  return {
    str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.rglob("*"))
    if path.is_file() and path.name != ".lock"
  }


def refused(capsys, folder, *argv, code=2):
  """Runs a command that must not change a folder; its line."""
  before = contents(folder)
  capsys.readouterr()
  assert main([str(a) for a in argv]) == code
  line = capsys.readouterr().err.splitlines()[-1]
  assert contents(folder) == before
  return line


@pytest.mark.parametrize("to", ["orbax", "hf", "timm"])
def test_convert_into_a_run(capsys, workdir, weights, to):
  argv = ("convert", f"--checkpoint={weights}", f"--to={to}")
  line = refused(capsys, workdir, *argv, f"--out={workdir}")
  assert f"out={workdir} is a run" in line


@pytest.mark.parametrize("to", ["orbax", "npz", "timm"])
def test_convert_a_run_onto_itself(capsys, workdir, to):
  argv = ("convert", f"--checkpoint={workdir}", f"--to={to}")
  refused(capsys, workdir, *argv, f"--out={workdir}")
  inside = workdir / "checkpoints" / "12" / "model"
  refused(capsys, workdir, *argv, f"--out={inside}")


def test_convert_under_a_running_training(capsys, tmp_path, weights):
  home = tmp_path / "run"
  home.mkdir()
  with open(home / ".lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    argv = ("convert", f"--checkpoint={weights}", "--to=orbax")
    line = refused(capsys, tmp_path, *argv, f"--out={home}")
  assert "is in use by another process" in line


def test_convert_again_replaces_what_was_converted(capsys, tmp_path, weights):
  out = tmp_path / "converted"
  argv = ["convert", f"--checkpoint={weights}", "--to=orbax", f"--out={out}"]
  assert main(argv) == 0
  assert checkpoints.load(out).model.config.num_classes == 6
  assert main([*argv, "--num_classes=3"]) == 0
  assert checkpoints.load(out).model.config.num_classes == 3
  # Also from itself, which loses nothing that it has.
  argv[1] = f"--checkpoint={out}"
  assert main([*argv, "--num_classes=4"]) == 0
  assert checkpoints.load(out).model.config.num_classes == 4
  assert sorted(os.listdir(out)) == [".lock", "checkpoints"]
  for to, name in (("timm", "folder"), ("npz", "file.npz")):
    argv = ["convert", f"--checkpoint={weights}", f"--to={to}"]
    assert main([*argv, f"--out={tmp_path / name}"]) == 0
    assert main([*argv, f"--out={tmp_path / name}"]) == 0


def test_convert_onto_foreign_files(capsys, tmp_path, weights):
  (tmp_path / "notes.txt").write_text("mine")
  (tmp_path / "published").mkdir()
  config = tmp_path / "published" / "config.json"
  config.write_text(json.dumps({"architectures": ["ViTModel"]}))
  shutil.copy(weights, tmp_path / "tiny.npz")
  for to, out in {
    "npz": "notes.txt",
    "hf": "published",
    "timm": "published/model.safetensors",
  }.items():
    argv = ("convert", f"--checkpoint={weights}", f"--to={to}")
    line = refused(capsys, tmp_path, *argv, f"--out={tmp_path / out}")
    assert "exists and is not" in line
  argv = ("convert", f"--checkpoint={tmp_path / 'tiny.npz'}", "--to=npz")
  line = refused(capsys, tmp_path, *argv, f"--out={tmp_path / 'tiny.npz'}")
  assert "is the checkpoint itself" in line


@pytest.fixture
def photo(tmp_path):
  (tmp_path / "photos").mkdir()
  rng = np.random.default_rng(0)
  image = rng.integers(0, 255, (20, 20, 3), np.uint8)
  cv2.imwrite(str(tmp_path / "photos/a.png"), image)
  return tmp_path / "photos/a.png"


def test_analyze(capsys, workdir, weights, photo, tmp_path):
  argv = ("analyze", f"--checkpoint={weights}", f"--images={photo}")
  line = refused(capsys, workdir, *argv, f"--out={workdir}")
  assert "is a run" in line
  other = tmp_path / "site"
  other.mkdir()
  (other / "index.html").write_text("<html>my own page</html>")
  line = refused(capsys, other, *argv, f"--out={other}")
  assert "is not a page of analyze" in line
  # Inside a run there is room, and a second time it replaces its own.
  for _ in range(2):
    assert main([*map(str, argv), f"--out={workdir / 'analysis'}"]) == 0


def test_report(capsys, workdir, tmp_path):
  mine = tmp_path / "mine.html"
  mine.write_text("<html>my own page</html>")
  line = refused(
    capsys, tmp_path, "report", workdir, f"--out={workdir / 'metrics.jsonl'}"
  )
  assert "metrics.jsonl exists and is not a report" in line
  refused(capsys, tmp_path, "report", workdir, f"--out={mine}")
  link = tmp_path / "link.html"
  link.symlink_to("real.html")
  for _ in range(2):
    assert main(["report", str(workdir), f"--out={link}"]) == 0
    assert main(["report", str(workdir)]) == 0
  assert link.is_symlink()
  assert "<!doctype html>" in (tmp_path / "real.html").read_text()
  capsys.readouterr()


def test_a_page_on_standard_output(workdir):
  done = cli.run("report", str(workdir), "--out=/dev/stdout", devices=1)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("<!doctype html>")
  assert done.stdout.rstrip().endswith("</html>")


def test_reproduce(capsys, workdir, tmp_path):
  line = refused(capsys, workdir, "reproduce", "--table=4", f"--out={workdir}")
  assert "is a run" in line
  theirs = tmp_path / "out" / "paper" / "table4.json"
  theirs.parent.mkdir(parents=True)
  theirs.write_text('{"my": "numbers"}')
  out = f"--out={tmp_path / 'out'}"
  line = refused(capsys, tmp_path, "reproduce", "--table=4", out)
  assert "table4.json exists and is not a result" in line
  theirs = tmp_path / "out" / "table8" / "result.json"
  theirs.parent.mkdir()
  theirs.write_text('{"my": "numbers"}')
  mini = ("reproduce", "--table=8", "--scale=mini", f"--runs={tmp_path / 'r'}")
  line = refused(capsys, tmp_path, *mini, out)
  assert "exists and is not a result" in line
  (tmp_path / "README.md").write_text("# My project\n")
  line = refused(
    capsys, tmp_path, "reproduce", f"--page={tmp_path / 'README.md'}"
  )
  assert "README.md exists and is not the page of results" in line


def test_sweep(capsys, workdir):
  sweep = f"--config={cli.ROOT}/configs/sweeps/fashion_mnist_to_digits.py"
  if not pathlib.Path(sweep.partition("=")[2]).exists():
    names = sorted((cli.ROOT / "configs/sweeps").glob("*.py"))
    sweep = f"--config={names[0]}"
  line = refused(capsys, workdir, "sweep", "run", sweep, f"--workdir={workdir}")
  assert "is a run" in line


def test_data_in_a_run(capsys, workdir):
  argv = ("data", "prepare", "tfds:digits", f"--data_dir={workdir}")
  assert "is a run" in refused(capsys, workdir, *argv)


@pytest.mark.parametrize(
  "name", ["digits/1.0.0", "digits/1.0.0.incomplete", "digits/1.0.0.plan"]
)
def test_data_prepare(capsys, tmp_path, name):
  folder = tmp_path / "data" / name
  folder.mkdir(parents=True)
  (folder / "thesis.tex").write_text("years of work")
  argv = ("data", "prepare", "tfds:digits", f"--data_dir={tmp_path / 'data'}")
  if name.endswith("0"):
    line = refused(capsys, tmp_path, *argv)
    assert "such as thesis.tex" in line
    return
  # What TFDS builds by itself goes elsewhere; what is written here does not.
  photos = tmp_path / "photos" / "ant"
  photos.mkdir(parents=True)
  cv2.imwrite(str(photos / "0.png"), np.zeros((8, 8, 3), np.uint8))
  own = folder.parents[1] / "own"
  folder.parent.rename(own)
  argv = ("data", "prepare", f"folder:{photos.parent}", "--out=own")
  line = refused(capsys, own, *argv, f"--data_dir={own.parent}")
  assert "such as thesis.tex" in line


def train(data_dir, workdir, *more):
  return ["train", CONFIG, *data(data_dir), f"--workdir={workdir}", *more]


FOREIGN = {
  "metrics": ({"metrics.jsonl": '{"step": 1, "theirs": 2}\n'}, "without the"),
  "evals": ({"evals.jsonl": "{}\n"}, "without the"),
  "checkpoints": ({"checkpoints/best.pt": "x"}, "without the"),
  "config": ({"config.json": '{"architectures": []}'}, "is not the config of"),
  "damaged": ({"config.json": "{", "metrics.jsonl": "{}\n"}, "cannot be read"),
  "list": ({"config.json": "[]"}, "is not the config of"),
  "data set": ({"dataset_info.json": "{}"}, "is a data set"),
  "sweep": ({"runs/a/.sweep": "", "runs/a/end.json": "{}"}, "is a sweep"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_train_into_a_folder_of_somebody_else(capsys, data_dir, tmp_path, name):
  files, message = FOREIGN[name]
  for file, text in files.items():
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
  line = refused(capsys, tmp_path, *train(data_dir, tmp_path))
  assert line.startswith("ConfigError: ")
  assert message in line


def test_train_among_files_that_are_in_nobodys_way(capsys, data_dir, tmp_path):
  for name in ("log.txt", "README.md", ".DS_Store", "notes/plan.txt"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
  (tmp_path / "checkpoints").mkdir()
  assert main(train(data_dir, tmp_path)) == 0
  assert (tmp_path / "notes/plan.txt").read_text() == "mine"


def flip_all(workdir):
  for path in workdir.glob("checkpoints/*/manifest.json"):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def unmount(workdir):
  shutil.rmtree(workdir / "checkpoints")
  (workdir / "checkpoints").mkdir()


def no_folder(workdir):
  shutil.rmtree(workdir / "checkpoints")


@pytest.mark.parametrize("harm", [flip_all, unmount, no_folder])
def test_no_good_checkpoint_is_left(capsys, data_dir, workdir, harm):
  rows = (workdir / "metrics.jsonl").read_bytes()
  harm(workdir)
  for _ in range(2):
    capsys.readouterr()
    assert main(train(data_dir, workdir)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "has no good checkpoint left: metrics.jsonl has 12 rows" in line
    assert "--start_over" in line
    assert (workdir / "metrics.jsonl").read_bytes() == rows
  assert main(train(data_dir, workdir, "--start_over")) == 0
  before = workdir / "before-1"
  assert (before / "metrics.jsonl").read_bytes() == rows
  assert cli.rows(workdir / "metrics.jsonl") == cli.rows(
    before / "metrics.jsonl"
  )
  assert f"is now in {before}" in capsys.readouterr().err
  # Without the flag it goes on, and a second time nothing is overwritten.
  assert main(train(data_dir, workdir)) == 0
  assert main(train(data_dir, workdir, "--start_over")) == 0
  assert (workdir / "before-2/checkpoints/12/manifest.json").exists()


def test_start_over_on_nothing_is_a_start(capsys, data_dir, tmp_path):
  assert main(train(data_dir, tmp_path / "new", "--start_over")) == 0
  assert not list((tmp_path / "new").glob("before-*"))


@pytest.mark.parametrize(
  "argv",
  [
    ["train", CONFIG, "--workdir="],
    ["convert", "--checkpoint=x", "--to=npz", "--out="],
    ["convert", "--checkpoint=", "--to=npz", "--out=x"],
    ["analyze", "--checkpoint=x", "--images=x", "--out="],
    ["report", "x", "--out="],
    ["sweep", "run", "--config=x", "--workdir="],
    ["reproduce", "--table=4", "--out="],
    ["reproduce", "--page="],
    ["data", "describe", "tfds:digits", "--sheet="],
  ],
)
def test_an_empty_variable_is_no_place(capsys, tmp_path, monkeypatch, argv):
  monkeypatch.chdir(tmp_path)
  assert main(argv) == 2
  err = capsys.readouterr().err
  assert "it is empty (a variable that is not set?)" in err
  assert len(err.splitlines()) == 1
  assert not list(tmp_path.iterdir())
