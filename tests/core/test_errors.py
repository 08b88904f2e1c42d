import signal

import pytest

from vit_jax.core import errors


def test_config_error_shows_fields_as_path_and_value():
  e = errors.ConfigError(
    "{width} must be a multiple of {num_heads} (770 % 12 = 2);"
    " nearest: 768 or 780.",
    {"width": 770, "num_heads": 12},
  )
  assert str(e.under("model")) == (
    "model.width=770 must be a multiple of model.num_heads=12"
    " (770 % 12 = 2); nearest: 768 or 780."
  )


def test_config_error_path_grows_outwards():
  e = errors.ConfigError("{b1} is too large", {"b1": 2.0})
  assert str(e) == "b1=2.0 is too large"
  assert str(e.under("adam").under("optim")) == (
    "optim.adam.b1=2.0 is too large"
  )


def test_config_error_path_only_field_has_no_value():
  e = errors.ConfigError("missing field {x}", {"x": errors.PATH_ONLY})
  assert str(e.under("data")) == "missing field data.x"


def test_config_error_leaves_other_braces_alone():
  assert str(errors.ConfigError("a{2} and {b}", {"b": 1})) == "a{2} and b=1"


@pytest.mark.parametrize(
  ("kind", "code"),
  [
    (errors.UserError, 1),
    (errors.DataError, 1),
    (errors.CheckpointError, 1),
    (errors.NonFiniteError, 1),
    (errors.ConfigError, 2),
  ],
)
def test_exit_codes(kind, code):
  e = kind("what happened")
  assert e.exit_code == code
  assert str(e) == "what happened"
  assert isinstance(e, errors.UserError)


@pytest.mark.parametrize(
  ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_interrupted_exits_as_a_shell_would(number, code):
  assert errors.Interrupted("saved", number).exit_code == code


def test_did_you_mean():
  known = ["adamw", "sgd"]
  assert errors.did_you_mean("adam", known) == "; did you mean adamw?"
  assert errors.did_you_mean("lamb_nothing", known) == ""
  assert errors.did_you_mean("adam", []) == ""
