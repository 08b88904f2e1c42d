"""One command fine-tunes on an own folder, and needs the checkpoint once."""

import json
import re
import shlex

import pytest

from tests.e2e import own_folder, run as cli
from vit_jax.cli import main
from vit_jax.models import vit


@pytest.fixture(scope="module")
def done(tmp_path_factory):
  """Folder, config, a workdir that a shell would split, what was printed."""
  home = tmp_path_factory.mktemp("own")
  folder = own_folder.photos(home / "my photos, all")
  checkpoint = own_folder.save(home / "weights", vit.Model(own_folder.VIT))
  config = own_folder.argument(folder, checkpoint, epochs=12, lr=0.01)
  workdir = home / "the run's $HOME; `c`"
  done = cli.run("train", f"--config={config}", f"--workdir={workdir}")
  assert done.returncode == 0, done.stderr
  return home, config, workdir, done


def commands(text):
  return [
    cli.pasted(line[line.index("python -m") :])[2:]
    for line in text.splitlines()
    if "python -m vit_jax" in line
  ]


def test_it_ends_with_accuracy_page_and_commands(done, capsys):
  home, _, workdir, process = done
  accuracy = re.search(r"val accuracy: ([\d.]+)% of 6 images", process.stdout)
  assert float(accuracy[1]) > 90
  page = (workdir / "confusion.html").read_text()
  assert "<h1>Mistakes of " in page
  assert f"{accuracy[1]}% of 6 images are right" in page
  assert f" {shlex.quote(f'{workdir}/confusion.html')}\n" in process.stdout
  assert f"--logdir={shlex.quote(str(workdir))}\n" in process.stdout
  given = {words[0]: words for words in commands(process.stdout)}
  assert set(given) == {"evaluate", "predict", "convert"}
  assert given["evaluate"][1:] == [f"--checkpoint={workdir}"]
  assert main.main(given["evaluate"]) == 0
  assert main.main(given["convert"]) == 0
  assert (home / f"{workdir.name}-timm/model.safetensors").exists()
  photo = next(home.glob("my photos*/red/*.png"))
  words = [str(photo) if w == "PHOTO.jpg" else w for w in given["predict"]]
  capsys.readouterr()
  assert main.main(words) == 0
  assert re.search(
    r"PNG\n *\d+\.\d+%  red|png\n *[\d.]+%  red", capsys.readouterr().out
  )


def test_what_was_inferred_is_in_the_config(done):
  home, _, workdir, process = done
  values = json.loads((workdir / "config.json").read_text())
  model, train = values["model"], values["data"]["train"]
  assert (model["name"], model["num_classes"]) == ("vit", 3)
  assert (model["width"], model["depth"], model["mlp_dim"]) == (16, 2, 32)
  # A new head on the pooled vector, without the tanh layer of pre-training.
  assert model["pre_logits_dim"] == 0
  assert train["name"] == f"holdout:0.200*folder:{home}/my photos, all"
  assert train["split"] == "train"
  assert train["preprocess"] == (
    "decode|inception_crop(16, area_min=64.0, method='bicubic', antialias=True)"
    "|flip_lr|normalise((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))"
  )
  scored = values["evals"]["val"]["data"]
  assert scored["preprocess"] == own_folder.PREPROCESS
  assert values["data"]["batch_size"] == 16
  assert "has no split val: 20.0% of each class's train images" in (
    process.stderr
  )


def test_a_resume_needs_no_checkpoint(done, capsys):
  home, config, workdir, _ = done
  (home / "weights").rename(home / "moved")
  try:
    assert (
      main.main(["train", f"--config={config}", f"--workdir={workdir}"]) == 0
    )
    assert "accuracy" in capsys.readouterr().out
    # What a run may change on a resume, it may change without it as well.
    more = "--config.runtime.log_every=3"
    arguments = ["train", f"--config={config}", f"--workdir={workdir}"]
    assert main.main([*arguments, more]) == 0
    capsys.readouterr()
    # Anything else is refused as ever.
    assert main.main([*arguments, "--config.optim.peak_lr=0.5"]) == 2
    assert "optim.peak_lr: 0.01 -> 0.5" in capsys.readouterr().err
  finally:
    (home / "moved").rename(home / "weights")


def test_another_argument_is_another_run(done, capsys):
  _, config, workdir, _ = done
  other = f"--config={config},freeze=backbone"
  assert main.main(["train", other, f"--workdir={workdir}"]) == 2
  line = capsys.readouterr().err.strip().splitlines()[-1]
  assert "optim.frozen: [] -> ['(?!head/).*']" in line


def test_the_page_of_any_run(done, tmp_path, capsys):
  home, config, workdir, _ = done
  out = tmp_path / "page.html"
  given = [f"--checkpoint={workdir}", f"--out={out}", "--mistakes=1"]
  assert main.main(["confusion", *given]) == 0
  assert "6 images are right" in out.read_text()
  # A file that is no page of ours is not replaced.
  out.write_text("mine")
  assert main.main(["confusion", *given]) == 2
  assert out.read_text() == "mine"
  # Without a config there is nothing to change in it.
  assert main.main(["confusion", *given, "--config.seed=1"]) == 2
  assert "unknown argument --config.seed=1" in capsys.readouterr().err
  assert main.main(["confusion", *given[:2], "--mistakes=-1"]) == 2
  assert "mistakes=-1 must be >= 0" in capsys.readouterr().err
  # Weights that somebody has published are no place for a page.
  weights = [f"--checkpoint={home / 'run'}.npz", f"--config={config}"]
  assert main.main(["confusion", *weights]) == 2
  assert "is no workdir" in capsys.readouterr().err


def test_the_page_of_other_images(done, tmp_path):
  """Those of two classes have each other's names."""
  home, _, workdir, _ = done
  swapped = own_folder.photos(tmp_path / "swapped", each=4)
  (swapped / "red").rename(swapped / "x")
  (swapped / "blue").rename(swapped / "red")
  (swapped / "x").rename(swapped / "blue")
  out = tmp_path / "page.html"
  given = [f"--checkpoint={workdir}", f"--out={out}", "--mistakes=1"]
  config = own_folder.argument(swapped, home / "weights")
  assert main.main(["confusion", *given, f"--config={config}"]) == 0
  page = out.read_text()
  assert "33.33% of 3 images are right" in page
  assert page.count("data:image/jpeg") == 1
  assert "The 1 of 2 wrong images" in page


def test_other_processes_take_what_the_first_one_found(done, tmp_path):
  """The second one is told another place, where there is no checkpoint."""
  _, config, _, _ = done
  address = cli.free_address()
  processes = [
    cli.start(
      "train",
      f"--config={config if i == 0 else config.replace('weights', 'absent')}",
      f"--workdir={tmp_path}",
      f"--coordinator_address={address}",
      "--num_processes=2",
      f"--process_id={i}",
      "--config.duration=4 steps",
      "--config.optim.schedule.warmup=0 steps",
      devices=1,
    )
    for i in range(2)
  ]
  ends = cli.wait(processes)
  # The weights themselves are read by each, from what process 0 has recorded.
  assert [p.returncode for p in ends] == [0, 0], ends[1].stderr
  assert "accuracy" in ends[0].stdout
  assert "accuracy" not in ends[1].stdout
  values = json.loads((tmp_path / "inferred.json").read_text())
  assert values["config"] == config
  assert (tmp_path / "confusion.html").exists()
