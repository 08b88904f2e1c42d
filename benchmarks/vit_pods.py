"""ViTs of any size with google-research's pre-training step.

224 px, class token, pre-logits layer, 21,843 sigmoid outputs, Adam with a
bfloat16 first moment, bfloat16 computation, on synthetic images.
"""

from vit_jax.core import config
from vit_jax.models import vit
from vit_jax.train.experiment import Experiment

CLASSES = 21_843


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, variant="B/16", batch=4096, examples=303_000_000)
  width = vit.variant(args.variant).width
  model = vit.variant(
    args.variant,
    num_classes=CLASSES,
    dtype="bfloat16",
    pre_logits_dim=width,
    head_bias_init=-10.0,
  )
  c = config.to_config_dict(Experiment(model=model))
  # Table 3 of arXiv:2010.11929.
  c.duration = "14 epochs" if args.variant == "H/14" else "7 epochs"
  c.data.batch_size = args.batch
  c.data.train.name = f"synthetic:{args.examples}x224x224x3x{CLASSES}"
  c.data.train.preprocess = "decode|flip_lr|value_range(-1, 1)"
  c.task.loss = "sigmoid"
  c.optim.peak_lr = 8e-4
  c.optim.mu_dtype = "bfloat16"
  c.optim.weight_decay = 0.1
  c.optim.schedule.warmup = "10_000 steps"
  return c
