"""What a config infers is recorded, and taken from there by the same config."""

import json

import pytest

from vit_jax.core import config as config_lib, errors
from vit_jax.train import inferred

FILE = """
import pathlib
from vit_jax.core import config
def get_config(arg=""):
  def read():
    width = int(pathlib.Path(arg).read_text())
    return config.ConfigDict(dict(width=width, sides=((1, 2), "a"), name="x"))
  return read
"""


@pytest.fixture
def place(tmp_path):
  """The --config of a file that infers a value from the file `facts`."""
  (tmp_path / "c.py").write_text(FILE)
  (tmp_path / "facts").write_text("3")
  return f"{tmp_path}/c.py:{tmp_path}/facts"


def test_it_is_inferred_once(place, tmp_path):
  workdir = tmp_path / "run"
  workdir.mkdir()
  first = inferred.record(str(workdir), place)
  inferred.write(workdir, first)
  (tmp_path / "facts").unlink()
  assert inferred.record(str(workdir), place)["values"]["width"] == 3
  # To start over is to look again, and so is another argument.
  for other in ((place, True), (f"{place}2", False)):
    with pytest.raises(FileNotFoundError):
      inferred.record(str(workdir), *other)


def test_recorded_values_are_as_they_were(place, tmp_path):
  path, _, arg = place.partition(":")
  values = json.loads(json.dumps(inferred.record(str(tmp_path), place)))
  direct = config_lib.load(path, arg, {"name": "y"})
  (tmp_path / "facts").unlink()
  again = config_lib.load(path, arg, {"name": "y"}, inferred=values["values"])
  assert again == direct
  assert again.sides == ((1, 2), "a")
  assert again.name == "y"


def test_a_config_of_constants_has_no_record(tmp_path):
  file = tmp_path / "c.py"
  file.write_text(
    "from vit_jax.core import config\n"
    "def get_config(arg=''):\n  return config.ConfigDict(dict(width=1))\n"
  )
  assert inferred.record(str(tmp_path), str(file)) == {}
  inferred.write(tmp_path, {})
  assert not (tmp_path / inferred.FILE).exists()


@pytest.mark.parametrize(
  "text",
  [
    *("", "[]", "{}", '{"config": 1, "values": {}}'),
    '{"config": "c.py", "values": []}',
  ],
)
def test_a_damaged_record_is_one_line(place, tmp_path, text):
  (tmp_path / inferred.FILE).write_text(text)
  with pytest.raises(errors.ConfigError, match=r"inferred.json cannot be read"):
    inferred.record(str(tmp_path), place)


def test_a_record_that_cannot_be_opened_is_one_line(place, tmp_path):
  (tmp_path / inferred.FILE).mkdir()
  with pytest.raises(errors.ConfigError, match=r"inferred.json cannot be read"):
    inferred.record(str(tmp_path), place)
