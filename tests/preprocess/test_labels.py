"""Several labels an example: padded on the host, multi-hot on the device."""

import jax
import numpy as np
import pytest

from vit_jax.core import errors
from vit_jax.preprocess.pipeline import Pipeline


def run(text, **features):
  example = {"image": 0, "id": 7, **features}
  return Pipeline.parse(text).host(example, np.random.default_rng(0))


@pytest.mark.parametrize(
  ("labels", "padded"),
  [
    ([4, 1, 9], [4, 1, 9, -1]),
    (np.array([3], np.int64), [3, -1, -1, -1]),
    ((), [-1] * 4),
    (np.arange(4, dtype=np.uint16), [0, 1, 2, 3]),
  ],
)
def test_labels_are_padded(labels, padded):
  out = run("pad_labels(4)", labels=labels)
  np.testing.assert_array_equal(out["label"], padded)
  assert out["label"].dtype == np.int32
  assert set(out) == {"image", "id", "label"}


def test_another_feature():
  out = run("pad_labels(2, key='classes')", classes=[5], labels="left")
  np.testing.assert_array_equal(out["label"], [5, -1])
  assert out["labels"] == "left" and "classes" not in out


def test_the_list_may_be_called_label():
  out = run("pad_labels(2, 'label')", label=[5])
  np.testing.assert_array_equal(out["label"], [5, -1])


def test_padded_on_the_host_is_multi_hot_on_the_device():
  p = Pipeline.parse("pad_labels(3)|onehot(4)")
  lists = ([2, 0], [], [1, 1, 3], [3])
  rows = [
    p.host({"id": i, "labels": x}, np.random.default_rng(0))["label"]
    for i, x in enumerate(lists)
  ]
  out = jax.jit(p.device)({"label": np.stack(rows)})["label"]
  assert out.dtype == np.float32
  np.testing.assert_array_equal(
    out, [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]
  )


WRONG = {
  "too many": ([1, 2, 3], "record 7 has 3 labels; write pad_labels(3) or more"),
  "negative": ([1, -1], "labels has classes from -1 to 1"),
  "large": ([2**31], f"to {2**31}, not within 0..{2**31 - 1}"),
  "fractions": ([0.5], "record 7: labels is float64 (1,), not a list of whole"),
  "text": (["cat"], "not a list of whole numbers"),
  "nested": ([[1, 2]], "labels is int64 (1, 2), not a list"),
  "one label": (3, "labels is int64 (), not a list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_labels(name):
  labels, said = WRONG[name]
  with pytest.raises(errors.DataError) as caught:
    run("pad_labels(2)", labels=labels)
  assert said in str(caught.value)
  assert "record 7" in str(caught.value)


def test_refused():
  with pytest.raises(errors.ConfigError, match="max_labels=0 must be > 0"):
    Pipeline.parse("pad_labels(0)")
  with pytest.raises(errors.ConfigError, match="no feature labels; did you"):
    run("pad_labels(2)", label=[1])
