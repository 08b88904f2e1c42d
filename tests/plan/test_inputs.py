"""Made-up data of the shapes of a config's data."""

import pytest

from tests.plan import small


@pytest.mark.parametrize(
  ("examples", "overrides", "steps"),
  [
    (0, {"duration": "30 steps"}, 30),
    (0, {"duration": "2 epochs"}, 0),
    (40_960, {"duration": "2 epochs"}, 20),
    # Published: 1,281,167 images.
    (0, {"duration": "32 epochs", "name": "tfds:imagenet2012"}, 10_009),
    # Without a config: fall11_21843, of 14,197,122 images.
    (
      0,
      {
        "duration": "90 epochs",
        "name": "tfds:imagenet21k",
        "split": "full[51200:]",
      },
      310_823,
    ),
    (0, {"duration": "4096 epochs", "split": "train[:100]"}, 100),
  ],
)
def test_lengths_of_data_that_is_not_here(tmp_path, examples, overrides, steps):
  overrides = dict(overrides)
  name = overrides.pop(
    "name",
    "tfds:imagenet2012" if "split" in overrides else "multilabel:nowhere.csv",
  )
  found = small.planned(
    examples,
    data__train__name=name,
    data__train__split=overrides.pop("split", "train"),
    optim__schedule__warmup="0 steps",
    runtime__data_dir=str(tmp_path),
    **overrides,
  )
  assert found.steps == steps
  assert not found.experiment.evals
  assert found.inputs.image_shape == (64, 64, 3)
