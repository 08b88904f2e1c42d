"""Config of the paper's ablations: ImageNet-21k, then 5-shot ImageNet.

For the runs of Table 8 and of Figures 4, 8, 9 and 13 on a public data set. What
a run changes is given as --config.FIELD=VALUE.

Differs from the paper in that ImageNet-21k takes the place of JFT-300M, with
the settings of JFT's rows of Table 3, those of B/16 for models without a row.

Arguments: model=ViT-B/16 (any model, as the paper writes it), epochs=7,
share=100 (percent of the training images), seed=0.
"""

import dataclasses
from typing import Any

from vit_jax.core import config, errors
from vit_jax.evals import fewshot
from vit_jax.reproduce import costs, launch, paper
from vit_jax.train.experiment import Experiment

CLASSES = 21_843
# Images of ImageNet-21k: held out, and for training.
_HELD_OUT, _TRAIN = 51_200, 14_145_922
_PREPROCESS = (
  "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
  "|value_range(-1, 1)"
)


def get_config(arg: str = "") -> config.ConfigDict:
  """The config of one run; see the arguments above."""
  args = config.parse_arg(arg, model="ViT-B/16", epochs=7, share=100, seed=0)
  if not 0 < args.share <= 100:
    raise errors.ConfigError(f"share={args.share} must be 1 to 100 percent")
  variant = costs.model_of(args.model)[1]
  stop = _HELD_OUT + _TRAIN * args.share // 100
  c: Any = config.load(
    launch.checkout_file("configs/vit_jft.py"),
    f"variant={variant if variant in _rows() else 'B/16'}"
    f",epochs={args.epochs},seed={args.seed}"
    f",data=tfds:imagenet21k,classes={CLASSES}"
    f",train=full[{_HELD_OUT}:{stop}],held_out=full[:{_HELD_OUT}]",
  )
  model = costs.make(
    args.model, 224, CLASSES, head_bias_init=-10.0, dtype="bfloat16"
  ).config
  if hasattr(model, "pre_logits_dim"):
    model = dataclasses.replace(model, pre_logits_dim=model.width)
  few: Any = config.to_config_dict(fewshot.Config(shots=(5,)))
  few.name = "fewshot"
  # At least 30 images of each class, as in big_vision's few-shot evaluation.
  few.train.split, few.data.split = "train[:65000]", "validation"
  for split in (few.train, few.data):
    split.name, split.preprocess = "tfds:imagenet2012", _PREPROCESS
  few.every = "10 %"
  with c.unlocked():
    c.model = config.to_config_dict(Experiment(model=model)).model
    c.evals.imagenet = few
  return c


def _rows() -> set[str]:
  """Variants for which Table 3 has settings on JFT."""
  rows = paper.grids()["table3"].rows
  names = [model for model, data, _ in rows if data == "JFT-300M"]
  return {costs.model_of(n.replace("R50+", "R50x1+"))[1] for n in names}
