"""analyze, from the command line to the files it writes."""

import cv2
import numpy as np
import pytest

from tests.export import test_predict
from tests.models import small_models
from vit_jax import checkpoints, models
from vit_jax.checkpoints import Loaded, Report
from vit_jax.cli.main import main


def make(name, preprocess, **fields):
  """A checkpoint of a small model."""
  model = models.create(name, **fields)
  x = small_models.images(model.config.image_size)
  params = small_models.noisy_variables(model, x)["params"]
  return Loaded(model, params, {}, "npz", Report(()), preprocess)


def make_vit():
  return make(
    "vit",
    "decode|resize(8)|value_range(-1, 1)",
    num_classes=6,
    image_size=(8, 8),
    patch_size=(4, 4),
    width=16,
    depth=1,
    num_heads=2,
    mlp_dim=32,
  )


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
  """A file in google-research's layout."""
  path = tmp_path_factory.mktemp("weights") / "tiny.npz"
  checkpoints.save(make_vit(), "npz", path)
  return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
  """Two pictures, and one that is none."""
  place = tmp_path_factory.mktemp("photos")
  rng = np.random.default_rng(0)
  for name in ("a.png", "c.png"):
    pixels = rng.integers(0, 256, (9, 12, 3), np.uint8)
    cv2.imwrite(str(place / name), pixels)
  (place / "b.png").write_text("no picture")
  return place


def run(capsys, *argv):
  code = main(["analyze", *map(str, argv)])
  return code, *capsys.readouterr()


def test_page_and_pictures(capsys, weights, photos, tmp_path):
  out = tmp_path / "new" / "folder"
  code, said, err = run(
    capsys,
    f"--checkpoint={weights}",
    f"--images={photos}",
    f"--out={out}",
    "--overlays=1",
  )
  # A file could not be read; the page is of the others.
  assert code == 1
  assert "b.png" in err
  assert "1 of 3 files are not readable images" in err
  assert str(out / "index.html") in said
  assert sorted(p.name for p in out.iterdir()) == [
    "attention_distance.csv",
    "attention_distance.png",
    "filters.png",
    "index.html",
    "position_similarity.png",
    "rollout_001.png",
  ]
  page = (out / "index.html").read_text()
  assert "first 1 of 2 images" in page
  assert "vision_transformer" in page
  assert "2 x 2 of 4 x 4 px, in images of 8 x 8 px" in page
  assert (out / "attention_distance.csv").read_text().count("\n") == 3
  # 8 px enlarged 28 times, three beside each other.
  assert cv2.imread(str(out / "rollout_001.png")).shape == (224, 688, 3)


def test_a_run_of_another_size(capsys, photos, tmp_path):
  checkpoints.save(make_vit(), "orbax", tmp_path / "run")
  code, _, err = run(
    capsys,
    f"--checkpoint={tmp_path / 'run'}",
    "--resolution=8x12",
    f"--images={photos / 'a.png'}",
    f"--out={tmp_path / 'out'}",
  )
  assert code == 0, err
  page = (tmp_path / "out" / "index.html").read_text()
  assert "2 x 3 of 4 x 4 px, in images of 8 x 12 px" in page
  # What was taken for granted is told.
  assert "as the run does not say" in page


@pytest.mark.parametrize("to", ["timm", "hf"])
def test_other_formats(capsys, photos, tmp_path, to):
  checkpoints.save(make_vit(), to, tmp_path / "weights")
  code, _, err = run(
    capsys,
    f"--checkpoint={tmp_path / 'weights'}",
    f"--images={photos / 'a.png'}",
    f"--out={tmp_path / 'out'}",
  )
  assert code == 0, err
  assert f"<td>{to}</td>" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
  ("change", "code", "line"),
  [
    ("--overlays=0", 2, "ConfigError: overlays=0 must be >= 1"),
    ("--images=missing", 1, "DataError: missing does not exist"),
    ("--what=1", 2, "ConfigError: unknown argument --what=1"),
    ("--checkpoint=missing.npz", 1, "CheckpointError: missing.npz does not"),
  ],
)
def test_usage(capsys, weights, photos, tmp_path, change, code, line):
  out = tmp_path / "out"
  argv = (f"--checkpoint={weights}", f"--images={photos}", f"--out={out}")
  found, _, err = run(capsys, *argv, change)
  assert found == code
  assert err.splitlines()[-1].startswith(line)
  assert not out.exists()


def test_no_image_can_be_read(capsys, weights, photos, tmp_path):
  code, _, err = run(
    capsys,
    f"--checkpoint={weights}",
    f"--images={photos / 'b.png'}",
    f"--out={tmp_path / 'out'}",
  )
  assert code == 1
  assert err.splitlines()[-1].startswith("DataError: none of 1 files")
  assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(capsys, weights, photos, tmp_path):
  (tmp_path / "file").write_text("")
  code, _, err = run(
    capsys,
    f"--checkpoint={weights}",
    f"--images={photos / 'a.png'}",
    f"--out={tmp_path / 'file' / 'out'}",
  )
  assert code == 1
  assert err.splitlines()[-1].startswith("StorageError: out=")


def test_a_model_without_one_attention_is_refused(capsys, photos, tmp_path):
  loaded = make(
    "bit", "decode|resize(32)", image_size=(32, 32), depths=(1,), num_classes=3
  )
  checkpoints.save(loaded, "orbax", tmp_path / "run")
  code, _, err = run(
    capsys,
    f"--checkpoint={tmp_path / 'run'}",
    f"--images={photos}",
    f"--out={tmp_path / 'out'}",
  )
  assert code == 2
  (line,) = err.splitlines()
  assert "holds a bit, and analyze takes a vit or a hybrid" in line


def test_a_model_of_four_channels_is_refused(capsys, photos, tmp_path):
  saved = tmp_path / "four.npz"
  checkpoints.save(test_predict.make(channels=4), "npz", saved)
  code, _, err = run(
    capsys,
    f"--checkpoint={saved}",
    f"--images={photos}",
    f"--out={tmp_path / 'out'}",
  )
  assert code == 1
  assert "takes images of 4 channel(s)" in err
