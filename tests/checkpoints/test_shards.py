"""safetensors in several parts, as transformers writes large models."""

import json

import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints
from vit_jax.checkpoints import safetensors_io, tensors
from vit_jax.core import errors, tree

INDEX = "model.safetensors.index.json"
NAMES = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]


@pytest.fixture
def folder(tmp_path):
  """A model of transformers in two parts."""
  path = files.write(tmp_path / "whole", "hf_vit")
  out = tmp_path / "parts"
  out.mkdir()
  arrays = rule.params(rule.load("hf_vit"))
  place = {name: NAMES[i % 2] for i, name in enumerate(arrays)}
  for part in NAMES:
    content = {k: v for k, v in arrays.items() if place[k] == part}
    safetensors_io.write(
      out / part, {k: tensors.from_array(v) for k, v in content.items()}
    )
  (out / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": place}))
  config = path.with_name("config.json").read_text()
  (out / "config.json").write_text(config)
  return out


def change(folder, **entries):
  index = json.loads((folder / INDEX).read_text())
  (folder / INDEX).write_text(json.dumps(index | entries))


def refused(path, match):
  with pytest.raises(errors.CheckpointError, match=match) as e:
    checkpoints.load(path)
  assert "\n" not in str(e.value)


def test_parts_are_loaded(folder):
  got = checkpoints.load(folder)
  whole = checkpoints.load(folder.parent / "whole")
  assert got.model == whole.model
  ours, theirs = tree.flatten(got.params), tree.flatten(whole.params)
  for name, value in theirs.items():
    np.testing.assert_array_equal(ours[name], value)
  assert checkpoints.load(folder / INDEX).report.used == got.report.used


def test_a_part_alone(folder):
  refused(folder / NAMES[0], "one of several parts; name their folder")
  (folder / INDEX).unlink()
  refused(folder, f"2 parts of a model, but no {INDEX}")


def test_a_part_that_is_missing_or_cut_off(folder):
  data = (folder / NAMES[1]).read_bytes()
  (folder / NAMES[1]).write_bytes(data[:-9])
  refused(folder, "is refused")
  (folder / NAMES[1]).unlink()
  refused(folder, f"its part {NAMES[1]} is not beside it")


def test_an_index_that_says_something_else(folder):
  place = json.loads((folder / INDEX).read_text())["weight_map"]
  name = min(place)
  other = NAMES[place[name] == NAMES[0]]
  change(folder, weight_map={**place, name: other})
  refused(folder, "is only in the index or only in")
  change(folder, weight_map={k: v for k, v in place.items() if k != name})
  refused(folder, f"{name} is only in the index or only in")
  change(folder, weight_map={**place, "another": other})
  refused(folder, "another is only in the index or only in")


@pytest.mark.parametrize(
  "part",
  [
    *("../whole/model.safetensors", "/etc/a.safetensors", "a\\b.safetensors"),
    *("..safetensors", "config.json", 3, None, ""),
  ],
)
def test_an_index_that_leads_elsewhere(folder, part):
  change(folder, weight_map={"a": part})
  refused(folder, "is no name of a file beside it")


@pytest.mark.parametrize(
  "text", ["", "[]", "{}", '{"weight_map": 3}', "{" * 9, "[" * 10**5]
)
def test_an_index_that_cannot_be_read(folder, text):
  (folder / INDEX).write_text(text)
  refused(folder, "no readable weight_map")
