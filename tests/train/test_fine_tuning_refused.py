"""What cannot be fine-tuned on, or from, is refused in one line."""

import dataclasses

import pytest

from tests.data import tfds_sets, trees
from tests.e2e import own_folder
from vit_jax.core import config as config_lib, errors
from vit_jax.models import segmenter, vit


@pytest.fixture(scope="module")
def home(tmp_path_factory):
  """A folder with photos, and a checkpoint beside them."""
  home = tmp_path_factory.mktemp("home")
  own_folder.photos(home / "photos")
  own_folder.save(home / "vit", vit.Model(own_folder.VIT))
  return home


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
  yield {"selecting": "true"}, "selecting=True: this is for the data sets of"
  yield (
    {"probe": "true", "freeze": "embedding"},
    "freeze=embedding: probe=true is freeze=backbone; leave it out",
  )
  for name, value in (
    *(("epochs", 3.0), ("flip", False)),
    *(("layout", "timm"), ("data_dir", "sets")),
  ):
    changes = {"dataset": "cifar10", "checkpoint": "", name: value}
    yield changes, f"{name}={value}: is for data of your own; here it is the"
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
    "multilabel:many/list.csv": "has several labels an image; this recipe",
  }.items():
    scheme, _, rest = name.partition(":")
    dataset = f"{scheme}:{tmp_path}/{rest}"
    with pytest.raises(errors.ConfigError) as e:
      config_lib.load(
        own_folder.CONFIG, f"dataset={dataset},checkpoint={home}/vit"
      )
    assert line in str(e.value)
    assert str(e.value).startswith(f"dataset={dataset}")


def test_data_without_classes(home, tmp_path):
  images = [{"image": tfds_sets.piece(i)} for i in range(4)]
  tfds_sets.write(tmp_path, "downsampled_imagenet", {"train": images})
  dataset = "dataset=tfds:downsampled_imagenet"
  with pytest.raises(
    errors.ConfigError, match=rf"^{dataset} has no classes \("
  ):
    config_lib.load(
      own_folder.CONFIG,
      f"{dataset},data_dir={tmp_path},checkpoint={home}/vit",
    )


def test_a_class_that_is_only_scored_is_refused(home, tmp_path):
  own_folder.photos(tmp_path / "train", ("blue", "red"))
  own_folder.photos(tmp_path / "val")
  with pytest.raises(errors.ConfigError, match="class green has no image in"):
    own_folder.load(tmp_path, home / "vit")


def test_weights_of_no_known_model(home, tmp_path):
  file = tmp_path / "x.npz"
  file.write_bytes(b"PK\x03\x04" + bytes(100))
  with pytest.raises(errors.ConfigError, match=f"checkpoint={file}: "):
    own_folder.load(home / "photos", file)


def test_a_segmenter_is_refused(home, tmp_path):
  backbone = dataclasses.replace(
    own_folder.VIT, num_classes=0, pre_logits_dim=0
  )
  model = segmenter.Model(segmenter.Config(backbone, num_classes=3))
  own_folder.save(tmp_path / "segmenter", model)
  with pytest.raises(errors.ConfigError, match="labels pixels"):
    own_folder.load(home / "photos", tmp_path / "segmenter")
