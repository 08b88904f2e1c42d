"""Predictions for files on disk, of a model with known weights."""

import os

import cv2
import jax
import numpy as np
import pytest

from vit_jax import checkpoints, models
from vit_jax.checkpoints import Loaded, Report
from vit_jax.core import errors
from vit_jax.export import predict
from vit_jax.preprocess.pipeline import Pipeline

PREPROCESS = "decode|resize(8)|value_range(-1, 1)"


@pytest.fixture(scope="module")
def checkpoint():
  return make()


def make(preprocess=PREPROCESS, metadata=None, num_classes=6, channels=3):
  model = models.create(
    "vit",
    num_classes=num_classes,
    image_size=(8, 8),
    patch_size=(4, 4),
    width=16,
    depth=1,
    num_heads=2,
    mlp_dim=32,
  )
  images = np.zeros((1, 8, 8, channels), np.float32)
  params = model.init(jax.random.key(0), images)["params"]
  if num_classes:
    kernel = jax.random.normal(jax.random.key(1), (16, num_classes))
    params["head"]["kernel"] = kernel
  return Loaded(
    model, params, {}, "npz", Report(()), preprocess, (), metadata or {}
  )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Seven pictures of different sizes, two of them further down."""
  top = tmp_path_factory.mktemp("pictures")
  (top / "more").mkdir()
  rng = np.random.default_rng(0)
  for i in range(7):
    size = (8 + i, 10 + i, 3)
    place = top if i < 5 else top / "more"
    cv2.imwrite(str(place / f"{i}.PNG"), rng.integers(0, 255, size, np.uint8))
  (top / "notes.txt").write_text("no picture")
  return top


def expected(checkpoint, path):
  example = {"image": path.read_bytes(), "label": 0, "id": 0}
  pipeline = Pipeline.parse(checkpoint.preprocess)
  image = pipeline.host(example, np.random.default_rng(0))["image"]
  image = image[None].astype(np.float32) / 127.5 - 1.0
  logits = checkpoint.model.apply(checkpoint.variables, image)["logits"][0]
  return np.asarray(logits, np.float64)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_one_answer_for_each_file_at_any_batch_size(
  checkpoint, folder, batch_size
):
  paths = predict.images([folder])
  assert [p.name for p in paths] == [f"{i}.PNG" for i in range(7)]
  found = list(
    predict.predict(checkpoint, paths, top_k=3, batch_size=batch_size)
  )
  assert [f.path for f in found] == paths
  for one in found:
    logits = expected(checkpoint, one.path)
    best = np.argsort(-logits)[:3]
    assert one.classes == tuple(best)
    softmax = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(one.probabilities, softmax[best], rtol=1e-4)
    assert not one.resized


def test_sigmoids_for_what_was_trained_with_them(folder):
  checkpoint = make(metadata={"config": {"task": {"loss": "sigmoid"}}})
  (one,) = predict.predict(checkpoint, [folder / "0.PNG"], top_k=6)
  logits = expected(checkpoint, one.path)[list(one.classes)]
  np.testing.assert_allclose(
    one.probabilities, 1 / (1 + np.exp(-logits)), rtol=1e-4
  )


def test_bad_files_do_not_hide_the_good_ones(checkpoint, folder, tmp_path):
  bad = tmp_path / "bad.png"
  bad.write_bytes((folder / "1.PNG").read_bytes()[:60])
  paths = [bad, folder / "0.PNG", tmp_path / "none.png", folder / "1.PNG"]
  found = list(predict.predict(checkpoint, paths, batch_size=2))
  assert [bool(f.error) for f in found] == [True, False, True, False]
  assert str(bad) in found[0].error
  assert "No such file" in found[2].error
  alone = list(predict.predict(checkpoint, paths[1::2]))
  assert [f.classes for f in found[1::2]] == [f.classes for f in alone]


def test_images_of_another_size_are_resized_and_marked(folder):
  loose = make(preprocess="decode|value_range(-1, 1)")
  strict = make(
    preprocess="decode|resize(8, antialias=True)|value_range(-1, 1)"
  )
  path = folder / "3.PNG"
  (a,), (b,) = (predict.predict(c, [path]) for c in (loose, strict))
  assert a.resized
  assert not b.resized
  assert a.classes == b.classes
  np.testing.assert_allclose(a.probabilities, b.probabilities, rtol=1e-5)


def test_a_folder_is_walked_as_training_walks_it(tmp_path, folder, capsys):
  top = tmp_path / "pictures"
  (top / "@eaDir").mkdir(parents=True)
  png = (folder / "0.PNG").read_bytes()
  for name in (
    *("a.jfif", "b.TIF", "c.avif", "d.jpe", "._a.jpg", ".ipynb_checkpoints"),
    *("Thumbs.db", "@eaDir/a.jpg", "e.heic", "f.HEIC", "g.svg", "notes.txt"),
  ):
    (top / name).write_bytes(png)
  (top / "more").symlink_to(folder / "more")
  (top / "gone.png").symlink_to(folder / "gone.png")
  os.mkfifo(top / "pipe.png")
  inside = predict.images([top])
  assert [str(p.relative_to(top)) for p in inside] == [
    *("a.jfif", "b.TIF", "c.avif", "d.jpe", "gone.png"),
    *("more/5.PNG", "more/6.PNG"),
  ]
  said = capsys.readouterr().err
  assert "left out: 2 .heic, 1 .svg (convert them to JPEG or PNG)" in said
  assert "1 other files are no images, such as notes.txt" in said
  (top / "more" / "loop").symlink_to(top)
  with pytest.raises(errors.DataError, match="a link to a folder that it is"):
    predict.images([top])
  (folder / "more" / "loop").unlink()


def test_a_home_folder_is_expanded(folder, monkeypatch):
  monkeypatch.setenv("HOME", str(folder.parent))
  named = predict.images([f"~/{folder.name}/0.PNG", f"~/{folder.name}/more"])
  assert [p.name for p in named] == ["0.PNG", "5.PNG", "6.PNG"]
  assert all(p.exists() for p in named)


def test_what_cannot_be_predicted(folder, tmp_path):
  with pytest.raises(errors.CheckpointError, match="no head"):
    list(predict.predict(make(num_classes=0), [folder / "0.PNG"]))
  with pytest.raises(errors.DataError, match="does not exist"):
    predict.images([tmp_path / "none"])
  with pytest.raises(errors.DataError, match="holds no image"):
    predict.images([tmp_path])
  (tmp_path / "a.heic").write_bytes(b"x")
  with pytest.raises(errors.DataError, match=r"left out: 1 \.heic"):
    predict.images([tmp_path])


def test_other_channels_than_files_have_are_refused(folder):
  """In one line, before anything is compiled."""
  path = folder / "0.PNG"
  for checkpoint, gives in (
    (make(channels=4), "gives 3"),
    (make(channels=1), "gives 3"),
    (make(PREPROCESS.replace("decode", "decode(1)")), "gives 1"),
  ):
    with pytest.raises(errors.CheckpointError, match=gives) as caught:
      list(predict.predict(checkpoint, [path]))
    assert "\n" not in str(caught.value)
  three = "decode(1)|resize(8)|normalise((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))"
  with pytest.raises(errors.CheckpointError, match="does not fit its model"):
    list(predict.predict(make(three, channels=1), [path]))


@pytest.mark.parametrize("to", ["npz", "timm", "orbax"])
def test_one_channel_is_read_from_photographs(folder, tmp_path, to):
  """Whatever the file says, the first layer tells."""
  grey = make(channels=1)
  path = tmp_path / ("grey.npz" if to == "npz" else "grey")
  checkpoints.save(grey, to, path)
  loaded = checkpoints.load(path)
  assert loaded.preprocess.startswith("decode(channels=1)|resize(")
  if to == "orbax":
    # The others say nothing of their own that would have to be overruled.
    assert "decodes to grey" in "".join(loaded.report.assumptions)
  (one,) = predict.predict(loaded, [folder / "0.PNG"])
  assert one.classes == tuple(np.argsort(-expected(loaded, one.path))[:5])
