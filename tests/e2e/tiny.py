"""A run that ends in seconds and uses everything a run can use."""

from vit_jax.core import config
from vit_jax.evals import classification
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment


def get_config(arg=""):
  args = config.parse_arg(arg, steps=60, dropout=0.1)
  c = config.to_config_dict(
    Experiment(
      model=vit.Config(
        num_classes=10,
        image_size=(8, 8),
        patch_size=(4, 4),
        width=16,
        depth=2,
        num_heads=2,
        mlp_dim=32,
        dropout=args.dropout,
        stochastic_depth=args.dropout,
      ),
      evals={"test": classification.Config()},
    )
  )
  c.duration = f"{args.steps} steps"
  c.data.batch_size = 32
  c.data.train.preprocess = (
    "decode(1)|random_shift(1)|flip_lr|value_range(-1, 1)"
  )
  c.evals.test.data.preprocess = "decode(1)|value_range(-1, 1)"
  c.evals.test.every = "20 steps"
  c.evals.test.batch_size = 100
  c.task.mixup = 0.2
  c.task.label_smoothing = 0.1
  c.optim.schedule.warmup = "10 steps"
  c.optim.clip_norm = 1.0
  c.optim.weight_decay = 0.1
  c.optim.average.kind = "ema"
  c.optim.average.decay = 0.9
  c.runtime.log_every = 10
  c.runtime.save_every = "10 steps"
  return c
