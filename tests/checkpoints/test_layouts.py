"""How layouts are found, and those that lie outside of the package."""

import sys

import numpy as np
import pytest

from tests.checkpoints import files
from vit_jax import checkpoints
from vit_jax.checkpoints import layouts
from vit_jax.cli.main import main
from vit_jax.core import errors

MY_LAYOUT = r"""
from vit_jax.checkpoints.layouts import bit

class MyLayout(bit.Bit):
  format = "mylab"
  export = ""
  marks = (r"net/stage\d/unit\d\d/.*",)
  root = "net/stem/kernel"
  head = "net/head"
  unit = "net/stage{}/unit{:02}"
  final_norm = "net/norm"
"""


@pytest.fixture
def mylab(tmp_path, monkeypatch):
  """Writes a module mylab.my_layout that can be imported; its name."""
  monkeypatch.syspath_prepend(str(tmp_path))
  (tmp_path / "mylab").mkdir()

  def write(text):
    (tmp_path / "mylab" / "my_layout.py").write_text(text)
    return "mylab.my_layout"

  yield write
  for name in ("mylab.my_layout", "mylab"):
    sys.modules.pop(name, None)


def names(found):
  return {type(layout).__name__ for layout in found}


def test_a_format_and_a_module_name_layouts():
  assert names(layouts.named("timm")) == {
    *("TimmVit", "TimmHybrid", "TimmSwin", "TimmMobileVit", "TimmBit")
  }
  assert names(layouts.named("timm_vit")) == {"TimmVit", "TimmHybrid"}
  assert names(layouts.named("big_vision_scan")) == {"Scanned"}
  assert len(layouts.named("npz")) == 6
  with pytest.raises(errors.ConfigError, match="did you mean timm_vit"):
    layouts.named("timm_vitt")


@pytest.mark.parametrize("to", ["npz", "timm", "hf", "big_vision"])
def test_a_file_is_read_in_the_named_layout_alone(tmp_path, to):
  path = files.write(tmp_path, "vit_token")
  if to in ("npz", "big_vision"):
    right, wrong = "vision_transformer", "big_vision_scan"
  else:
    saved = checkpoints.save(checkpoints.load(path), to, tmp_path / to)
    path, right, wrong = saved.path, to, "hf_swin"
  loaded = checkpoints.load(path, layout=right)
  files.same(loaded.variables, checkpoints.load(path).variables)
  with pytest.raises(errors.CheckpointError, match="is of no known layout"):
    checkpoints.load(path, layout=wrong)


def test_a_file_of_another_kind_than_the_layout(tmp_path):
  path = files.write(tmp_path, "vit_token")
  with pytest.raises(errors.CheckpointError, match="like a file of safetens"):
    checkpoints.load(path, layout="timm")


def test_a_layout_from_outside(tmp_path, mylab):
  loaded = checkpoints.load(files.write(tmp_path, "bit_r1211_x05"))
  name, out = mylab(MY_LAYOUT), tmp_path / "out.npz"
  saved = checkpoints.save(loaded, name, out)
  assert saved.format == "mylab"
  with np.load(out) as arrays:
    assert "net/stage1/unit01/conv1/kernel" in arrays
  again = checkpoints.load(out, layout=name)
  assert again.source_format == "mylab"
  files.same(again.variables, loaded.variables)
  # What was exported from it names nothing that would be imported later.
  checkpoints.save(again, "npz", tmp_path / "bit.npz")
  assert "mylab" not in (tmp_path / "bit.npz.json").read_text()
  # The file alone brings in no module.
  with pytest.raises(errors.CheckpointError, match="of no known layout"):
    checkpoints.load(out)


def test_a_layout_from_outside_on_the_command_line(tmp_path, mylab, capsys):
  path = files.write(tmp_path, "bit_r1211_x05")
  name, out = mylab(MY_LAYOUT), tmp_path / "out.npz"
  argv = ["convert", f"--checkpoint={path}", f"--to={name}", f"--out={out}"]
  assert main(argv) == 0
  assert "bit -> mylab" in capsys.readouterr().out
  assert main(["inspect", f"--checkpoint={out}", f"--layout={name}"]) == 0
  assert "format      mylab" in capsys.readouterr().out


@pytest.mark.parametrize(
  ("command", "argv"),
  [
    ("inspect", ()),
    ("predict", ("{}/image.png",)),
    ("analyze", ("--images={}/image.png", "--out={}/page")),
    ("convert", ("--to=npz", "--out={}/b.npz")),
    ("evaluate", ("--config=configs/quickstart.py",)),
  ],
)
def test_every_command_that_reads_weights(tmp_path, capsys, command, argv):
  """A layout that there is not is refused before anything is written."""
  (tmp_path / "image.png").write_bytes(b"")
  argv = [command, f"--checkpoint={tmp_path}/a.npz", "--layout=nothing"] + [
    x.format(tmp_path) for x in argv
  ]
  assert main(argv) == 2
  assert "layout=nothing is not one of: big_vision," in capsys.readouterr().err
  assert [x.name for x in tmp_path.iterdir()] == ["image.png"]


NO_LAYOUT = """
from vit_jax.checkpoints.layouts.bit import Bit
"""
INCOMPLETE = """
from vit_jax.checkpoints.base import Layout

class MyLayout(Layout):
  format = "mylab"

  def new(self, source):
    return None
"""


@pytest.mark.parametrize(
  ("text", "message"),
  [
    (NO_LAYOUT, "defines no class derived from Layout"),
    (
      INCOMPLETE,
      "defines MyLayout without container, model, marks, ends, objections,"
      " rules",
    ),
  ],
)
def test_what_a_module_from_outside_lacks(tmp_path, mylab, text, message):
  with pytest.raises(errors.ConfigError) as e:
    layouts.named(mylab(text))
  file = tmp_path / "mylab" / "my_layout.py"
  assert str(e.value) == f"{file} {message}; see vit_jax/checkpoints/base.py"


def test_a_module_that_is_not_there(mylab):
  with pytest.raises(errors.ConfigError, match=r"no\.such cannot be im"):
    layouts.named("no.such")


def test_a_run_has_no_layout(tmp_path):
  loaded = checkpoints.load(files.write(tmp_path, "vit_token"))
  checkpoints.save(loaded, "orbax", tmp_path / "run")
  with pytest.raises(errors.ConfigError, match="layout=timm is for files"):
    checkpoints.load(tmp_path / "run", layout="timm")
