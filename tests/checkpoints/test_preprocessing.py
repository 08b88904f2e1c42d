"""The preprocessing that a checkpoint names."""

import base64
import json
import math
import pathlib
import sys
import zlib

import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import pictures, rule
from vit_jax import checkpoints
from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import Source
from vit_jax.checkpoints.layouts import hf_vit, timm_vit
from vit_jax.core import errors, parts
from vit_jax.models import vit
from vit_jax.preprocess.pipeline import Pipeline

# What timm's and transformers' own code made of pictures, recorded by
# tests/parity/make_peer_pixels.py.
PEERS = json.loads((rule.FIXTURES / "peer_pixels.json").read_text())["cases"]
LAYOUTS = {
  "timm": (timm_vit.TimmVit(), "config.json"),
  "hf": (hf_vit.HuggingFaceViT(), "preprocessor_config.json"),
}


def read(family, config, size, channels=3):
  """The pipeline for settings of a family, and what was assumed."""
  layout, file = LAYOUTS[family]
  content = {"pretrained_cfg": config} if family == "timm" else config
  source = Source(pathlib.Path("weights"), {}, {file: content})
  return layout.preprocess(source, tuple(size), channels)


def prepare(text, image):
  """The levels after the host's ops, and the values that the model sees."""
  p = Pipeline.parse(text)
  rng = np.random.default_rng(0)
  image = p.host({"image": image, "id": 0}, rng)["image"]
  return image, np.asarray(p.device({"image": image[None]})["image"][0])


@pytest.mark.parametrize("name", PEERS)
def test_pixels_are_those_of_the_peer(name):
  case = PEERS[name]
  text, assumptions = read(
    case["family"], case["config"], case["size"], case["channels"]
  )
  assert not assumptions
  for peer in case["images"]:
    image = pictures.picture(*peer["shape"], case["channels"])
    levels, seen = prepare(text, image)
    assert levels.shape == (*case["size"], case["channels"])
    sample = levels[::2, ::3]
    theirs = zlib.decompress(base64.b64decode(peer["sample"]))
    theirs = np.frombuffer(theirs, np.uint8).reshape(sample.shape)
    off = np.abs(sample.astype(int) - theirs)
    assert off.max() <= 1, peer["shape"]
    assert (off > 0).mean() < 0.01
    np.testing.assert_allclose(seen[0, 0], peer["corner"], atol=0.02)


def test_reading_a_checkpoint_imports_nothing_from_outside(
  tmp_path, monkeypatch
):
  """Not even where the module could be imported: anybody may have made it."""
  from tests.export.test_predict import make

  (tmp_path / "outside_ops.py").write_text(
    "def blur(image, rng):\n  return image\n"
  )
  monkeypatch.syspath_prepend(str(tmp_path))
  text = "decode|outside_ops.blur|resize(8)|value_range(-1, 1)"
  refused = pytest.raises(errors.ConfigError, match=r"--allow_parts=outside_op")
  with parts.only(()), refused:
    preprocessing.checked(text)
  assert "outside_ops" not in sys.modules
  # Own words beside published weights, as `convert` writes them.
  checkpoints.save(make(), "timm", tmp_path / "weights")
  config = tmp_path / "weights" / "config.json"
  own = '"preprocess": "'
  assert own in config.read_text()
  config.write_text(config.read_text().replace(own, f"{own}outside_ops.blur|"))
  with pytest.raises(errors.UserError, match=r"outside_ops\.blur"):
    checkpoints.load(tmp_path / "weights")
  assert "outside_ops" not in sys.modules


def test_the_usual_form():
  text = "decode | resize( 8 )|value_range(-1,1)"
  assert (
    preprocessing.checked(text) == "decode|resize(8)|value_range(-1.0, 1.0)"
  )


def words(family, text, size, channels=3):
  """The settings that an export writes for a pipeline, and its notes."""
  layout, file = LAYOUTS[family]
  config = small_config(size)
  content = layout.side_files(config, text, (), channels)[file]
  notes = layout.pixel_notes(config, text, channels)
  return content["pretrained_cfg"] if family == "timm" else content, notes


def small_config(size):
  return vit.Config(
    image_size=tuple(size), patch_size=(1, 1), width=8, depth=1, num_heads=2
  )


@pytest.mark.parametrize("name", PEERS)
def test_what_is_read_is_written_again(name):
  """Words that were read off a peer's file say the same pixels there."""
  case = PEERS[name]
  args = case["size"], case["channels"]
  text = read(case["family"], case["config"], *args)[0]
  written, notes = words(case["family"], text, *args)
  assert not notes
  assert read(case["family"], written, *args) == (text, [])
  if case["family"] == "timm":
    assert written["input_size"] == case["config"]["input_size"]


def test_crop_pct_loses_no_pixel():
  """450 px for a crop of 384 came back as 449."""
  for side in (32, 224, 256, 384, 518):
    for before in range(side, 2 * side):
      text = (
        f"decode|resize_keep_ratio({before}, method='pillow_bicubic')"
        f"|central_crop({side}, rounding='nearest')|value_range(-1, 1)"
      )
      written, notes = words("timm", text, (side, side))
      assert not notes
      assert math.floor(side / written["crop_pct"]) == before


def test_a_number_of_timm_stays_the_same_at_another_resolution():
  for pct in (0.875, 0.9, 0.95, 0.96, 1.0):
    text = read("timm", {"crop_pct": pct}, (224, 224))[0]
    assert words("timm", text, (224, 224))[0]["crop_pct"] == pct


def test_ordinary_photographs_with_a_model_that_is_not_square():
  text = read("timm", {"crop_pct": 0.9}, (128, 256))[0]
  for shape in ((375, 500), (500, 375), (64, 64), (300, 2000)):
    levels, _ = prepare(text, pictures.picture(*shape))
    assert levels.shape == (128, 256, 3)


# A pipeline, the format, and a part of what the export says about it.
UNSAID = {
  ("resize(32)", "timm"): "bilinear without antialiasing here",
  ("resize(32)", "hf"): "bilinear without antialiasing here",
  ("resize(32, 'bicubic', True)", "hf"): "up to one level of 255",
  ("resize_small(40, 'area')|central_crop(32)", "timm"): (
    "area without antialiasing here, box of Pillow there"
  ),
  ("resize_small(40, 'pillow_box')|central_crop(32)", "timm"): (
    "the longer side of a resized image is rounded otherwise in timm"
  ),
  ("resize_small(40, 'pillow_box')|central_crop(32)", "hf"): (
    "transformers cuts the longer side"
  ),
  ("resize_keep_ratio(40, 'pillow_box')|central_crop(32)", "timm"): (
    "begins up to one pixel further down"
  ),
  (
    "resize_keep_ratio(40, 'pillow_box')|central_crop(32, 'nearest')",
    "hf",
  ): "begins up to one pixel further up",
  (
    "resize_keep_ratio(40, 'pillow_box', fit='inside')"
    "|central_crop(32, fill=(0, 0, 0))",
    "hf",
  ): "there images are squashed to 32 x 32 px",
  (
    "resize_keep_ratio(40, 'pillow_box', fit='inside', rounding='nearest')"
    "|central_crop(32, 'nearest', (0, 0, 0))",
    "timm",
  ): "fills borders with (128, 128, 128), not (0, 0, 0)",
  (
    "resize((64, 32), 'pillow_box')|central_crop(32, 'nearest')",
    "timm",
  ): "no crop_pct resizes images to (64, 32) px",
  ("central_crop(32)|resize(32, 'pillow_box')", "timm"): (
    "there the crop is after the resize"
  ),
  ("random_shift(2)|resize(32, 'pillow_box')", "timm"): (
    "random_shift has no word there and is left out"
  ),
  ("keep('image', 'label')", "hf"): "there images are resized to 32 x 32 px",
}


@pytest.mark.parametrize(("steps", "family"), UNSAID)
def test_an_export_says_what_it_cannot_say(steps, family):
  text = f"decode|{steps}|value_range(-1, 1)"
  _, notes = words(family, text, (32, 32))
  assert any(UNSAID[steps, family] in note for note in notes), notes
  assert all("\n" not in note for note in notes)
  assert all(note.startswith("preprocessing: ") for note in notes)


def test_notes_about_pixels_reach_who_saves(tmp_path):
  from tests.export.test_predict import make

  saved = checkpoints.save(make(), "timm", tmp_path / "weights")
  assert any("antialiasing" in note for note in saved.notes)


def test_images_of_one_channel():
  """Settings with one number, or with three that are equal, fit them."""
  for config in (
    {"mean": [0.5], "std": [0.25]},
    {"mean": [0.5] * 3, "std": [0.25] * 3},
  ):
    text, assumptions = read("timm", config, (8, 8), 1)
    assert not assumptions
    assert text.startswith("decode(1)|")
    assert text.endswith("|normalise((0.5,), (0.25,))")
  text, assumptions = read("timm", {"crop_pct": 1.0}, (8, 8), 1)
  # 0.485, 0.456 and 0.406 cannot be told for grey images.
  assert any(
    "are averaged, as the weights are for channels=1" in x for x in assumptions
  )
  for family in LAYOUTS:
    written, _ = words(family, text, (8, 8), 1)
    mean = written["mean"] if family == "timm" else written["image_mean"]
    assert mean == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
  assert (
    preprocessing.default((8, 8), 1) == "decode(1)|resize(8)|value_range(-1, 1)"
  )


def test_sizes_follow_the_resolution():
  config = {
    "image_processor_type": "BitImageProcessor",
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
  }
  text, assumptions = read("hf", config, (448, 448))
  assert "resize_keep_ratio(512," in text and "central_crop(448)" in text
  assert any("224 x 224 px, and are scaled to 448" in x for x in assumptions)
  text, _ = read("timm", {"crop_pct": 0.9}, (384, 384))
  assert "resize_keep_ratio(426," in text


REFUSED = [
  ("timm", {"interpolation": "random"}, "interpolation=random is not one of"),
  ("timm", {"crop_mode": "pad"}, "crop_mode=pad is not one of: center, squash"),
  ("timm", {"crop_pct": 1e-6}, "preprocessing resizes images to 3.2e+07 x"),
  ("timm", {"crop_pct": -0.5}, "preprocessing resizes images to -64 x -64 px"),
  ("hf", {"resample": 9}, "resample=9 is not one of"),
  ("hf", {"size": {"longest_edge": 9}}, "is not understood (there are: a numb"),
  ("hf", {"size": {"height": 0, "width": 9}}, "size="),
  ("hf", {"do_flip_channel_order": True}, "is not understood; remove it if"),
  (
    "hf",
    {"image_processor_type": "DPTImageProcessor"},
    "image_processor_type=DPTImageProcessor of its preprocessor_config.json is",
  ),
]


@pytest.mark.parametrize(("family", "config", "why"), REFUSED)
def test_settings_that_are_not_understood(tmp_path, family, config, why):
  path = files.write(tmp_path, f"{family}_vit" + "_token" * (family == "timm"))
  name = "config.json"
  content = json.loads((tmp_path / name).read_text())
  if family == "timm":
    content |= {"pretrained_cfg": config}
  else:
    name, content = "preprocessor_config.json", config
  (tmp_path / name).write_text(json.dumps(content))
  with pytest.raises(errors.CheckpointError) as caught:
    checkpoints.load(path)
  assert why in str(caught.value)
  assert "\n" not in str(caught.value)
