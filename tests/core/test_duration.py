import pytest

from vit_jax.core import errors
from vit_jax.core.duration import Duration

RUN = {"batch_size": 32, "epoch_examples": 100, "total": 400}


@pytest.mark.parametrize(
  ("text", "steps"),
  [
    ("0 steps", 0),
    ("1 step", 1),
    ("10_000 steps", 10_000),
    ("1 epoch", 3),
    ("8 epochs", 25),
    ("0.5 epochs", 2),
    ("1e3 examples", 31),
    ("5 %", 20),
    ("5%", 20),
    ("100 %", 400),
    ("  7   steps ", 7),
    ("2.5 steps", 2),
    ("3.5 steps", 4),
    ("0.1 steps", 1),
    ("0.5 steps", 1),
    ("0.001 epochs", 1),
    ("3 examples", 1),
    ("0.1 %", 1),
    ("0 epochs", 0),
    ("0 %", 0),
  ],
)
def test_steps(text, steps):
  assert Duration.parse(text).steps(**RUN) == steps


def test_a_part_of_a_single_step_is_none_of_it():
  """A run of one step has no warm-up, whatever its percentage."""
  alone = {**RUN, "total": 1}
  assert Duration.parse("10 %").steps(**alone) == 0
  assert Duration.parse("100 %").steps(**alone) == 1
  assert Duration.parse("0.1 steps").steps(**alone) == 1


@pytest.mark.parametrize(
  "text",
  [
    "10_000 steps",
    "300 epochs",
    "0.1 epochs",
    "1_000_000_000 examples",
    "5 %",
    "0 steps",
  ],
)
def test_text_is_its_own_round_trip(text):
  duration = Duration.parse(text)
  assert str(duration) == text
  assert Duration.parse(str(duration)) == duration
  assert Duration.parse(duration) is duration


@pytest.mark.parametrize(
  "text", ["", "10", "steps", "-1 steps", "ten steps", "1 week", "1 steps x"]
)
def test_other_text_is_a_config_error(text):
  with pytest.raises(errors.ConfigError, match="a duration is a number and"):
    Duration.parse(text)


@pytest.mark.parametrize("value", [10, 1.5, True, ("1 steps",)])
def test_a_bare_number_has_no_unit(value):
  with pytest.raises(errors.ConfigError, match="a duration is a number and"):
    Duration.parse(value)


def test_close_units_are_suggested():
  with pytest.raises(errors.ConfigError, match=r"did you mean epochs\?"):
    Duration.parse("3 epochen")


def test_is_zero():
  assert Duration.parse("0 epochs").is_zero()
  assert not Duration.parse("1 examples").is_zero()
