"""A run that ends in seconds and uses everything a run can use."""

import dataclasses

from vit_jax.core import config
from vit_jax.evals import classification
from vit_jax.models import hybrid, mobilevit, swin, vit
from vit_jax.tasks import masked_patch
from vit_jax.train.experiment import Experiment

_TOKENS = dict(width=16, depth=2, num_heads=2, mlp_dim=32)
MODELS = {
  "vit": vit.Config(
    num_classes=10, image_size=(8, 8), patch_size=(4, 4), **_TOKENS
  ),
  "hybrid": hybrid.Config(
    num_classes=10,
    image_size=(16, 16),
    patch_size=(1, 1),
    resnet_depths=(1,),
    resnet_width_factor=0.5,
    **_TOKENS,
  ),
  "swin": swin.Config(
    num_classes=10,
    image_size=(16, 16),
    patch_size=(2, 2),
    width=16,
    depths=(2,),
    num_heads=(2,),
    window_size=(4, 4),
  ),
  "mobilevit": mobilevit.Config(
    num_classes=10,
    image_size=(16, 16),
    stem_width=8,
    widths=(8,),
    depths=(1,),
    transformer_widths=(16,),
    transformer_depths=(1,),
    width=16,
  ),
}


def get_config(arg=""):
  args = config.parse_arg(
    arg, steps=60, dropout=0.1, model="vit", task="supervised"
  )
  model = MODELS[args.model]
  rates = {"dropout", "stochastic_depth"} & set(dataclasses.asdict(model))
  model = dataclasses.replace(model, **dict.fromkeys(rates, args.dropout))
  resize = "" if args.model == "vit" else "resize(16)|"
  if args.task == "masked_patch":
    # With patches enough for each kind of corruption, and no labels to score.
    model = dataclasses.replace(model, num_classes=0, patch_size=(2, 2))
    experiment = Experiment(model=model, task=masked_patch.Config())
  else:
    evals = {"test": classification.Config()}
    experiment = Experiment(model=model, evals=evals)
  c = config.to_config_dict(experiment)
  c.duration = f"{args.steps} steps"
  c.data.batch_size = 32
  c.data.train.preprocess = (
    f"decode(1)|{resize}random_shift(1)|flip_lr|value_range(-1, 1)"
  )
  if args.task == "supervised":
    c.evals.test.data.preprocess = f"decode(1)|{resize}value_range(-1, 1)"
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
