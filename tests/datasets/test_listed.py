"""Folders and manifests of one's own become data sets that TFDS reads."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tests import server
from tests.data import trees
from tests.datasets import mine
from vit_jax.cli import main
from vit_jax.core import errors
from vit_jax.data import base, pipeline
from vit_jax.datasets import fetch, verify, write
from vit_jax.losses import classification
from vit_jax.preprocess.pipeline import Pipeline


def read(data_dir, split, name="tfds:mine"):
  source = base.open_source(name, split, str(data_dir))
  return source, [source[i] for i in range(len(source))]


@pytest.fixture
def web():
  images = {f"/{i}.png": (200, {}, trees.png(i)) for i in range(4)}
  images["/page"] = (200, {}, b"<html>")
  with server.serve(images) as found:
    yield found


def rows(url):
  return [
    {"url": f"{url}/0.png", "labels": ["b", "a"], "confidence": [0.9, 0.2]},
    {"url": f"{url}/1.png", "labels": [], "confidence": []},
    {"path": "x/2.png", "labels": ["c", "a", "b"], "confidence": [1, 1, 0.5]},
    {"path": "x/3.png", "labels": ["a"], "split": "val"},
  ]


def test_several_labels_from_files_and_urls(web, tmp_path):
  url, asked = web
  trees.write(tmp_path, {f"x/{i}.png": trees.png(i) for i in (2, 3)})
  name = mine.manifest(tmp_path, rows(url))
  said = mine.run(name, tmp_path / "data")
  assert said.endswith("(examples: train 3, val 1)")
  assert sorted(asked) == ["/0.png", "/1.png"]
  source, examples = read(tmp_path / "data", "train")
  assert (source.num_classes, source.class_names) == (3, ("a", "b", "c"))
  by_name = {e["file_name"].decode(): e for e in examples}
  wanted = {
    f"{url}/0.png": ([1, 0, -1], [0.9, 0.2, 0]),
    f"{url}/1.png": ([-1, -1, -1], [0, 0, 0]),
    "x/2.png": ([2, 0, 1], [1, 1, 0.5]),
  }
  assert {*by_name} == {*wanted}
  for i, (key, (labels, confidences)) in enumerate(wanted.items()):
    example = by_name[key]
    assert example["image"] == trees.png(i)
    assert example["label"].dtype == np.int32
    assert example["label"].tolist() == labels
    np.testing.assert_allclose(example["confidences"], confidences, atol=1e-7)
    assert "labels" not in example
  # A label is the same in all splits, and so is the width.
  (other,) = read(tmp_path / "data", "val")[1]
  assert other["label"].tolist() == [0, -1, -1]
  # It has none of its own.
  assert other["confidences"].tolist() == [1, 0, 0]
  assert "is whole" in verify.verify("tfds:mine", str(tmp_path / "data"))


def test_padded_labels_become_targets_on_the_device(tmp_path):
  trees.write(tmp_path, {f"x/{i}.png": trees.png(i) for i in range(3)})
  labels = [[4, 0], [], [2]]
  name = mine.manifest(
    tmp_path,
    [{"path": f"x/{i}.png", "labels": n} for i, n in enumerate(labels)],
  )
  mine.run(name, tmp_path / "data")
  source, examples = read(tmp_path / "data", "train")
  assert source.num_classes == 5
  batch = pipeline.eval_batches(
    source, Pipeline.parse('decode|keep("image", "label")'), batch_size=3
  )[0]
  assert batch["label"].shape == (3, 2)
  label = jnp.asarray(batch["label"])
  targets = np.asarray(classification.targets(label, 5))
  for row, example in zip(targets, examples, strict=True):
    number = int(example["file_name"].decode()[2])
    assert np.flatnonzero(row).tolist() == sorted(labels[number])


def test_the_file_of_a_manifest_gives_the_same_as_the_data_set(tmp_path):
  """What `multilabel:` reads in place is what is written."""
  trees.write(tmp_path, {f"x/{i}.png": trees.png(i) for i in range(9)})
  name = mine.manifest(
    tmp_path,
    [{"path": f"x/{i}.png", "labels": [f"n{i % 4}", "all"]} for i in range(9)],
  )
  mine.run(name, tmp_path / "data")
  there = base.open_source(name, "train")
  _, examples = read(tmp_path / "data", "train")
  assert sorted((e["image"], e["label"].tolist()) for e in examples) == sorted(
    (there[i]["image"], there[i]["label"].tolist()) for i in range(9)
  )
  with pytest.raises(errors.DataError, match=r"line 1: .* must be downloaded"):
    base.open_source(
      mine.manifest(tmp_path, rows("http://a"), "url.jsonl"), "x"
    )


def test_urls_that_give_no_image(web, tmp_path, monkeypatch):
  monkeypatch.setattr(fetch, "_PAUSE_S", 0.01)
  url, _ = web
  bad = [f"{url}/none", f"{url}/page"]
  name = mine.manifest(
    tmp_path,
    [
      {"url": u, "labels": ["a"]}
      for u in (*bad, f"{url}/0.png", f"{url}/1.png")
    ],
  )
  with pytest.raises(errors.DataError) as caught:
    mine.run(name, tmp_path / "data")
  assert "the answer is 404" in str(caught.value) or "/page" in str(
    caught.value
  )
  said = mine.run(name, tmp_path / "data", on_error="skip")
  assert "train 2; 2 of 4 left out" in said
  file = tmp_path / "data/mine/1.0.0" / write.SKIPPED
  reports = [json.loads(line) for line in file.read_text().splitlines()]
  assert sorted(r["key"] for r in reports) == bad
  assert len(read(tmp_path / "data", "train")[1]) == 2


WRONG = {
  "file": (
    {"url": "file:///etc/passwd", "labels": []},
    "must be a URL of http",
  ),
  "both": (
    {"url": "http://a/b", "path": "x", "labels": []},
    "must be a URL of",
  ),
  "no host": ({"url": "http://", "labels": []}, "must be a URL of http"),
  "number": ({"url": 7, "labels": []}, "must be a URL of http"),
  "outside": ({"path": "../x.png", "labels": []}, "leads outside"),
  "label": ({"url": "http://a/b", "labels": [1.5]}, "1.5 is not a label"),
  "confidence": (
    {"url": "http://a/b", "labels": ["a"], "confidence": [2]},
    "must be from 0 to 1",
  ),
  "missing": ({"path": "none.png", "labels": []}, "cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_rows(case, tmp_path):
  row, said = WRONG[case]
  with pytest.raises(errors.DataError) as caught:
    mine.run(mine.manifest(tmp_path, [row]), tmp_path / "data")
  assert said in str(caught.value)
  assert not list(tmp_path.glob("data/**/*.array_record*"))


def test_a_folder_with_splits_by_the_command(tmp_path, capsys):
  for split in ("train", "val"):
    trees.classes(tmp_path / "images" / split, {"ant": 3, "bee": 2})
  arguments = [
    "data",
    "prepare",
    f"folder:{tmp_path}/images",
    "--out=mine:2.1.0",
    "--workers=1",
    f"--data_dir={tmp_path}/data",
  ]
  assert main.main(arguments) == 0
  assert capsys.readouterr().out == (
    f"tfds:mine written to {tmp_path}/data/mine/2.1.0 (examples: train 5, val"
    " 5)\n"
  )
  source, examples = read(tmp_path / "data", "val", "tfds:mine:2.1.0")
  assert source.class_names == ("ant", "bee")
  for example in examples:
    c = int(example["label"])
    number = int(example["file_name"].decode().rpartition("/")[2][:-4])
    assert example["image"] == trees.png(c, number)
  assert main.main(arguments) == 2
  assert "; choose another name or version" in capsys.readouterr().err


REFUSED = {
  ("folder:{}", ""): "out='' must be NAME[:VERSION]",
  ("folder:{}", "--out=../x"): "out=../x must be NAME[:VERSION]",
  ("folder:{}", "--out=a:1"): "out=a:1 must be NAME[:VERSION]",
  ("folder:{}", "--out=mnist"): "out=mnist is the name of a data set of TFDS",
  ("folder:{}/none", "--out=a"): "none is no folder",
  ("multilabel:{}", "--out=a"): "is no *.csv or *.jsonl file",
  ("folder:{}", "--out=a --from_dir=x"): "from_dir=x does nothing for folder",
  ("tfds:digits", "--out=a"): "out=a does nothing for tfds:digits",
  ("tfds:digits", "--from_dir=x"): "is not in TFRecord in x, and is downloaded",
  ("tfds:digits", "--workers=2"): "workers=2 does nothing for tfds:digits",
  ("tfds:digits", "--on_error=skip"): "on_error=skip does nothing for tfds:di",
  ("tfds:digits", "--beam=--x"): "beam=--x does nothing for tfds:digits",
  ("folder:{}", "--workers=-1"): "workers=-1 must be >= 0",
  (
    "folder:{}",
    "--workers=2 --beam=--x",
  ): "workers=2 does nothing with beam=--x",
  ("tfds:resisc45", ""): "needs files in --from_dir=DIR: ",
  ("tfds:imagenet21k", ""): "name a config after a /: fall11_21843, fall11_21",
}


@pytest.mark.parametrize(("name", "flags"), REFUSED)
def test_refused(name, flags, tmp_path, capsys):
  arguments = [name.format(tmp_path), *flags.split()]
  code = main.main(["data", "prepare", *arguments, f"--data_dir={tmp_path}"])
  said = capsys.readouterr().err
  assert (code, said.count("\n")) == (2, 1)
  assert REFUSED[name, flags] in said
