"""The data commands: what they print, and one line where something is wrong."""

import cv2
import pytest

from tests.data import trees
from vit_jax.cli import main


def run(capsys, *arguments):
  code = main.main(["data", *map(str, arguments)])
  out = capsys.readouterr()
  return code, out.out, out.err


def test_describe_and_sheet(capsys, data_dir, tmp_path):
  sheet = tmp_path / "sheet.png"
  code, out, err = run(
    capsys,
    *("describe", "tfds:digits", f"--data_dir={data_dir}"),
    *(f"--sheet={sheet}", "--split=test"),
  )
  assert (code, err) == (0, "")
  assert "split train" not in out
  assert "split test: 351 examples of 10 classes" in out
  assert out.endswith(f"wrote {sheet}\n")
  assert cv2.imread(str(sheet)).shape == (888, 1280, 3)


def test_describe_without_a_sheet(capsys, tmp_path):
  root = trees.classes(tmp_path / "photos", {"ant": 2, "bee": 3})
  code, out, _ = run(capsys, "describe", f"folder:{root}")
  assert code == 0
  assert "from 2 (ant) over 2 (median) to 3 (bee)" in out
  assert not list(tmp_path.glob("*.png"))


def test_verify(capsys, data_dir, tmp_path):
  code, out, _ = run(
    capsys, "verify", "tfds:digits", f"--data_dir={data_dir}", "--images"
  )
  assert (code, out.startswith("tfds:digits is whole: ")) == (0, True)
  root = trees.classes(tmp_path, {"ant": 2})
  (root / "ant/0.png").write_bytes(b"no image")
  assert run(capsys, "verify", f"folder:{root}")[0] == 0
  code, out, err = run(capsys, "verify", f"folder:{root}", "--images")
  assert (code, out, err.count("\n")) == (1, "", 1)
  assert "ant/0.png: the image is no JPEG" in err


WRONG = {
  ("describe",): "required: name",
  ("describe", "digits"): "unknown scheme digits",
  ("describe", "synthetic", "--split=tset"): "did you mean te",
  ("describe", "synthetic", "--images"): "unknown argument --images",
  ("verify", "tfds:digits", "--data_dir=nowhere"): "is not prepared in nowhere",
  ("verfy", "synthetic"): "invalid choice: 'verfy'",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_one_line_and_exit_2(capsys, arguments, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  code, _, err = run(capsys, *arguments)
  assert (code, err.count("\n")) == (2, 1)
  assert err.startswith("ConfigError: ")
  assert WRONG[arguments] in err


def test_list(capsys):
  code, out, err = run(capsys, "list")
  assert (code, err) == (0, "")
  assert "vtab:kitti_distance" in out
  assert "ILSVRC2012_img_val.tar" in out
  code, _, err = run(capsys, "list", "tfds:digits")
  assert (code, err.count("\n")) == (2, 1)
