"""What is to be run on real hardware: valid commands, costs, what is kept."""

import importlib.util
import shlex

import pytest

from tests.reproduce import golden
from vit_jax.cli import flags, main
from vit_jax.core import config as config_lib, errors, files
from vit_jax.reproduce import computed, costs, document, launch, paper_scale
from vit_jax.sweeps import sweep
from vit_jax.train.experiment import Experiment

HOME = launch.ROOT


@pytest.fixture(autouse=True)
def no_tracing(monkeypatch):
  monkeypatch.setattr(costs, "parameters", lambda *_: 0)
  monkeypatch.setattr(
    costs, "macs", lambda label: golden.row(label)["flops"] / 2
  )


def commands(tmp_path):
  lines = {
    line
    for what in paper_scale.NAMES
    for page in paper_scale.show(what, tmp_path, "none")
    for line in page.commands
  }
  for line in sorted(lines):
    _, found, command = line.partition("python ")
    if found:
      yield shlex.split(f"python {command}")


def test_every_command_is_accepted(tmp_path, monkeypatch):
  """Its config is built as `train` or `sweep` would."""
  monkeypatch.chdir(launch.ROOT)
  spec = importlib.util.spec_from_file_location("vm", "launch/tpu_vm.py")
  assert spec and launch.ROOT.joinpath("launch/tpu_vm.py").exists()
  seen = []
  for words in commands(tmp_path):
    if words[1] == "launch/tpu_vm.py":
      head, tail = words[2:], words[words.index("--") + 1 :]
      name = next(w for w in head if w.startswith("--name="))[7:]
      assert len(name) < 40 and name.replace("-", "").isalnum(), name
      args, rest = main.parser().parse_known_args(["train", *tail])
    else:
      args, rest = main.parser().parse_known_args(words[3:])
    args.overrides = rest
    seen.append(args.command)
    if args.command == "sweep":
      path, _, arg = args.config.partition(":")
      assert sweep.load(path, arg).runs
    elif args.command == "train":
      config_lib.build(Experiment, flags.load(args))
    else:
      assert args.command == "analyze" and not rest
  assert len(seen) > 60 and set(seen) == {"train", "sweep", "analyze"}


def test_what_is_private_says_so(tmp_path):
  for page in paper_scale.show("table=6", tmp_path, "none"):
    assert "Not reproducible: JFT-300M is private" in "".join(page.notes)
    assert all(line.startswith("#") for line in page.commands)
  (page,) = paper_scale.show("table=5", tmp_path, "none")
  public = [line for line in page.commands if not line.startswith("#")]
  # Eight pre-trainings, and what is fine-tuned from each.
  assert len(public) == 16
  assert "no settings of H/14 on ImageNet-21k" in "".join(page.notes)


def test_an_installed_package_needs_a_checkout(tmp_path, monkeypatch):
  """Where there are no configs, neither beside the package nor here."""
  monkeypatch.setattr(launch, "ROOT", tmp_path)
  monkeypatch.chdir(tmp_path)
  for what in ("table=3", "table=4"):
    with pytest.raises(errors.ConfigError, match="a checkout of the repos"):
      paper_scale.show(what, tmp_path, "none")
  with pytest.raises(errors.ConfigError, match=r"vit_i1k\.py is not part of"):
    launch.core_days("configs/vit_i1k.py:variant=B/16", "v3:4x4", 0)
  with pytest.raises(errors.ConfigError, match="there are no results"):
    document.write(tmp_path / "page.md", tmp_path / "nowhere")
  # The current folder is enough.
  (tmp_path / "configs").symlink_to(HOME / "configs")
  (page,) = paper_scale.show("table=3", tmp_path, "none")
  assert any(cell.ours for _, cell in page.places())


def test_core_days_are_above_the_peak_rate():
  run = launch.Pretraining("ViT-B/32", "ImageNet", "300")
  days = launch.core_days(run.config, run.slice, 0)
  images = 300 * 1_268_355
  least = 3 * golden.row("ViT-B/32")["flops"] * images / 61.5e12 / 86_400
  assert least < days < 1.3 * least


def test_ablation_arguments():
  with pytest.raises(errors.ConfigError, match="share=0 must be"):
    config_lib.load(
      str(launch.ROOT / "vit_jax/reproduce/fewshot.py"), "share=0"
    )


def test_every_run_of_the_paper_fits_on_its_slice():
  """Core-days are those of a mesh that fits, else they are an error."""
  out = launch.ROOT / "results/reproduction"
  pages = (
    page
    for what in paper_scale.NAMES
    for page in paper_scale.show(what, out, "")
  )
  runs = {run for page in pages for run in page.runs if run.config}
  assert len(runs) > 20
  rows = files.read_rows(out / paper_scale.COMPUTED)
  assert all(computed.core_days(rows, run) for run in runs)
