"""ViT-S/16 at 224 px, batch 16, float32, on synthetic images."""

from vit_jax.core import config
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, steps=10)
  c = config.to_config_dict(Experiment(model=vit.variant("S/16")))
  c.duration = f"{args.steps} steps"
  c.data.batch_size = 16
  c.data.train.name = "synthetic:1000x224x224x3x1000"
  c.data.train.preprocess = "decode|flip_lr|value_range(-1, 1)"
  c.runtime.save_every = "100 %"
  return c
