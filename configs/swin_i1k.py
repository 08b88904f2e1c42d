"""Swin on ImageNet-1k from scratch.

Source: Appendix A2.1 of arXiv:2103.14030: AdamW, 300 epochs, batch 1024, peak
  rate 1e-3, 20 epochs of warm-up, cosine, weight decay 0.05, clipping at norm
  1, RandAugment, mixup, cutmix, random erasing, stochastic depth 0.2, 0.3, 0.5
  for T, S, B. The parameters of these augmentations, label smoothing 0.1, the
  rates at which warm-up begins (1e-6) and the cosine ends (1e-5) and bicubic
  resizing are from config.py and data/build.py of microsoft/Swin-Transformer
  (which clips at 5).
Expected: T 81.2, S 83.2, B 83.5 top-1 on validation at 224 px (its README).
Cost: not published. By FLOPs (4.5, 8.7, 15.4 GMAC per image), at the speed of a
  ViT-L/16 on TPUv3, at least 60, 120, 210 chip-hours; windowed attention is
  slower.
Data: ImageNet (ILSVRC-2012), 150 GB;
  python -m vit_jax data prepare tfds:imagenet2012
Run: python -m vit_jax train --config=configs/swin_i1k.py:variant=T
  --workdir=runs/swin_i1k

Arguments: variant=T (or S, B), seed=0.

Differs from the published code in RandAugment: here it is two of TensorFlow's
16 ops at magnitude 9, there two of timm's 15, each with probability 0.5 and a
magnitude around 9. The code's colour jitter of 0.4 is left out, because timm
ignores it when RandAugment is used. Each image is mixed with the previous one
in the batch, not with the batch in reverse order.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import swin
from vit_jax.train.experiment import Experiment

STOCHASTIC_DEPTH = {"T": 0.2, "S": 0.3, "B": 0.5}
NORMALISE = (
  "keep('image', 'label')"
  "|normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"
)


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, variant="T", seed=0)
  errors.check_one_of("variant", args.variant, STOCHASTIC_DEPTH)
  c = config.to_config_dict(
    Experiment(
      model=swin.variant(
        args.variant,
        num_classes=1000,
        stochastic_depth=STOCHASTIC_DEPTH[args.variant],
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
    "decode|inception_crop(224, area_min=8, aspect=(0.75, 1.3333),"
    " method='bicubic', antialias=True)|flip_lr|randaug(2, 9)"
    f"|random_erasing(0.25, mode='pixel')|{NORMALISE}"
  )
  c.task.label_smoothing = 0.1
  c.task.mixup = 0.8
  c.task.cutmix = 1.0
  c.evals.val.data.name = "tfds:imagenet2012"
  c.evals.val.data.split = "validation"
  c.evals.val.data.preprocess = (
    "decode|resize_small(256, method='bicubic', antialias=True)"
    f"|central_crop(224)|{NORMALISE}"
  )
  c.evals.val.every = "5 epochs"
  c.evals.val.batch_size = 1024
  c.optim.peak_lr = 1e-3
  c.optim.weight_decay = 0.05
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "20 epochs"
  c.optim.schedule.warmup_start = 1e-3
  c.optim.schedule.end_value = 0.01
  c.runtime.save_every = "1 epochs"
  return c
