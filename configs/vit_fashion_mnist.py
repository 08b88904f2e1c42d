"""A ViT of 0.3 M parameters on Fashion-MNIST, from scratch on a CPU.

Source: none; the settings are our own.
Expected: at least 88 % test accuracy; measured in results/fashion_mnist.
Cost: under half an hour on two CPU cores.
Data: TFDS's official data set of 60,000 training and 10,000 test images, 28x28;
  python -m vit_jax data prepare tfds:fashion_mnist --data_dir=data
Run: python -m vit_jax train --config=configs/vit_fashion_mnist.py
  --workdir=runs/fashion_mnist

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
        image_size=(28, 28),
        patch_size=(4, 4),
        width=96,
        depth=4,
        num_heads=4,
        mlp_dim=192,
        pool="gap",
        posemb="sincos_2d",
      ),
      evals={"test": classification.Config()},
    )
  )
  c.seed = args.seed
  c.duration = "8 epochs"
  c.data.batch_size = 128
  c.data.train.name = "tfds:fashion_mnist"
  c.data.train.preprocess = "decode(1)|flip_lr|value_range(-1, 1)"
  c.evals.test.data.name = "tfds:fashion_mnist"
  c.evals.test.data.preprocess = "decode(1)|value_range(-1, 1)"
  c.evals.test.every = "1 epochs"
  c.optim.peak_lr = 2e-3
  c.optim.weight_decay = 0.1
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "5 %"
  c.runtime.data_dir = "data"
  c.runtime.log_every = 100
  return c
