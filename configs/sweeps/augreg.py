"""AugReg's 28 settings: seven augmentations, two regularisations, two decays.

Source: Section 3.3 of arXiv:2106.10270: every model and data set is trained
with the presets none to strong2, dropout and stochastic depth 0 or 0.1, and
weight decay 0.03 or 0.1.

Arguments: variant=S/16, data=i21k, epochs=300, see configs/augreg.py.
"""

from vit_jax.core import config
from vit_jax.sweeps import grid
from vit_jax.sweeps.sweep import Sweep

AUGMENTATIONS = (
  *("none", "light1", "light2", "medium1", "medium2", "strong1", "strong2"),
)


def get_sweep(arg: str = "") -> Sweep:
  args = config.parse_arg(arg, variant="S/16", data="i21k", epochs=300)
  return Sweep(
    config="../augreg.py",
    settings=grid.product(
      *(grid.axis(f":{k}", (v,)) for k, v in vars(args).items()),
      grid.axis(":aug", AUGMENTATIONS),
      grid.axis(":reg", (0.0, 0.1)),
      grid.axis(":wd", (0.03, 0.1)),
    ),
  )
