"""What a checkpoint and a data set say about a run, and the rule for more."""

import dataclasses
import math
import re

import pytest

from tests.e2e import own_folder, tiny
from vit_jax.checkpoints import describe
from vit_jax.checkpoints.loaded import model_shapes
from vit_jax.core import config as config_lib, errors
from vit_jax.models import bit, hybrid, mobilevit, swin, vit
from vit_jax.preprocess.pipeline import Pipeline
from vit_jax.train import experiment as experiment_lib, fine_tuning

BIT = bit.Config(
  num_classes=4, image_size=(32, 32), depths=(1,), width_factor=0.5
)
MODELS = {
  # As of weights that were trained with sigmoids.
  "vit": vit.Model(dataclasses.replace(own_folder.VIT, head_bias_init=-5.0)),
  "hybrid": hybrid.Model(tiny.MODELS["hybrid"]),
  "bit": bit.Model(BIT),
  "swin": swin.Model(tiny.MODELS["swin"]),
  "mobilevit": mobilevit.Model(tiny.MODELS["mobilevit"]),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
  """A folder with photos, and a checkpoint of each family beside them."""
  home = tmp_path_factory.mktemp("home")
  own_folder.photos(home / "photos")
  for name, model in MODELS.items():
    size = model.config.image_size[0]
    text = f"decode|resize({size})|value_range(-1, 1)"
    own_folder.save(home / name, model, preprocess=text)
  return home


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("freeze", ["", "backbone", "embedding"])
def test_every_family(home, name, freeze):
  c = own_folder.load(home / "photos", home / name, freeze=freeze)
  assert c.model.name == name
  experiment = config_lib.build(experiment_lib.Experiment, c)
  have = MODELS[name].config
  want = dict(vars(have), num_classes=3, head_bias_init=0.0)
  if "pre_logits_dim" in want:
    want["pre_logits_dim"] = 0
  assert vars(experiment.model) == want
  inputs = experiment_lib.open_inputs(experiment)
  assert inputs.image_shape == (*have.image_size, 3)
  assert (len(inputs.train), len(inputs.evals["val"]["data"])) == (30, 6)
  module = config_lib.module_for(experiment.model)
  names = set(model_shapes(module.Model(experiment.model), 3))
  frozen = "|".join(experiment.optim.frozen)
  kept = {x for x in names if frozen and re.fullmatch(frozen, x)}
  if freeze == "backbone":
    assert names - kept == {"head/kernel", "head/bias"}
  elif freeze == "embedding":
    assert module.STEM in kept
    assert len({x.rpartition("/")[0] for x in kept}) == 1
  else:
    assert not kept


def test_published_weights_and_their_own_preprocessing(home, tmp_path):
  fields = {**vars(own_folder.VIT), "pre_logits_dim": 0, "gelu": "exact"}
  own_folder.save(tmp_path / "timm", vit.Model(vit.Config(**fields)), "timm")
  theirs = describe.describe(tmp_path / "timm").preprocess
  c = own_folder.load(home / "photos", tmp_path / "timm")
  assert c.evals.val.data.preprocess == theirs
  c = own_folder.load(home / "photos", tmp_path / "timm", res=24)
  assert c.model.gelu == "exact"
  assert c.model.image_size == (24, 24)
  # 18 px and a crop of 16, in proportion.
  scaled = theirs.replace("18", "27").replace("16", "24")
  assert c.evals.val.data.preprocess == scaled != theirs
  (method,) = set(re.findall(r"method='\w+'", theirs))
  assert f"inception_crop(24, area_min=64.0, {method}" in (
    c.data.train.preprocess
  )
  # A named layout is that of the run too.
  c = own_folder.load(home / "photos", tmp_path / "timm", layout="timm")
  assert c.start.to_dict() == {
    "checkpoint": str(tmp_path / "timm"),
    "layout": "timm",
    "new_head": True,
    "resume": "",
  }
  with pytest.raises(errors.ConfigError, match=r"timm: .*of no known layout"):
    own_folder.load(home / "photos", tmp_path / "timm", layout="hf_swin")


@pytest.mark.parametrize(
  ("text", "size", "test", "train"),
  [
    # Images that were never resized are, now that they may have any size.
    (
      "decode(1)|value_range(-1, 1)",
      (28, 28),
      "decode(1)|resize(28, antialias=True)|value_range(-1, 1)",
      "decode(1)|inception_crop(28, area_min=64.0, antialias=True)|flip_lr"
      "|value_range(-1, 1)",
    ),
    (
      "value_range(0, 1)",
      (8, 8),
      "decode(1)|resize(8, antialias=True)|value_range(0, 1)",
      "decode(1)|inception_crop(8, area_min=64.0, antialias=True)|flip_lr"
      "|value_range(0, 1)",
    ),
    # The mean over an area is no way to enlarge a crop.
    (
      "decode|resize_small(64)|central_crop(56)|keep('image', 'label')"
      "|value_range(-1, 1)",
      (112, 112),
      "decode|resize_small(128)|central_crop(112)|keep('image', 'label')"
      "|value_range(-1, 1)",
      "decode|inception_crop(112)|flip_lr|keep('image', 'label')"
      "|value_range(-1, 1)",
    ),
  ],
)
def test_pipelines(text, size, test, train):
  config = vit.Config(image_size=(56, 56), patch_size=(4, 4))
  about = describe.Description(config, text, 1)
  scored, trained = fine_tuning.pipelines(about, size, True)
  assert scored == Pipeline.parse(test)
  assert trained == Pipeline.parse(train)
  assert "flip" not in str(fine_tuning.pipelines(about, size, False)[1])


def test_a_pipeline_of_images_that_are_not_square():
  config = vit.Config(image_size=(32, 64), patch_size=(4, 4))
  text = "decode|resize_small(40)|central_crop((32, 64))|value_range(-1, 1)"
  about = describe.Description(config, text, 3)
  scored, _ = fine_tuning.pipelines(about, (96, 128), True)
  assert scored == Pipeline.parse(
    "decode|resize_small(120)|central_crop((96, 128))|value_range(-1, 1)"
  )


def test_images_with_channels_that_no_file_has():
  about = describe.Description(vit.Config(), "value_range(-1, 1)", 4)
  with pytest.raises(errors.ConfigError, match=r"checkpoint\.channels=4"):
    fine_tuning.pipelines(about, (32, 32), True)


@pytest.mark.parametrize(
  ("images", "batch", "steps"),
  [
    (36, 16, 500),
    (511, 16, 500),
    (512, 32, 500),
    (2934, 128, 500),
    (19_999, 512, 500),
    (20_000, 512, 10_000),
    (499_999, 512, 10_000),
    (1_281_167, 512, 20_000),
  ],
)
def test_the_rule(images, batch, steps):
  given = fine_tuning.rule(images)
  assert given[:2] == (batch, steps)
  assert given[2:] == ((100, 0.0) if images < 20_000 else (500, 0.1))


@pytest.mark.parametrize(
  ("images", "share"),
  [(36, 0.2), (50_000, 0.2), (100_000, 0.1), (10**6, 0.01), (10**8, 0.001)],
)
def test_no_more_is_held_back_than_scores_need(images, share):
  assert fine_tuning.held_share(images) == pytest.approx(share)


def test_the_rest_of_a_run(home):
  c = own_folder.load(home / "photos", home / "vit")
  assert c.duration == "500 steps"
  assert (c.data.batch_size, c.task.mixup) == (16, 0.0)
  assert c.optim.schedule.warmup == "100 steps"
  assert c.optim.clip_norm == 1.0
  # The head learns ten times as fast.
  assert c.optim.lr_multipliers == (("head/.*", 10.0),)
  assert c.runtime.log_every == 25
  # A photo that cannot be read ends no run.
  assert c.data.train.on_error == c.evals.val.data.on_error == "skip"
  many = config_lib.load(
    own_folder.CONFIG,
    f"dataset=synthetic:25000x4x4x3x3,checkpoint={home / 'vit'}",
  )
  assert many.duration == "10_000 steps"
  assert (many.data.batch_size, many.task.mixup) == (512, 0.1)
  assert many.optim.schedule.warmup == "500 steps"
  assert many.runtime.log_every == 50


def test_wishes(home):
  c = own_folder.load(
    home / "photos",
    home / "vit",
    **dict(epochs=5, lr=0.5, flip="false", seed=3, data_dir="sets"),
  )
  assert c.duration == "5 epochs"
  assert c.runtime.data_dir == "sets"
  assert c.runtime.log_every == 1
  assert c.optim.peak_lr == 0.5
  assert c.seed == 3
  assert "flip" not in c.data.train.preprocess
  # A fifth of 9 steps.
  assert c.optim.schedule.warmup == "1 steps"
  # A batch of 16, and features of width 16.
  rate = own_folder.load(home / "photos", home / "vit").optim.peak_lr
  assert rate == pytest.approx(1e-4 * math.sqrt(16 / 128) * 768 / 16, rel=0.05)


def test_a_probe_trains_the_head_alone(home):
  """The older name of freeze=backbone."""
  photos, weights = home / "photos", home / "vit"
  assert own_folder.load(photos, weights, probe="true") == own_folder.load(
    photos, weights, freeze="backbone"
  )


def splits(home, folder):
  c = own_folder.load(folder, home / "vit")
  data = {"train": c.data.train, **{k: e.data for k, e in c.evals.items()}}
  return {
    k: (
      v.name.partition(":")[0],
      v.split,
      c.evals[k].every if k in c.evals else "",
    )
    for k, v in data.items()
  }


@pytest.mark.parametrize(
  ("names", "want"),
  [
    (
      ("train", "val", "test"),
      {
        "train": ("folder", "train", ""),
        "val": ("folder", "val", "25 %"),
        "test": ("folder", "test", "100 %"),
      },
    ),
    (
      # The test images are for the end, so others are held back.
      ("train", "test"),
      {
        "train": ("holdout", "train", ""),
        "val": ("holdout", "val", "25 %"),
        "test": ("folder", "test", "100 %"),
      },
    ),
    (
      ("train", "valid"),
      {"train": ("folder", "train", ""), "val": ("folder", "valid", "25 %")},
    ),
    (
      ("train", "validation"),
      {
        "train": ("folder", "train", ""),
        "val": ("folder", "validation", "25 %"),
      },
    ),
  ],
)
def test_splits(home, tmp_path, names, want):
  for name in names:
    own_folder.photos(tmp_path / name, each=3)
  assert splits(home, tmp_path) == want


@pytest.mark.parametrize("split", ["val", "valid", "validation", "test"])
def test_a_split_to_score_on_is_not_trained_on(home, tmp_path, split):
  own_folder.photos(tmp_path / split, each=3)
  with pytest.raises(errors.ConfigError, match=f"has the split {split} alone"):
    own_folder.load(tmp_path, home / "vit")


def test_several_splits_without_one_to_train_on(home, tmp_path):
  for split in ("val", "test"):
    own_folder.photos(tmp_path / split, each=3)
  with pytest.raises(errors.ConfigError) as e:
    own_folder.load(tmp_path, home / "vit")
  line = "split=train is not one of: test, val"
  assert str(e.value) == f"dataset=folder:{tmp_path}: {line}"


def test_a_manifest(home, tmp_path):
  own_folder.photos(tmp_path, ("blue", "red"), 5)
  rows = [f"{c}/{i}.png,{c}" for c in ("blue", "red") for i in range(5)]
  file = tmp_path / "list.csv"
  file.write_text("path,label\n" + "\n".join(rows))
  c = own_folder.load(file, home / "vit")
  assert c.model.num_classes == 2
  assert c.data.train.name == f"holdout:0.200*folder:{file}"
