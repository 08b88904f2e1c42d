"""predict, inspect and convert, from the command line to files and back."""

import csv
import io
import json

import cv2
import numpy as np
import pytest

from tests.export.test_predict import make
from vit_jax import checkpoints
from vit_jax.cli.main import main


@pytest.fixture(scope="module")
def four(tmp_path_factory):
  """A model of four channels."""
  path = tmp_path_factory.mktemp("four") / "four.npz"
  checkpoints.save(make(channels=4), "npz", path)
  return path


@pytest.fixture
def picture(tmp_path):
  path = tmp_path / "picture.jpg"
  rng = np.random.default_rng(0)
  cv2.imwrite(str(path), rng.integers(0, 255, (30, 40, 3), np.uint8))
  return path


def run(capsys, *argv):
  code = main([str(a) for a in argv])
  return code, *capsys.readouterr()


def rows(capsys, checkpoint, picture, *more):
  argv = ("predict", f"--checkpoint={checkpoint}", picture, *more)
  code, out, err = run(capsys, *argv, "--format=json")
  assert code == 0, err
  return json.loads(out)["classes"]


def test_predict_in_every_format(capsys, weights, picture):
  argv = ("predict", f"--checkpoint={weights}", picture, "--top_k=2")
  code, table, err = run(capsys, *argv)
  assert code == 0
  assert "value_range(-1" in err
  _, text, _ = run(capsys, *argv, "--format=json")
  found = json.loads(text)
  assert found["path"] == str(picture)
  assert len(found["classes"]) == 2
  best = found["classes"][0]
  assert table.splitlines()[:2] == [
    str(picture),
    f"  {best['probability']:7.2%}  {best['name']}",
  ]
  _, text, _ = run(capsys, *argv, "--format=csv")
  first, *_ = csv.DictReader(io.StringIO(text))
  assert first["path"] == str(picture)
  assert float(first["probability"]) == pytest.approx(best["probability"], 1e-4)
  assert (first["rank"], first["class"]) == ("1", str(best["class"]))


def test_predict_with_names_from_a_file(capsys, weights, picture, tmp_path):
  names = tmp_path / "names.txt"
  names.write_text("".join(f"thing {i}\n" for i in range(6)))
  found = rows(capsys, weights, picture, f"--labels={names}")
  assert {c["name"] for c in found} == {f"thing {c['class']}" for c in found}


def test_a_bad_file_is_named_and_the_code_is_1(capsys, weights, picture):
  bad = picture.with_name("bad.jpg")
  bad.write_bytes(b"no picture")
  code, out, err = run(
    capsys, "predict", f"--checkpoint={weights}", picture, bad
  )
  assert code == 1
  assert str(picture) in out
  assert str(bad) in err
  assert "DataError: 1 of 2 files" in err


@pytest.mark.parametrize("to", ["npz", "timm", "hf", "orbax"])
def test_converted_checkpoints_predict_the_same(
  capsys, weights, picture, tmp_path, to
):
  out = tmp_path / ("out.npz" if to == "npz" else "out")
  code, text, err = run(
    capsys, "convert", f"--checkpoint={weights}", f"--to={to}", f"--out={out}"
  )
  assert code == 0, err
  assert text.startswith("vision_transformer -> ")
  before, after = (rows(capsys, c, picture) for c in (weights, out))
  assert [c["class"] for c in before] == [c["class"] for c in after]
  np.testing.assert_allclose(
    [c["probability"] for c in before],
    [c["probability"] for c in after],
    rtol=1e-3,
  )


def test_inspect(capsys, weights):
  code, out, err = run(capsys, "inspect", f"--checkpoint={weights}")
  assert code == 0, err
  loaded = checkpoints.load(weights)
  lines = out.splitlines()
  assert lines[0].split() == ["format", "vision_transformer"]
  assert "  width = 16" in lines
  assert any(line.split()[:1] == ["params/head/kernel"] for line in lines)
  total = sum(x.size for x in _leaves(loaded.params))
  assert f"parameters  {total:,}" in out


def _leaves(nested):
  for value in nested.values():
    if isinstance(value, dict):
      yield from _leaves(value)
    else:
      yield value


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["predict", "--checkpoint=X", "PICTURE"], "X does not exist"),
    (["predict", "--checkpoint=WEIGHTS", "nowhere"], "nowhere does not exist"),
    (["predict", "--checkpoint=WEIGHTS", "PICTURE", "--top_k=0"], "top_k=0"),
    (
      ["predict", "--checkpoint=FOUR", "PICTURE"],
      "takes images of 4 channel(s)",
    ),
    (["convert", "--checkpoint=WEIGHTS", "--to=tim", "--out=x"], "timm"),
    (
      ["inspect", "--checkpoint=WEIGHTS", "--resolution=big"],
      "big is not SIDE or HEIGHTxWIDTH",
    ),
    (["inspect", "--checkpoint=WEIGHTS", "more"], "unknown argument more"),
  ],
)
def test_one_line_for_what_is_wrong(
  capsys, weights, four, picture, argv, message
):
  words = {"WEIGHTS": weights, "PICTURE": picture, "FOUR": four}
  for word, value in words.items():
    argv = [a.replace(word, str(value)) for a in argv]
  code, _, err = run(capsys, *argv)
  assert code in (1, 2)
  assert message in err
  assert len(err.splitlines()) == 1
