"""Sources of the package and from outside, found by the name of a data set."""

import subprocess
import sys

from absl import flags
import numpy as np
import pytest

from tests.data import trees
from vit_jax.core import config as config_lib, errors
from vit_jax.data import base, config, pipeline
from vit_jax.preprocess.pipeline import Pipeline

# A whole source, as one writes it outside of the package.
VIDEO = """
import numpy as np
from vit_jax.data import base

class Video(base.Source):
  num_classes = 3
  class_names = ("a", "b", "c")

  def __init__(self, rest, split):
    self.fingerprint = {
      "name": rest, "version": "1", "split": split, "shard_sizes": [30]
    }

  def __len__(self):
    return 30

  def __getitem__(self, index):
    image = np.full((8, 8, 3), index, np.uint8)
    return {"image": image, "label": index % 3, "id": index}

def open_source(rest, split, data_dir):
  return Video(rest, split)

def split_names(rest, data_dir):
  return ("train",)
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
  """A folder that modules are imported from."""
  trees.write(tmp_path, {"mylab/sources/video.py": VIDEO.encode()})
  monkeypatch.syspath_prepend(str(tmp_path))
  known = set(sys.modules)
  yield tmp_path
  for name in set(sys.modules) - known:
    if name.partition(".")[0] == "mylab":
      del sys.modules[name]


def test_a_source_from_outside(lab):
  name = "mylab.sources.video:one:two"
  source = base.open_source(name, "train")
  assert (len(source), source.num_classes) == (30, 3)
  assert source.fingerprint["name"] == "one:two"
  assert (source.where(4), source.parts) == ("record 4", ((30, 1),))
  assert base.split_names(name) == ("train",)


def test_its_whole_name_counts_unless_it_says_what_is_a_place(lab):
  name = "mylab.sources.video:/a/b"
  assert base.placeless(name) == name
  assert not base.is_same(name, "mylab.sources.video:/c/b")
  code = VIDEO + '\ndef placeless(rest):\n  return rest.rpartition("/")[2]\n'
  trees.write(lab, {"mylab/sources/placed.py": code.encode()})
  assert base.placeless("mylab.sources.placed:/a/b") == "mylab.sources.placed:b"
  assert base.is_same("mylab.sources.placed:/a/b", "mylab.sources.placed:b")
  assert not base.is_same("mylab.sources.placed:b", "unknown:b")


def test_a_config_names_it_and_does_not_import_it(lab):
  default = config_lib.to_config_dict(config.Config())
  default.train.name = "mylab.sources.video:x"
  built = config_lib.build(config.Config, default)
  assert built.train.name == "mylab.sources.video:x"
  assert "mylab.sources.video" not in sys.modules


def test_a_mixture_may_have_it_as_a_part(lab):
  name = "mix:0.5*mylab.sources.video:x+0.25*mylab.sources.video:y"
  source = base.open_source(name, "train")
  assert source.parts == ((30, 2), (30, 1))
  assert source[31]["id"] == 31


@pytest.mark.slow
def test_worker_processes_import_it(lab):
  flags.FLAGS.mark_as_parsed()
  source = base.open_source(
    "mix:1*mylab.sources.video:x+1*mylab.sources.video:y", "train"
  )
  batches = pipeline.train_batches(
    source, Pipeline.parse("decode"), batch_size=4, seed=0, num_steps=3
  )
  stream = pipeline.iterate(batches, num_workers=1)
  try:
    made = list(stream)
  finally:
    stream.close()
  assert len(made) == 3
  for step, batch in enumerate(made):
    np.testing.assert_array_equal(batch["image"], batches[step]["image"])


def test_the_working_folder_is_where_a_command_imports_from(lab):
  """`python -m` puts it first; data/base.py does nothing of its own."""
  code = (
    "from vit_jax.data import base;"
    "print(len(base.open_source('mylab.sources.video:x', 'train')))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=lab,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == "30\n"


def refused(name):
  with pytest.raises(errors.ConfigError) as caught:
    base.open_source(name, "train")
  text = str(caught.value)
  assert "\n" not in text
  scheme = name.partition(":")[0]
  assert text.startswith((f"name={name}: ", f"name={scheme}: "))
  return text.partition(": ")[2]


def test_what_a_module_lacks_is_named(lab):
  file = "mylab/sources/video.py"
  trees.write(lab, {file: VIDEO.replace("def open_", "def open").encode()})
  said = f"{lab / file} defines no open_source; see vit_jax.data.base"
  assert refused("mylab.sources.video:x").endswith(said)
  sys.modules.pop("mylab.sources.video")
  trees.write(lab, {"mylab/sources/video2.py": b"open_source = 1"})
  said = "mylab/sources/video2.py defines no split_names; see vit_jax.data.base"
  assert refused("mylab.sources.video2:x").endswith(said)
  trees.write(lab, {"mylab/package/__init__.py": b""})
  said = "mylab/package/__init__.py defines no open_source; it defines no"
  assert said in refused("mylab.package:x")


def test_a_module_that_is_not_there(lab):
  remedy = (
    "; its folder must be the working directory, on PYTHONPATH or installed"
  )
  for name in (
    "mylab.sources.audio",
    "otherlab.audio",
    "mylab.sources.video.x",
  ):
    assert refused(f"{name}:x").endswith(remedy)
  assert "No module named 'otherlab'" in refused("otherlab.audio:x")


def test_what_a_module_itself_cannot_import_is_named(lab):
  trees.write(lab, {"mylab/broken.py": b"import nothing_of_that_name"})
  assert (
    "mylab.broken cannot be imported (No module named 'nothing_of_that_name')"
  ) in refused("mylab.broken:x")


@pytest.mark.parametrize(
  "name", ["tfd:digits", "digits", "", "my-lab.video:x", ".video:x", "a..b:x"]
)
def test_a_scheme_that_is_no_module(name):
  assert "(a name is scheme:rest, where scheme is one of folder," in (
    refused(name)
  )
  with pytest.raises(errors.ConfigError, match="unknown scheme"):
    base.split_names(name)


def test_an_error_names_the_record_once():
  source = base.open_source("synthetic", "train")
  for text in ("record 3: is empty", "is empty"):
    described = base.describe_error(source, 3, ValueError(text))
    assert described == "record 3: is empty"
