"""Dataclasses <-> ConfigDict, on a small package of components of its own."""

import dataclasses
import sys
from typing import Any, Literal

import pytest

from vit_jax.core import config as config_lib, errors
from vit_jax.core.duration import Duration

NET = """
import dataclasses
from vit_jax.core import errors

@dataclasses.dataclass(frozen=True)
class Config:
  width: int = 768
  num_heads: int = 12

  def __post_init__(self):
    if self.width % self.num_heads:
      low = self.width // self.num_heads * self.num_heads
      raise errors.ConfigError(
        "{width} must be a multiple of {num_heads}"
        f" ({self.width} % {self.num_heads} = {self.width % self.num_heads});"
        f" nearest: {low} or {low + self.num_heads}.",
        {"width": self.width, "num_heads": self.num_heads},
      )
"""
ADAM = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Config:
  b1: float = 0.9
  b2: float = 0.999
  peak_lr: float = 1e-3
  weight_decay: float = 0.1
"""


@pytest.fixture(scope="module", autouse=True)
def zoo(tmp_path_factory):
  root = tmp_path_factory.mktemp("zoo")
  package = root / "config_zoo"
  package.mkdir()
  (package / "__init__.py").write_text("")
  (package / "net.py").write_text(NET)
  (package / "adam.py").write_text(ADAM)
  (package / "helper.py").write_text("")
  (package / "base.py").write_text('DEFINES = {"Config": object}')
  sys.path.insert(0, str(root))
  yield
  sys.path.remove(str(root))
  for name in [m for m in sys.modules if m.startswith("config_zoo")]:
    del sys.modules[name]


@dataclasses.dataclass(frozen=True)
class Crop:
  size: tuple[int, int] = (224, 224)
  scales: tuple[float, ...] = (0.5, 1.0)
  rates: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Runtime:
  workers: int = 0


@dataclasses.dataclass(frozen=True)
class Root:
  seed: int = 0
  scale: float = 1.0
  flip: bool = True
  loss: Literal["softmax", "sigmoid"] = "softmax"
  length: Duration = Duration(3, "epochs")
  crop: Crop = dataclasses.field(default_factory=Crop)
  model: Any = config_lib.component("config_zoo", "net")
  optim: Any = config_lib.component("config_zoo", "adam")
  parts: Any = config_lib.components("config_zoo")
  runtime: Runtime = dataclasses.field(default_factory=Runtime)


def default():
  return config_lib.to_config_dict(Root())


def build_error(config):
  with pytest.raises(errors.ConfigError) as e:
    config_lib.build(Root, config)
  return str(e.value)


def test_to_config_dict_has_every_field():
  config = default()
  assert config.to_dict() == {
    "seed": 0,
    "scale": 1.0,
    "flip": True,
    "loss": "softmax",
    "length": "3 epochs",
    "crop": {"size": (224, 224), "scales": (0.5, 1.0), "rates": ()},
    "model": {"name": "net", "width": 768, "num_heads": 12},
    "optim": {
      "name": "adam",
      "b1": 0.9,
      "b2": 0.999,
      "peak_lr": 1e-3,
      "weight_decay": 0.1,
    },
    "parts": {},
    "runtime": {"workers": 0},
  }
  assert not config.is_locked


def test_build_is_the_inverse_of_to_config_dict():
  config = default()
  config.parts.first = {"name": "net", "width": 24, "num_heads": 3}
  config.length = "7 steps"
  config.crop.rates = (("head", 0.5), ("stem", 2.0))
  root = config_lib.build(Root, config)
  assert root.length == Duration(7, "steps")
  assert root.parts["first"].width == 24
  assert root.crop.rates == (("head", 0.5), ("stem", 2.0))
  assert config_lib.to_config_dict(root) == config
  assert config_lib.module_for(root.model).__name__ == "config_zoo.net"


def test_name_chooses_the_module():
  config = default()
  config.model = {**config.optim}
  assert config_lib.build(Root, config).model.b1 == 0.9


def test_rule_between_fields_names_both_paths():
  config = default()
  config.model.width = 770
  assert build_error(config) == (
    "model.width=770 must be a multiple of model.num_heads=12"
    " (770 % 12 = 2); nearest: 768 or 780."
  )


def test_unknown_field_names_the_close_one_and_all():
  config = default()
  config.optim.peek_lr = 3e-4
  assert build_error(config) == (
    "unknown field optim.peek_lr; did you mean optim.peak_lr?"
    " (fields: b1, b2, peak_lr, weight_decay)"
  )


def _set(path, value):
  def change(config):
    *parents, leaf = path.split(".")
    for part in parents:
      config = config[part]
    with config.ignore_type():
      config[leaf] = value

  return change


def _delete(path):
  def change(config):
    *parents, leaf = path.split(".")
    for part in parents:
      config = config[part]
    del config[leaf]

  return change


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (_set("zeed", 1), "unknown field zeed; did you mean seed? (fields: crop,"),
    (_delete("seed"), "missing field seed"),
    (_delete("crop.size"), "missing field crop.size"),
    (_delete("optim.name"), "missing field optim.name"),
    (_set("seed", 1.5), "seed=1.5 is a float, not a int"),
    (_set("seed", True), "seed=True is a bool, not a int"),
    (_set("seed", None), "seed=None is a NoneType, not a int"),
    (_set("flip", 1), "flip=1 is a int, not a bool"),
    (_set("scale", "1"), "scale=1 is a str, not a float"),
    (_set("crop.size", (1, 2, 3)), "crop.size=(1, 2, 3) has 3 entries, not 2"),
    (_set("crop.size", 224), "crop.size=224 is not a tuple"),
    (_set("crop.size", (1.5, 2)), "crop.size=1.5 is a float, not a int"),
    (_set("crop.rates", (("a",),)), "crop.rates=('a',) has 1 entries, not 2"),
    (
      _set("loss", "softmaxx"),
      "loss=softmaxx is not one of: softmax, sigmoid; did you mean softmax?",
    ),
    (
      _set("length", "3 epoch s"),
      "length=3 epoch s: a duration is a number and one of",
    ),
    (
      _set("model.name", "nett"),
      "unknown model.name=nett; did you mean net? (there are: adam, net)",
    ),
    (
      _set("model.name", "helper"),
      "unknown model.name=helper (there are: adam, net)",
    ),
    (
      _set("model.name", "adam"),
      "unknown field model.num_heads (fields: b1, b2, peak_lr, weight_decay)",
    ),
    (
      _set("parts.top", {"name": "net", "width": 8, "num_heads": 3}),
      "parts.top.width=8 must be a multiple of parts.top.num_heads=3",
    ),
    (_set("parts.top", 5), "parts.top=5 is a int, not a group of fields"),
    (_set("parts", 5), "parts=5 is a int, not a group of fields"),
    (_set("crop", 5), "crop=5 is a int, not a group of fields"),
    (_set("model.name", 5), "model.name=5 is a int, not a str"),
    (_set("parts.top", {"width": 8}), "missing field parts.top.name"),
    (
      _set("parts.top", {"name": "no"}),
      "unknown parts.top.name=no",
    ),
  ],
)
def test_build_refuses(change, message):
  config = default()
  change(config)
  error = build_error(config)
  assert error.startswith(message)
  assert "\n" not in error


def test_whole_numbers_fit_float_fields():
  scale = config_lib.build(Root, {**default().to_dict(), "scale": 2}).scale
  assert scale == 2.0
  assert type(scale) is float


def test_lists_become_tuples():
  config = default()
  _set("crop.size", [3, 4])(config)
  assert config_lib.build(Root, config).crop.size == (3, 4)


CONFIG_FILE = """
from ml_collections import ConfigDict
from vit_jax.core import config as config_lib

def get_config(arg=""):
  arg = config_lib.parse_arg(arg, width=8)
  return ConfigDict(
    {"seed": 0, "rate": 0.5, "name": "a", "size": (1, 2),
     "model": {"width": arg.width}}
  )
"""


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "small.py"
  path.write_text(CONFIG_FILE)
  return path


def test_load_hands_over_the_argument_and_locks(file):
  config = config_lib.load(str(file), "width=16")
  assert config.model.width == 16
  with pytest.raises(AttributeError):
    config.model.depth = 1


def test_load_applies_overrides_by_path(file):
  overrides = {"model.width": 3, "rate": 1, "size": (5, 6), "name": "b"}
  config = config_lib.load(str(file), "", overrides)
  assert config.model.width == 3
  assert config.rate == 1.0
  assert config.size == (5, 6)
  assert config.name == "b"


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    (
      {"model.widht": 3},
      "unknown field model.widht; did you mean model.width? (fields: width)",
    ),
    ({"sead": 3}, "unknown field sead; did you mean seed? (fields: model,"),
    ({"seed.deep": 3}, "unknown field seed.deep (fields: )"),
    ({"model": 3}, "model is a group of fields; set one of them (model.width)"),
    ({"seed": "x"}, "seed=x is a str, not a int"),
    ({"seed": 0.5}, "seed=0.5 is a float, not a int"),
  ],
)
def test_load_refuses_overrides(file, overrides, message):
  with pytest.raises(errors.ConfigError) as e:
    config_lib.load(str(file), "", overrides)
  assert str(e.value).startswith(message)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("x = 1", "defines no get_config(arg)"),
    ("def get_config(arg):\n  return {}", "get_config returned a dict, not a"),
    ("def get_config(arg:\n", "bad.py, line 1: "),
    (
      "from ml_collections import ConfigDict\n"
      "def get_config(arg):\n"
      "  c = ConfigDict({'lr': 1.0}).lock()\n"
      "  c.rl = 2.0\n"
      "  return c\n",
      "rl",
    ),
  ],
)
def test_load_refuses_files(tmp_path, text, message):
  path = tmp_path / "bad.py"
  path.write_text(text)
  with pytest.raises(errors.ConfigError) as e:
    config_lib.load(str(path))
  assert str(e.value).startswith(f"config={path}")
  assert message in str(e.value)


def test_load_suggests_a_file_nearby(file):
  with pytest.raises(errors.ConfigError) as e:
    config_lib.load(str(file.with_name("smal.py")))
  assert "smal.py is no file; did you mean" in str(e.value)
  assert str(e.value).endswith("small.py?")


def test_load_refuses_what_is_not_python(tmp_path):
  path = tmp_path / "config.json"
  path.write_text("{}")
  with pytest.raises(errors.ConfigError, match="is not a Python file"):
    config_lib.load(str(path))


def test_parse_arg_keeps_the_types_of_the_defaults():
  arg = config_lib.parse_arg(
    "variant=L/16,res=384,lr=1e-3,runlocal=true",
    model="vit",
    variant="B/16",
    res=224,
    lr=0.1,
    runlocal=False,
  )
  assert vars(arg) == {
    "model": "vit",
    "variant": "L/16",
    "res": 384,
    "lr": 1e-3,
    "runlocal": True,
  }
  assert config_lib.parse_arg("", res=224).res == 224
  # A path may have commas.
  arg = config_lib.parse_arg("path=a, b,c,res=7,", path="", res=0)
  assert vars(arg) == {"path": "a, b,c", "res": 7}


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    (
      "ress=3",
      "unknown config argument ress=3; did you mean res?"
      " (arguments: res=224, flip=False)",
    ),
    ("res", "unknown config argument res"),
    ("res=big", "config argument res=big: 'big' is not a int"),
    ("flip=maybe", "config argument flip=maybe: 'maybe' is not a bool"),
  ],
)
def test_parse_arg_refuses(arg, message):
  with pytest.raises(errors.ConfigError) as e:
    config_lib.parse_arg(arg, res=224, flip=False)
  assert str(e.value).startswith(message)
