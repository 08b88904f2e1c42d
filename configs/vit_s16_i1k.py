"""Plain ViT-S/16 on ImageNet-1k: a cheap check that everything is right.

Source: Table 1 and Appendix A of "Better plain ViT baselines for ImageNet-1k",
  arXiv:2205.01580, and its big_vision/configs/vit_s16_i1k.py: Adam with a
  bfloat16 first moment, batch 1024, peak rate 1e-3, 10k steps of warm-up,
  cosine, weight decay 1e-4 times the schedule, clipping at norm 1, softmax, 2-D
  sine and cosine positions, mean of the tokens, RandAugment (2, 10), mixup 0.2.
Expected: top-1 on validation 76.5, 78.5, 80.0 for 90, 150, 300 epochs; with a
  linear head 76.7, 78.6, 79.8 (Table 1). ImageNet-ReaL 83.1, 84.5, 85.4,
  ImageNet-V2 64.2, 66.4, 68.3 (Table 2).
Cost: 6.5 hours on a TPUv3-8 for 90 epochs (the paper), which is 26 TPUv3
  chip-hours; 300 epochs: under a day.
Data: ImageNet (ILSVRC-2012), 150 GB;
  python -m vit_jax data prepare tfds:imagenet2012
Run: python -m vit_jax train --config=configs/vit_s16_i1k.py:epochs=90
  --workdir=runs/vit_s16_i1k

Arguments: epochs=90, mlp_head=true (a hidden layer with tanh in the head, or a
linear one), variant=S/16 (any of models/vit.py), res=224 (px at training),
seed=0.

Differs from big_vision's config in that the residual stream is bfloat16, too.
"""

from vit_jax.core import config
from vit_jax.evals import classification
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(
    arg, epochs=90, mlp_head=True, variant="S/16", res=224, seed=0
  )
  width = vit.variant(args.variant).width
  c = config.to_config_dict(
    Experiment(
      model=vit.variant(
        args.variant,
        image_size=(args.res, args.res),
        num_classes=1000,
        pool="gap",
        posemb="sincos_2d",
        pre_logits_dim=width if args.mlp_head else 0,
        dtype="bfloat16",
      ),
      evals={name: classification.Config() for name in ("minival", "val")},
    )
  )
  c.seed = args.seed
  c.duration = f"{args.epochs} epochs"
  c.data.batch_size = 1024
  c.data.train.name = "tfds:imagenet2012"
  c.data.train.split = "train[:99%]"
  c.data.train.preprocess = (
    f"decode|inception_crop({args.res})|flip_lr|randaug(2, 10)"
    "|keep('image', 'label')|value_range(-1, 1)"
  )
  c.task.mixup = 0.2
  for name, split in {"minival": "train[99%:]", "val": "validation"}.items():
    c.evals[name].data.name = "tfds:imagenet2012"
    c.evals[name].data.split = split
    c.evals[name].data.preprocess = (
      f"decode|resize_small({args.res * 8 // 7})|central_crop({args.res})"
      "|keep('image', 'label')|value_range(-1, 1)"
    )
    c.evals[name].every = "2_500 steps"
    c.evals[name].batch_size = 1024
  c.optim.mu_dtype = "bfloat16"
  c.optim.peak_lr = 1e-3
  c.optim.weight_decay = 1e-4
  c.optim.weight_decay_scaling = "schedule"
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "10_000 steps"
  c.runtime.save_every = "1_000 steps"
  return c
