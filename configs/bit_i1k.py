"""BiT-S: ResNet-v2 with GroupNorm on ImageNet-1k.

Source: Section 3.3 of arXiv:1912.11370: SGD with momentum 0.9, 90 epochs, batch
  4096, rate 0.03 x batch / 256 after 5k steps of warm-up, divided by ten after
  30, 60 and 80 epochs, weight decay 1e-4, Inception crops and flips, no mixup.
  recipe=big_vision is its later bit_i1k.py: rate 0.1 x batch / 256, cosine, 1k
  steps of warm-up, clipping at norm 1, a bfloat16 momentum.
Expected: R50x1 76.0 top-1 on validation (Table 4); R152x4 81.30 after
  fine-tuning at 480 px (Table 2).
Cost: R50x1 with recipe=big_vision takes 32 minutes on a TPUv3-128 (that file),
  which is 34 TPUv3 chip-hours. The paper prints no cost.
Data: ImageNet (ILSVRC-2012), 150 GB;
  python -m vit_jax data prepare tfds:imagenet2012
Run: python -m vit_jax train --config=configs/bit_i1k.py:variant=R50x1
  --workdir=runs/bit_i1k

Arguments: variant=R50x1 (any of models/bit.py), recipe=paper (or big_vision),
seed=0.

Differs from the paper in that weight decay does not pass through the momentum:
in the long run it amounts to 1e-4 / (1 - 0.9) times the rate, which is also
big_vision's value. Only kernels decay, bfloat16 is used, and 1 % of the
training images are held out as "minival", as in big_vision.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import bit
from vit_jax.optim import sgd
from vit_jax.train.experiment import Experiment

STAIRS = (("30 epochs", 0.1), ("60 epochs", 0.01), ("80 epochs", 0.001))
RECIPES = ("paper", "big_vision")


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, variant="R50x1", recipe="paper", seed=0)
  errors.check_one_of("recipe", args.recipe, RECIPES)
  c = config.to_config_dict(
    Experiment(
      model=bit.variant(args.variant, num_classes=1000, dtype="bfloat16"),
      optim=sgd.Config(),
      evals={name: classification.Config() for name in ("minival", "val")},
    )
  )
  c.seed = args.seed
  c.duration = "90 epochs"
  c.data.batch_size = 4096
  c.data.train.name = "tfds:imagenet2012"
  c.data.train.split = "train[:99%]"
  c.data.train.preprocess = (
    "decode|inception_crop(224)|flip_lr|keep('image', 'label')"
    "|value_range(-1, 1)"
  )
  for name, split in {"minival": "train[99%:]", "val": "validation"}.items():
    c.evals[name].data.name = "tfds:imagenet2012"
    c.evals[name].data.split = split
    c.evals[name].data.preprocess = (
      "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
      "|value_range(-1, 1)"
    )
    c.evals[name].every = "1_000 steps"
    c.evals[name].batch_size = 1024
  c.optim.weight_decay = 1e-3
  if args.recipe == "paper":
    c.optim.peak_lr = 0.03 * 4096 / 256
    c.optim.schedule.decay = "stairs"
    c.optim.schedule.stairs = STAIRS
    c.optim.schedule.warmup = "5_000 steps"
  else:
    c.optim.peak_lr = 0.1 * 4096 / 256
    c.optim.schedule.warmup = "1_000 steps"
    c.optim.clip_norm = 1.0
    c.optim.accumulator_dtype = "bfloat16"
  c.runtime.save_every = "1_000 steps"
  return c
