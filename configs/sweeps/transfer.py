"""The paper's fine-tuning: rates chosen on held-out images, then three seeds.

Source: Appendix B.1.1 and Table 4 of arXiv:2010.11929: the learning rates that
are tried for each data set (ImageNet, CIFAR-10, CIFAR-100, Pets, Flowers, the
19 tasks of VTAB); the best is chosen on held-out training images, then all of
them are used for training. Table 2 gives mean and deviation over three such
runs.

Arguments: model=vit, variant=B/16, res=384, checkpoint, protocol=vit, see
configs/transfer.py; dataset=cifar10, or several joined by a plus sign, or usual
(all five), or vtab (all 19).
"""

import pathlib

from vit_jax.core import config, python_files
from vit_jax.data.sources import vtab
from vit_jax.sweeps import grid
from vit_jax.sweeps.sweep import Sweep

_FILE = pathlib.Path(__file__).parents[1] / "transfer.py"


def get_sweep(arg: str = "") -> Sweep:
  args = config.parse_arg(
    arg,
    model="vit",
    variant="B/16",
    dataset="cifar10",
    res=384,
    checkpoint="",
    protocol="vit",
  )
  transfer = python_files.load_module(_FILE)
  groups = {
    "usual": list(transfer.DATASETS),
    "vtab": [f"vtab:{name}" for name in vtab.TASKS],
  }
  names = groups.get(args.dataset, args.dataset.split("+"))
  # BiT-HyperRule has no settings to choose.
  tuned = args.protocol != "bit"
  settings = ()
  for name in names:
    rates = transfer.dataset(name).lrs
    settings += grid.product(
      grid.axis(":dataset", (name,)),
      *(
        grid.axis(f":{k}", (v,)) for k, v in vars(args).items() if _given(k, v)
      ),
      *((grid.axis(":selecting", ("true",)),) if tuned else ()),
      grid.axis(":lr", rates) if tuned else grid.axis(":seed", (0, 1, 2)),
    )
  if not tuned:
    return Sweep(config="../transfer.py", settings=settings)
  return Sweep(
    config="../transfer.py",
    settings=settings,
    metric="val/top_1",
    tuned=(":lr",),
    final=grid.product(
      grid.axis(":selecting", ("false",)), grid.axis(":seed", (0, 1, 2))
    ),
  )


def _given(key: str, value: object) -> bool:
  return key != "dataset" and value != ""
