"""The paper's two stages at a size for a CPU: Fashion-MNIST, then the digits.

Pre-training as in Table 3 of arXiv:2010.11929, fine-tuning as in Appendix
B.1.1, with a ViT and a hybrid of 0.15 M parameters and images of 16 and 28 px.

Source: Section 4.1, Appendix B.1 and Table 4 of arXiv:2010.11929: first Adam
  with warm-up, linear decay and weight decay 0.1; then SGD with momentum 0.9 in
  bfloat16, cosine decay, gradients clipped at norm 1, no weight decay, a higher
  resolution, a head of zeros, 10 % of the training images held back to choose
  the learning rate. Sizes, steps and crops are our own choice.
Expected: Fashion-MNIST 84 %; the digits, fine-tuned, ViT 87.4, hybrid 93.9 %,
  from scratch 75.4 and 90.7 %; measured in results/transfer.
Cost: two minutes of pre-training and half a minute of fine-tuning on a CPU
  core.
Data: python -m vit_jax data prepare tfds:fashion_mnist --data_dir=data
  and the digits that come with scikit-learn, no download;
  python -m vit_jax data prepare tfds:digits --data_dir=data
Run: python -m vit_jax train --config=configs/mini.py --workdir=runs/pretrained
  python -m vit_jax train --config=configs/mini.py:checkpoint=runs/pretrained
  --workdir=runs/digits

Arguments: model=vit (or hybrid), stage=pretrain (or transfer, which a
checkpoint implies), checkpoint (any format), res=0 (stands for 16 px, or 28 px
in transfer), lr=0 (stands for 1e-3, or for the second smallest of Table 4 in
transfer), selecting=false (true holds out part of the fine-tuning images and
scores on them), seed=0.

configs/sweeps/mini.py runs both stages with the paper's learning rates, and
compares with training from scratch.
"""

from vit_jax.core import config, errors
from vit_jax.evals import classification, fewshot
from vit_jax.models import hybrid, vit
from vit_jax.optim import adamw, sgd
from vit_jax.train.experiment import Experiment

_TOKENS = dict(num_classes=10, width=64, depth=4, num_heads=4, mlp_dim=128)
MODELS = {
  "vit": vit.Config(patch_size=(4, 4), **_TOKENS),
  "hybrid": hybrid.Config(
    patch_size=(1, 1), resnet_depths=(), resnet_width_factor=0.5, **_TOKENS
  ),
}
# Table 4's rates for the smallest data sets.
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03)


def get_config(arg: str = "") -> config.ConfigDict:
  args = config.parse_arg(
    arg,
    model="vit",
    stage="",
    checkpoint="",
    res=0,
    lr=0.0,
    selecting=False,
    seed=0,
  )
  args.stage = args.stage or ("transfer" if args.checkpoint else "pretrain")
  errors.check_one_of("model", args.model, MODELS)
  errors.check_one_of("stage", args.stage, STAGES)
  c = STAGES[args.stage](args)
  c.seed = args.seed
  c.start.checkpoint = args.checkpoint
  c.optim.clip_norm = 1.0
  c.runtime.data_dir = "data"
  c.runtime.log_every = 50
  c.runtime.save_every = "50 %"
  c.runtime.keep = 1
  return c


def _pretrain(args) -> config.ConfigDict:
  c = config.to_config_dict(
    Experiment(
      model=MODELS[args.model],
      optim=adamw.Config(),
      evals={"test": classification.Config(), "digits": fewshot.Config()},
    )
  )
  res = _resolution(c, args.res or 16)
  plain = f"decode(1)|resize({res})|value_range(-1, 1)"
  c.duration = "2 epochs"
  c.data.batch_size = 128
  c.data.train.name = c.evals.test.data.name = "tfds:fashion_mnist"
  c.data.train.preprocess = (
    f"decode(1)|resize({res})|flip_lr|value_range(-1, 1)"
  )
  c.evals.test.data.preprocess = plain
  few = c.evals.digits
  few.train.name = few.data.name = "tfds:digits"
  few.train.preprocess = few.data.preprocess = plain
  few.shots = (1, 5, 10)
  c.evals.test.every = few.every = "25 %"
  c.optim.peak_lr = args.lr or 1e-3
  c.optim.weight_decay = 0.1
  c.optim.schedule.warmup = "5 %"
  c.optim.schedule.decay = "linear"
  return c


def _transfer(args) -> config.ConfigDict:
  scored = "val" if args.selecting else "test"
  c = config.to_config_dict(
    Experiment(
      model=MODELS[args.model],
      optim=sgd.Config(accumulator_dtype="bfloat16"),
      evals={scored: classification.Config()},
    )
  )
  res = _resolution(c, args.res or 28)
  c.duration = "200 steps"
  c.data.batch_size = 64
  c.data.train.name = c.evals[scored].data.name = "tfds:digits"
  c.data.train.split = "train[:90%]" if args.selecting else "train"
  c.evals[scored].data.split = "train[90%:]" if args.selecting else "test"
  c.data.train.preprocess = (
    f"decode(1)|resize({res})|inception_crop({res}, area_min=60,"
    " aspect=(0.8, 1.25))|value_range(-1, 1)"
  )
  c.evals[
    scored
  ].data.preprocess = f"decode(1)|resize({res})|value_range(-1, 1)"
  c.evals[scored].every = "50 %"
  c.optim.peak_lr = args.lr or LEARNING_RATES[1]
  c.optim.schedule.warmup = "10 %"
  return c


def _resolution(c: config.ConfigDict, res: int) -> int:
  c.model.image_size = (res, res)
  return res


STAGES = {"pretrain": _pretrain, "transfer": _transfer}
