"""What a checkpoint and a data set say about a run, and the rule for more."""

import math
import re

import pytest

from tests.data import trees
from tests.e2e import own_folder, tiny
from vit_jax.checkpoints import describe
from vit_jax.core import config as config_lib, errors
from vit_jax.models import bit, hybrid, mobilevit, segmenter, swin, vit
from vit_jax.preprocess.pipeline import Pipeline
from vit_jax.train import experiment as experiment_lib, fine_tuning

BIT = bit.Config(
  num_classes=4, image_size=(32, 32), depths=(1,), width_factor=0.5
)
MODELS = {
  "vit": vit.Model(own_folder.VIT),
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


def load(folder, checkpoint, **more):
  path, _, arg = own_folder.argument(folder, checkpoint, **more).partition(":")
  return config_lib.load(path, arg)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("freeze", ["", "backbone", "embedding"])
def test_every_family(home, name, freeze):
  c = load(home / "photos", home / name, freeze=freeze)
  assert c.model.name == name
  experiment = config_lib.build(experiment_lib.Experiment, c)
  have = MODELS[name].config
  want = dict(vars(have), num_classes=3)
  if "pre_logits_dim" in want:
    want["pre_logits_dim"] = 0
  assert vars(experiment.model) == want
  inputs = experiment_lib.open_inputs(experiment)
  assert inputs.image_shape == (*have.image_size, 3)
  assert (len(inputs.train), len(inputs.evals["val"]["data"])) == (30, 6)


def test_published_weights_and_their_own_preprocessing(home, tmp_path):
  fields = {**vars(own_folder.VIT), "pre_logits_dim": 0, "gelu": "exact"}
  own_folder.save(tmp_path / "timm", vit.Model(vit.Config(**fields)), "timm")
  theirs = describe.describe(tmp_path / "timm").preprocess
  c = load(home / "photos", tmp_path / "timm")
  assert c.evals.val.data.preprocess == theirs
  c = load(home / "photos", tmp_path / "timm", res=24)
  assert c.model.gelu == "exact"
  assert c.model.image_size == (24, 24)
  # 18 px and a crop of 16, in proportion.
  scaled = theirs.replace("18", "27").replace("16", "24")
  assert c.evals.val.data.preprocess == scaled != theirs
  (method,) = set(re.findall(r"method='\w+'", theirs))
  assert f"inception_crop(24, area_min=64.0, {method}" in (
    c.data.train.preprocess
  )


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
  assert given[2] < given[1] / 4
  assert (given[3] > 0) == (images >= 20_000)


def test_wishes(home):
  c = load(
    home / "photos", home / "vit", epochs=5, lr=0.5, flip="false", seed=3
  )
  assert c.duration == "5 epochs"
  assert c.optim.peak_lr == 0.5
  assert c.seed == 3
  assert "flip" not in c.data.train.preprocess
  # A fifth of 9 steps.
  assert c.optim.schedule.warmup == "1 steps"
  # A batch of 16, and features of width 16.
  rate = load(home / "photos", home / "vit").optim.peak_lr
  assert rate == pytest.approx(1e-4 * math.sqrt(16 / 128) * 768 / 16, rel=0.05)


def splits(home, folder):
  c = load(folder, home / "vit")
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
  ],
)
def test_splits(home, tmp_path, names, want):
  for name in names:
    own_folder.photos(tmp_path / name, each=3)
  assert splits(home, tmp_path) == want


def test_a_manifest(home, tmp_path):
  own_folder.photos(tmp_path, ("blue", "red"), 5)
  rows = [f"{c}/{i}.png,{c}" for c in ("blue", "red") for i in range(5)]
  file = tmp_path / "list.csv"
  file.write_text("path,label\n" + "\n".join(rows))
  c = load(file, home / "vit")
  assert c.model.num_classes == 2
  assert c.data.train.name == f"holdout:0.200*folder:{file}"


def refusals():
  """What is wrong: arguments of `load`, and the line that says so."""
  yield (
    {"res": 18},
    (
      "res=18: image_size=(18, 18) must be a multiple of patch_size=(4, 4)"
      " (18 % 4 = 2); nearest: 16 or 20"
    ),
  )
  yield {"freeze": "all"}, "freeze=all is not one of: , backbone, embedding"
  yield {"model": "vit"}, "model=vit: the checkpoint says it; leave it out"
  yield {"variant": "S/16"}, "variant=S/16: the checkpoint says it"
  yield {"protocol": "bit"}, "protocol=bit: this is for the data sets of the"
  yield {"checkpoint": ""}, "needs checkpoint=PATH"
  yield {"checkpoint": "nowhere"}, "checkpoint=nowhere: nowhere does not exist"
  yield (
    {"dataset": "folder:nowhere"},
    "dataset=folder:nowhere: nowhere is no folder",
  )
  yield {"dataset": "foldr:x"}, "unknown scheme foldr; did you mean folder?"
  yield {"dataset": "photos"}, "not SCHEME:REST such as folder:PHOTOS"


@pytest.mark.parametrize(("changes", "line"), list(refusals()))
def test_one_line_each(home, changes, line):
  pairs = dict(dataset=f"folder:{home}/photos", checkpoint=home / "vit")
  arg = ",".join(f"{k}={v}" for k, v in {**pairs, **changes}.items())
  with pytest.raises(errors.ConfigError) as e:
    config_lib.load(own_folder.CONFIG, arg)
  assert line in str(e.value)
  assert "\n" not in str(e.value)


def test_data_that_cannot_be_told_apart(home, tmp_path):
  own_folder.photos(tmp_path / "one", ("red",))
  (tmp_path / "none/a").mkdir(parents=True)
  trees.write(
    tmp_path / "few", {"a/1.png": trees.png(1), "b/1.png": trees.png(2)}
  )
  rows = "".join(f"{i}.png,a|b\n" for i in range(4))
  trees.write(tmp_path / "many", {f"{i}.png": trees.png(i) for i in range(4)})
  (tmp_path / "many/list.csv").write_text(f"path,labels\n{rows}")
  for name, line in {
    "folder:one": "has 1 class (red); a classifier needs at least 2",
    "folder:none": "has no images",
    "folder:few": "class a has 1 image, not counting copies",
    "multilabel:many/list.csv": "several labels an image",
  }.items():
    scheme, _, rest = name.partition(":")
    dataset = f"{scheme}:{tmp_path}/{rest}"
    with pytest.raises(errors.ConfigError) as e:
      config_lib.load(
        own_folder.CONFIG, f"dataset={dataset},checkpoint={home}/vit"
      )
    assert line in str(e.value)
    assert str(e.value).startswith(f"dataset={dataset}")


def test_a_class_that_is_only_scored_is_refused(home, tmp_path):
  own_folder.photos(tmp_path / "train", ("blue", "red"))
  own_folder.photos(tmp_path / "val")
  with pytest.raises(errors.ConfigError, match="class green has no image in"):
    load(tmp_path, home / "vit")


def test_weights_of_no_known_model(home, tmp_path):
  file = tmp_path / "x.npz"
  file.write_bytes(b"PK\x03\x04" + bytes(100))
  with pytest.raises(errors.ConfigError, match=f"checkpoint={file}: "):
    load(home / "photos", file)


def test_a_segmenter_is_refused(home, tmp_path, monkeypatch):
  about = describe.Description(segmenter.Config(), "decode", 3)
  monkeypatch.setattr(describe, "describe", lambda *_, **__: about)
  with pytest.raises(errors.ConfigError, match="labels pixels"):
    load(home / "photos", "any")
