"""Config of the paper's ablations: ImageNet-21k, then 5-shot ImageNet.

The runs of Table 8 and of Figures 4, 8 and 9, with a set of images that is
public: what they change is given as --config.FIELD=VALUE.

Differs from the paper in that ImageNet-21k takes the place of JFT-300M, with
its epochs and dropout left at those of JFT's rows of Table 3.

Arguments: variant=B/16 (any of models/vit.py), epochs=7, share=100 (percent of
the training images), seed=0.
"""

import importlib.util

from vit_jax.core import config, errors
from vit_jax.evals import fewshot
from vit_jax.reproduce import launch

_PREPROCESS = (
  "decode|resize_small(256)|central_crop(224)|keep('image', 'label')"
  "|value_range(-1, 1)"
)

# Of ImageNet-21k: what is held out, and the rest.
_HELD_OUT, _TRAIN = 51_200, 14_145_922


def get_config(arg: str = "") -> config.ConfigDict:
  """The config of one run; see the arguments above."""
  args = config.parse_arg(arg, variant="B/16", epochs=7, share=100, seed=0)
  if not 0 < args.share <= 100:
    raise errors.ConfigError(f"share={args.share} must be 1 to 100 percent")
  file = launch.ROOT / "configs/vit_i21k.py"
  spec = importlib.util.spec_from_file_location("vit_i21k", file)
  recipe = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(recipe)
  c = recipe.get_config(
    f"variant={args.variant},epochs={args.epochs},seed={args.seed}"
  )
  few = config.to_config_dict(fewshot.Config(shots=(5,)))
  few.name = "fewshot"
  # At least 30 images of each class, as big_vision's few-shot evaluation.
  few.train.split, few.data.split = "train[:65000]", "validation"
  for split in (few.train, few.data):
    split.name, split.preprocess = "tfds:imagenet2012", _PREPROCESS
  few.every = "10 %"
  c.evals.imagenet = few
  if args.share != 100:
    stop = _HELD_OUT + _TRAIN * args.share // 100
    c.data.train.split = f"full[{_HELD_OUT}:{stop}]"
  c.model.dropout = 0.0
  c.optim.weight_decay = 0.1
  c.optim.peak_lr = 8e-4
  c.optim.schedule.end_value = 1e-5 / 8e-4
  return c
