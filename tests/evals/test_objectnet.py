"""A classifier on another data set's classes, by hand."""

import json

import pytest

from tests.evals import pixels
from vit_jax.core import errors
from vit_jax.evals import objectnet

NAMES = ("chair", "mug", "plate", "sofa")
# Two classes of the head are chairs, class 2 is no object of the data set.
MAP = {"5": 3, "0": "chair", "1": "plate", "4": "chair"}
# Logits of the head's six classes, label.
CASES = [
  ([1, 2, 3, 4, 9, 5], 0),  # chair (class 4)
  ([9, 2, 3, 4, 1, 5], 0),  # chair (class 0)
  ([1, 2, 9, 8, 0, 0], 2),  # plate: the best two are outside the map
  ([1, 2, 9, 8, 0, 3], 2),  # sofa is predicted, plate is second
  ([9, 9, 9, 9, 9, 9], 1),  # a mug, which the map does not have
  ([3, 5, 0, 0, 4, 0], 0),  # plate, although two chairs add up to more
]


def write(tmp_path, said):
  path = tmp_path / "map.json"
  path.write_text(json.dumps(said))
  return path


def run(path, cases=CASES):
  source = pixels.Source([c[0] for c in cases], [c[1] for c in cases], 4, NAMES)
  config = objectnet.Config(data=pixels.SPLIT, class_map=str(path))
  return pixels.scores(objectnet, config, data=source)


def test_by_hand(tmp_path):
  scores = run(write(tmp_path, {"source": "by hand", "map": MAP}))
  assert scores == {
    "top_1": 3 / 5,
    "top_5": 1.0,
    "examples": 5,
    "unmapped": 1,
  }


def test_top_5_of_many_classes(tmp_path):
  names = tuple("abcdefg")
  said = {"source": "by hand", "map": {str(i): n for i, n in enumerate(names)}}
  logits = [7, 6, 5, 4, 3, 2, 1]
  source = pixels.Source([logits] * 7, range(7), 7, names)
  path = str(write(tmp_path, said))
  config = objectnet.Config(data=pixels.SPLIT, class_map=path)
  scores = pixels.scores(objectnet, config, data=source)
  assert (scores["top_1"], scores["top_5"]) == (1 / 7, 5 / 7)


@pytest.mark.parametrize(
  ("said", "message"),
  [
    ({"map": MAP}, 'does not say its "source"'),
    ({"source": " ", "map": MAP}, 'does not say its "source"'),
    ({"source": "x"}, 'has no "map"'),
    ([], 'has no "map"'),
    ({"source": "x", "map": {}}, "maps nothing"),
    ({"source": "x", "map": {"0": "chairs"}}, "did you mean chair"),
    ({"source": "x", "map": {"0": 4}}, "maps 0 to 4, which the data lacks"),
    ({"source": "x", "map": {"0": True}}, "maps 0 to True"),
    ({"source": "x", "map": {"n01": 1}}, "maps 'n01', which is no number"),
    ({"source": "x", "map": {"6": 1}}, "class 6, but the model has 6"),
  ],
)
def test_bad_maps(tmp_path, said, message):
  with pytest.raises(errors.ConfigError, match=message) as e:
    run(write(tmp_path, said))
  assert "class_map=" in str(e.value)


def test_no_map(tmp_path):
  with pytest.raises(errors.ConfigError, match="class_map='' must be a JSON"):
    run("")
  bad = tmp_path / "bad.json"
  bad.write_text("{")
  with pytest.raises(errors.ConfigError, match="is not JSON"):
    run(bad)
  bad.write_text(" " * (objectnet._MAX_BYTES + 1))
  with pytest.raises(errors.ConfigError, match="is larger than"):
    run(bad)
