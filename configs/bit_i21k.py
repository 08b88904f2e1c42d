"""BiT-M: ResNet-v2 with GroupNorm on ImageNet-21k.

Source: Section 3.3 of arXiv:1912.11370: SGD with momentum 0.9, 90 epochs, batch
  4096, rate 0.03 x batch / 256 after 5k steps of warm-up, divided by ten after
  30, 60 and 80 epochs, weight decay 1e-4, Inception crops and flips, no mixup.
  recipe=big_vision is its later bit_i21k.py: cosine, clipping at norm 1, a
  bfloat16 momentum. Sigmoid cross-entropy and a head bias of -10 are from that
  file.
Expected: top-1 on ImageNet after fine-tuning: R152x4 85.39 (Table 2), R50x1
  80.68, R152x2 85.15 (README of google-research/big_transfer).
Cost: not published.
Data: ImageNet-21k with 21,843 classes, 14.2 million images, 1.3 TB;
  python -m vit_jax data prepare tfds:imagenet21k
Run: python -m vit_jax train --config=configs/bit_i21k.py:variant=R50x1
  --workdir=runs/bit_i21k

Arguments: variant=R50x1 (any of models/bit.py), recipe=paper (or big_vision),
seed=0.

Differs from the paper in that weight decay does not pass through the momentum:
in the long run it amounts to 1e-4 / (1 - 0.9) times the rate, which is also
big_vision's value. Only kernels decay, bfloat16 is used, and the first 51,200
images are held out, as in big_vision.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import bit
from vit_jax.optim import sgd
from vit_jax.train.experiment import Experiment

CLASSES = 21_843
HELD_OUT = {"test": "full[:25600]", "val": "full[25600:51200]"}
STAIRS = (("30 epochs", 0.1), ("60 epochs", 0.01), ("80 epochs", 0.001))
RECIPES = ("paper", "big_vision")


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, variant="R50x1", recipe="paper", seed=0)
  errors.check_one_of("recipe", args.recipe, RECIPES)
  c = config.to_config_dict(
    Experiment(
      model=bit.variant(
        args.variant,
        num_classes=CLASSES,
        head_bias_init=-10.0,
        dtype="bfloat16",
      ),
      optim=sgd.Config(),
      evals={name: classification.Config() for name in HELD_OUT},
    )
  )
  c.seed = args.seed
  c.duration = "90 epochs"
  c.data.batch_size = 4096
  c.data.train.name = "tfds:imagenet21k"
  c.data.train.split = "full[51200:]"
  c.data.train.preprocess = (
    "decode|inception_crop(224)|flip_lr|keep('image', 'label')"
    "|value_range(-1, 1)"
  )
  c.task.loss = "sigmoid"
  for name, split in HELD_OUT.items():
    c.evals[name].data.name = "tfds:imagenet21k"
    c.evals[name].data.split = split
    c.evals[name].data.preprocess = (
      "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
      "|value_range(-1, 1)"
    )
    c.evals[name].every = "1_000 steps"
    c.evals[name].batch_size = 1024
    c.evals[name].loss = "sigmoid"
  c.optim.peak_lr = 0.03 * 4096 / 256
  c.optim.weight_decay = 1e-3
  c.optim.schedule.warmup = "5_000 steps"
  if args.recipe == "paper":
    c.optim.schedule.decay = "stairs"
    c.optim.schedule.stairs = STAIRS
  else:
    c.optim.clip_norm = 1.0
    c.optim.accumulator_dtype = "bfloat16"
  c.runtime.save_every = "1_000 steps"
  return c
