"""The config of all small experiments."""

import pytest

from vit_jax.core import errors
from vit_jax.reproduce import recipe


def test_held_out_images_are_trained_on_by_no_run():
  """In numbers: the images that choose begin where the largest part ends."""
  for data, most in recipe.MOST.items():
    assert recipe.SPLITS[data]["val"] == f"train[{most}:]"
  with pytest.raises(errors.ConfigError, match="images=55001 must be 1 to"):
    recipe.get_config("images=55001")
  with pytest.raises(errors.ConfigError, match="scored=train must be"):
    recipe.get_config("scored=train")
  with pytest.raises(errors.ConfigError, match="did you mean bit"):
    recipe.get_config("model=bits")
