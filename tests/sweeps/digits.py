"""A sweep over the digits that selects and scores again."""

from tests.e2e import run as command
from vit_jax.sweeps import grid, sweep as sweep_lib

RATES = (1e-3, 3e-3, 1e-2)


def sweep(**fields):
  """Two data sizes, three rates; the best rate again with two seeds."""
  given = dict(
    config=command.TINY,
    settings=grid.product(
      grid.axis("data.train.split", ("train[:50%]", "train[:90%]")),
      grid.axis("evals.test.data.split", ("train[90%:]",)),
      grid.axis("optim.peak_lr", RATES),
    ),
    metric="test/top_1",
    tuned=("optim.peak_lr",),
    final=grid.product(
      grid.axis("evals.test.data.split", ("test",)), grid.axis("seed", (0, 1))
    ),
  )
  return sweep_lib.Sweep(**{**given, **fields})


def trained(name, setting):
  return sweep_lib.Trained(f"after_{name}", "tiny.py", setting)
