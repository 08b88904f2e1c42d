"""ViT, hybrids and ResNets on JFT-300M or a similar set with several labels.

Source: Table 3, rows "JFT-300M", and Section 4.1 of arXiv:2010.11929: Adam, 7
  or 14 epochs, batch 4096, 10k steps of warm-up, linear decay, weight decay
  0.1, no dropout, no clipping, one peak rate per model (below). From the
  authors' answers: sigmoid cross-entropy (issue 34 of
  google-research/vision_transformer), a head bias of -10, a final rate of 1e-5,
  random crops of 5 to 100 % of the area with flips (issues 2 and 103).
Expected: the paper prints no precision at 1 on JFT, which is "top_1" here.
  Fine-tuned on ImageNet (Table 6): B/32 80.73, B/16 84.15, L/32 84.37, L/16
  86.30 (14 epochs: 87.12), H/14 88.08, R50x1 77.54, R50x2 82.12, R101x1 80.67,
  R152x1 81.88, R152x2 84.97, R50+B/32 84.90, R50+B/16 85.58, R50+L/32 85.68,
  R50+L/16 86.60 (14 epochs: 87.12).
Cost: H/14 2,500 and L/16 with 14 epochs 680 TPUv3 core-days (Table 2), which is
  30,000 and 8,160 chip-hours. By the FLOPs of Table 6 at the rate of that
  L/16: B/32 290, B/16 1,170, L/32 1,020, R50+B/16 1,430, R50x1 260 chip-hours.
Data: JFT-300M (303 million images, 18,291 classes) is private to Google. Any
  set of images with several labels each can take its place, as a manifest (see
  data/manifest.py) with a classes.txt and the splits "train" and "validation";
  data=multilabel:PATH reads it directly, without preparing it.
  python -m vit_jax data verify multilabel:data/jft/manifest.jsonl
Run: python -m vit_jax train
  --config=configs/vit_jft.py:variant=L/16,epochs=14 --workdir=runs/vit_jft

Arguments: variant=B/16 (one of those above), epochs=0 (stands for Table 3's: 14
for H/14, else 7), optim=adamw (or sgd with BiT's settings, as in Table 7),
data=multilabel:data/jft/manifest.jsonl (any data set's name), classes=18291,
train=train and held_out=validation (its splits), seed=0.

Differs from the paper in using bfloat16, and in that the ResNets are BiT's,
with pre-activation (models/bit.py).
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import bit, hybrid, vit
from vit_jax.optim import adamw, sgd
from vit_jax.train.experiment import Experiment

# Table 3: "Base LR", and the first number of "Epochs".
ROWS = {
  "B/32": (8e-4, 7),
  "B/16": (8e-4, 7),
  "L/32": (6e-4, 7),
  "L/16": (4e-4, 7),
  "H/14": (3e-4, 14),
  "R50x1": (1e-3, 7),
  "R50x2": (1e-3, 7),
  "R101x1": (8e-4, 7),
  "R152x1": (6e-4, 7),
  "R152x2": (6e-4, 7),
  "R50+B/32": (8e-4, 7),
  "R50+B/16": (8e-4, 7),
  "R50+L/32": (2e-4, 7),
  "R50+L/16": (4e-4, 7),
}
FINAL_LR = 1e-5
# BiT's steps on ImageNet-21k (configs/bit_i21k.py), as fractions of the
# training.
STAIRS = (("33 %", 0.1), ("67 %", 0.01), ("89 %", 0.001))
OPTIMS = {"adamw": adamw, "sgd": sgd}


def _model(name: str, num_classes: int):
  common = dict(num_classes=num_classes, head_bias_init=-10.0, dtype="bfloat16")
  if "/" not in name:
    return bit.variant(name, **common)
  family = hybrid if "+" in name else vit
  width = family.variant(name).width
  return family.variant(name, pre_logits_dim=width, **common)


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(
    arg,
    variant="B/16",
    epochs=0,
    optim="adamw",
    data="multilabel:data/jft/manifest.jsonl",
    classes=18_291,
    train="train",
    held_out="validation",
    seed=0,
  )
  errors.check_one_of("variant", args.variant, ROWS)
  errors.check_one_of("optim", args.optim, OPTIMS)
  peak_lr, epochs = ROWS[args.variant]
  c = config.to_config_dict(
    Experiment(
      model=_model(args.variant, args.classes),
      optim=OPTIMS[args.optim].Config(),
      evals={"held_out": classification.Config()},
    )
  )
  c.seed = args.seed
  c.duration = f"{args.epochs or epochs} epochs"
  c.data.batch_size = 4096
  c.data.train.name = args.data
  c.data.train.split = args.train
  c.data.train.preprocess = (
    "decode|inception_crop(224)|flip_lr|keep('image', 'label')"
    "|value_range(-1, 1)"
  )
  c.task.loss = "sigmoid"
  c.evals.held_out.data.name = args.data
  c.evals.held_out.data.split = args.held_out
  c.evals.held_out.data.preprocess = (
    "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
    "|value_range(-1, 1)"
  )
  c.evals.held_out.every = "5_000 steps"
  c.evals.held_out.batch_size = 1024
  c.evals.held_out.loss = "sigmoid"
  _optim(c, args.optim, peak_lr)
  c.runtime.save_every = "1_000 steps"
  return c


def _optim(c: config.ConfigDict, name: str, peak_lr: float) -> None:
  if name == "sgd":
    c.optim.peak_lr = 0.03 * c.data.batch_size / 256
    c.optim.weight_decay = 1e-3
    c.optim.schedule.warmup = "5_000 steps"
    c.optim.schedule.decay = "stairs"
    c.optim.schedule.stairs = STAIRS
    return
  c.optim.peak_lr = peak_lr
  c.optim.weight_decay = 0.1
  c.optim.schedule.decay = "linear"
  c.optim.schedule.warmup = "10_000 steps"
  c.optim.schedule.end_value = FINAL_LR / peak_lr
