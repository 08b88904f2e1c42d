"""A sweep that ends in minutes: a small model on the digits.

The learning rate is chosen on the last tenth of the training split; the best
one trains on all of it, with three seeds, and is scored on the test split.

Arguments: model=vit (or bit, hybrid, swin, mobilevit), epochs=3.
"""

from vit_jax.core import config
from vit_jax.sweeps import grid
from vit_jax.sweeps.sweep import Sweep


def get_sweep(arg: str = "") -> Sweep:
  args = config.parse_arg(arg, model="vit", epochs=3)
  return Sweep(
    config="../digits.py",
    settings=grid.product(
      grid.axis(":model", (args.model,)),
      grid.axis("duration", (f"{args.epochs} epochs",)),
      grid.axis("data.train.split", ("train[:90%]",)),
      grid.axis("evals.test.data.split", ("train[90%:]",)),
      grid.axis("optim.peak_lr", (3e-4, 1e-3, 3e-3, 1e-2)),
    ),
    metric="test/top_1",
    tuned=("optim.peak_lr",),
    final=grid.product(
      grid.axis("data.train.split", ("train",)),
      grid.axis("evals.test.data.split", ("test",)),
      grid.axis(":seed", (0, 1, 2)),
    ),
  )
