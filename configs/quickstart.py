"""A small ViT on 1,797 scanned handwritten digits, in a minute on a CPU.

Source: none; the settings are our own.
Expected: 99.72, 98.58, 98.29 % of 351 held-out digits for seeds 0, 1, 2;
  measured in results/quickstart.
Cost: a minute or two on two CPU cores.
Data: the digits that come with scikit-learn, no download;
  python -m vit_jax data prepare tfds:digits --data_dir=data
Run: python -m vit_jax train --config=configs/quickstart.py
  --workdir=runs/quickstart

Arguments: seed=0.
"""

from vit_jax.core import config
from vit_jax.evals import classification
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, seed=0)
  c = config.to_config_dict(
    Experiment(
      model=vit.Config(
        num_classes=10,
        image_size=(16, 16),
        patch_size=(4, 4),
        width=64,
        depth=3,
        num_heads=4,
        mlp_dim=128,
        pool="gap",
        posemb="sincos_2d",
      ),
      evals={"test": classification.Config()},
    )
  )
  c.seed = args.seed
  c.duration = "120 epochs"
  c.data.batch_size = 64
  c.data.train.name = "tfds:digits"
  c.data.train.preprocess = (
    "decode(1)|resize(16)|inception_crop(16, area_min=60,"
    " aspect=(0.8, 1.25))|value_range(-1, 1)"
  )
  c.evals.test.data.preprocess = "decode(1)|resize(16)|value_range(-1, 1)"
  c.evals.test.every = "20 epochs"
  c.optim.peak_lr = 2e-3
  c.optim.weight_decay = 0.1
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "10 %"
  c.runtime.data_dir = "data"
  c.runtime.log_every = 100
  return c
