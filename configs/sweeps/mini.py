"""Pre-training, then the paper's fine-tuning, small enough for a CPU.

A ViT and a hybrid learn Fashion-MNIST; each is fine-tuned on the digits at a
higher resolution, and compared with the same model trained from scratch. The
learning rate is chosen on the last tenth of the training digits; then three
seeds train on all of them and are scored on the test digits.

Source: Appendix B.1.1 and Table 4 of arXiv:2010.11929, rows of the smallest
  data sets.

Arguments: model=vit+hybrid, or one of them; start=fashion_mnist+scratch, or one
of them, or files of weights in any format, joined by a plus sign; lr=0 chooses
the rate, any other value is used as it is, and only the three seeds are run.
"""

import pathlib

from vit_jax.core import config, python_files
from vit_jax.sweeps import grid
from vit_jax.sweeps.sweep import Sweep, Trained

_SEEDS = (0, 1, 2)
_FILE = pathlib.Path(__file__).parents[1] / "mini.py"


def get_sweep(arg: str = "") -> Sweep:
  args = config.parse_arg(
    arg, model="vit+hybrid", start="fashion_mnist+scratch", lr=0.0
  )
  mini = python_files.load_module(_FILE)
  settings = ()
  for model in args.model.split("+"):
    starts = {
      "fashion_mnist": Trained("fashion_mnist", "mini.py", {":model": model}),
      "scratch": "",
    }
    settings += grid.product(
      grid.axis(":model", (model,)),
      grid.axis(":stage", ("transfer",)),
      grid.axis(
        ":checkpoint",
        [starts.get(name, name) for name in args.start.split("+")],
      ),
      grid.axis(":selecting", ("false" if args.lr else "true",)),
      grid.axis(":lr", (args.lr,) if args.lr else mini.LEARNING_RATES),
      *((grid.axis(":seed", _SEEDS),) if args.lr else ()),
    )
  if args.lr:
    return Sweep(config="../mini.py", settings=settings)
  return Sweep(
    config="../mini.py",
    settings=settings,
    metric="val/top_1",
    tuned=(":lr",),
    final=grid.product(
      grid.axis(":selecting", ("false",)), grid.axis(":seed", _SEEDS)
    ),
  )
