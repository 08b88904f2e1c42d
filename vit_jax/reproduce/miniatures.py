"""All questions of the paper that are asked again in miniature.

Their rules were written before the runs, but one of Figure 8 (its remarks say
why). Differences are of accuracy, so that 0.01 is one point.
"""

from vit_jax.core import errors
from vit_jax.reproduce.miniature import Miniature
from vit_jax.reproduce.of_design import (
  FIGURE_9,
  SECTION_4_6,
  TABLE_7,
  TABLE_8,
)
from vit_jax.reproduce.of_size import FIGURE_8, FIGURE_13, TABLE_5, TABLE_6

ALL = (
  TABLE_5,
  TABLE_6,
  TABLE_7,
  TABLE_8,
  FIGURE_8,
  FIGURE_9,
  FIGURE_13,
  SECTION_4_6,
)


def serving(what: str) -> Miniature:
  """The miniature of "table=8" or "figure=9".

  Raises:
    ConfigError: there is none.
  """
  for one in ALL:
    if what in one.serves:
      return one
  known = sorted({name for one in ALL for name in one.serves})
  raise errors.ConfigError(
    f"{what} has no miniature (there are: {', '.join(known)})"
  )
