"""MobileViT on ImageNet-1k from scratch.

Source: Section 4.1 of arXiv:2110.02178: AdamW, 300 epochs, batch 1024, a rate
  that rises from 2e-4 to 2e-3 in 3k steps and falls back as a cosine, weight
  decay 0.01, label smoothing 0.1, crops and flips, an average of the
  parameters. Dropout, the average's decay of 0.9995, weight decay of all
  parameters and the sizes in evaluation are from config/classification in
  apple/ml-cvnets.
Expected: XS 74.8, S 78.4 top-1 on validation at 256 px (Figure 6), XXS 69.0
  (the published weights, scored by mmpretrain), all with the multi-scale
  sampler; without it, as here, about 0.5 less (Appendix B).
Cost: not published (8 GPUs of a kind that is not named).
Data: ImageNet (ILSVRC-2012), 150 GB;
  python -m vit_jax data prepare tfds:imagenet2012
Run: python -m vit_jax train --config=configs/mobilevit_i1k.py:variant=S
  --workdir=runs/mobilevit_i1k

Arguments: variant=S (or XS, XXS), seed=0.

Differs from the paper in that every image is 256 px, while its multi-scale
sampler draws a size from 160 to 320 px for each batch; and from the published
code in that batch statistics are not averaged like the parameters.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import mobilevit
from vit_jax.train.experiment import Experiment

DROPOUT = {"S": 0.1, "XS": 0.1, "XXS": 0.05}


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, variant="S", seed=0)
  errors.check_one_of("variant", args.variant, DROPOUT)
  c = config.to_config_dict(
    Experiment(
      model=mobilevit.variant(
        args.variant,
        num_classes=1000,
        dropout=DROPOUT[args.variant],
        head_dropout=0.1,
        dtype="bfloat16",
      ),
      evals={"val": classification.Config()},
    )
  )
  c.seed = args.seed
  c.duration = "300 epochs"
  c.data.batch_size = 1024
  c.data.train.name = "tfds:imagenet2012"
  c.data.train.preprocess = (
    "decode|inception_crop(256, area_min=8, aspect=(0.75, 1.3333),"
    " antialias=True)|flip_lr|keep('image', 'label')|value_range(0, 1)"
  )
  c.task.label_smoothing = 0.1
  c.evals.val.data.name = "tfds:imagenet2012"
  c.evals.val.data.split = "validation"
  c.evals.val.data.preprocess = (
    "decode|resize_small(288, method='bilinear', antialias=True)"
    "|central_crop(256)|keep('image', 'label')|value_range(0, 1)"
  )
  c.evals.val.every = "5 epochs"
  c.evals.val.batch_size = 1024
  c.optim.peak_lr = 2e-3
  c.optim.weight_decay = 0.01
  c.optim.weight_decay_mask = (".*",)
  c.optim.schedule.warmup = "3_000 steps"
  c.optim.schedule.warmup_start = 0.1
  c.optim.schedule.end_value = 0.1
  c.optim.average.kind = "ema"
  c.optim.average.decay = 0.9995
  c.runtime.save_every = "1 epochs"
  return c
