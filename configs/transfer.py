"""Fine-tuning: published or own weights on another data set and resolution.

On a data set of your own (any name with a scheme, such as folder:PHOTOS or
folder:LIST.csv) the checkpoint says model, resolution and preprocessing, and
the data say the rest: vit_jax/train/fine_tuning.py has the rule and its source.

  python -m vit_jax train --workdir=runs/photos
    --config=configs/transfer.py:dataset=folder:PHOTOS,checkpoint=B_16.npz

What follows is about the data sets of the paper.

Source: Section 4.1, Appendix B.1.1 and Table 4 of arXiv:2010.11929: SGD with
  momentum 0.9 in bfloat16, batch 512, cosine decay, gradients clipped at norm
  1, no weight decay, 384 px, a new head of zeros, positions resized. Crops,
  resizes and warm-ups as in the authors' code. ImageNet's averages of the
  parameters (0.9999) are Table 2's. protocol=augreg: big_vision's transfer.py,
  with which arXiv:2106.10270 was made; protocol=bit: BiT-HyperRule, section 3.3
  of arXiv:1912.11370.
Expected: from ImageNet-21k at 384 px (Table 5) ImageNet 83.97 B/16, 81.28 B/32,
  85.15 L/16, 80.99 L/32; CIFAR-10 98.95 B/16, CIFAR-100 91.67 B/16, Pets 94.43
  B/16, Flowers 99.38 B/16.
Cost: not printed; by FLOPs, B/16 on ImageNet is 23 TPUv3 chip-hours at a third
  of the peak rate (333 GFLOP an image, 20,000 x 512 images).
Data: python -m vit_jax data prepare tfds:cifar10 (and the like; `data list`
  has the 19 tasks of VTAB)
Run: python -m vit_jax train
  --config=configs/transfer.py:variant=B/16,dataset=cifar10,checkpoint=B_16.npz
  --workdir=runs/cifar10

Arguments: model=vit (or hybrid, bit), variant=B/16, dataset=cifar10 (cifar100,
imagenet2012, oxford_iiit_pet, oxford_flowers102, vtab:TASK), res=384,
checkpoint (any format), protocol=vit (or augreg, bit), lr=0 (Table 4's second
smallest), selecting=false (true holds images back from training and is scored
on them), freeze= (backbone trains the head alone, as probe=true does; embedding
keeps the first layer), seed=0.

Arguments with your own data: dataset, checkpoint, and if wished res (of the
checkpoint), epochs, lr, freeze, flip=true (false does not mirror images),
layout (recognised), data_dir (of TFDS), seed=0.

Options: --config.optim.layer_decay=0.75 (rates that fall from layer to layer),
--config.optim.frozen="('embedding/.*',)", --config.optim.average.kind=ema.

configs/sweeps/transfer.py is the whole protocol: rates tried on images held
back, then three seeds on all of them.
"""

from collections.abc import Callable
import dataclasses
import functools
import types

from vit_jax.core import config, errors
from vit_jax.data.sources import vtab
from vit_jax.evals import classification
from vit_jax.models import bit, hybrid, vit
from vit_jax.optim import sgd
from vit_jax.train import fine_tuning
from vit_jax.train.experiment import Experiment

FAMILIES = {"vit": vit, "hybrid": hybrid, "bit": bit}
# What is not said. Empty is what the data set takes.
_DEFAULTS = dict(
  model="",
  variant="",
  dataset="cifar10",
  res=0,
  checkpoint="",
  layout="",
  protocol="",
  epochs=0.0,
  lr=0.0,
  freeze="",
  flip=True,
  data_dir="",
  selecting=False,
  probe=False,
  seed=0,
)
_PAPERS = dict(model="vit", variant="B/16", res=384, protocol="vit")


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set and its row of Table 4.

  Attributes:
    name, classes: of it.
    splits: to train on, to select by and trained on besides the latter, and to
      be scored on.
    steps, warmup: of training.
    lrs: the learning rates that are tried.
    crop: of big_vision's transfer.py.
    size: of BiT-HyperRule: (steps, mixup).
  """

  name: str
  classes: int
  train: str
  part: str
  held_out: str
  test: str
  steps: int
  warmup: int
  lrs: tuple[float, ...]
  crop: str
  bit_steps: int
  bit_mixup: float


_USUAL = (0.001, 0.003, 0.01, 0.03)
_INCEPTION = "inception_crop({res})"
_RESMALL = "resize_small({large})|random_crop({res})"


def _tfds(
  name, classes, share, test, steps, warmup, lrs, crop, size
) -> Dataset:
  parts = (f"train[:{share}%]", f"train[{share}%:]")
  return Dataset(
    *(f"tfds:{name}", classes, "train", *parts, test, steps, warmup, lrs),
    *(crop, *size),
  )


# Steps and mixup of BiT-HyperRule: below 20,000 images, below 500,000, above.
_SMALL, _MEDIUM, _LARGE = (500, 0.0), (10_000, 0.1), (20_000, 0.1)
DATASETS = {
  "imagenet2012": _tfds(
    *("imagenet2012", 1000, 99, "validation", 20_000, 500),
    *((0.003, 0.01, 0.03, 0.06), _INCEPTION, _LARGE),
  ),
  "cifar10": _tfds(
    "cifar10", 10, 98, "test", 10_000, 500, _USUAL, _RESMALL, _MEDIUM
  ),
  "cifar100": _tfds(
    "cifar100", 100, 98, "test", 10_000, 500, _USUAL, _RESMALL, _MEDIUM
  ),
  "oxford_iiit_pet": _tfds(
    "oxford_iiit_pet", 37, 90, "test", 500, 100, _USUAL, _INCEPTION, _SMALL
  ),
  "oxford_flowers102": _tfds(
    "oxford_flowers102", 102, 90, "test", 500, 100, _USUAL, _INCEPTION, _SMALL
  ),
}


def dataset(name: str) -> Dataset:
  """The row of a data set.

  Raises:
    ConfigError: there is none of this name.
  """
  if name.startswith("vtab:"):
    task = vtab.task(name.removeprefix("vtab:"))
    return Dataset(
      *(name, task.num_classes, "train800val200", "train800", "val200", "test"),
      # Flips and crops would change the labels of some tasks.
      *(2500, 500, (0.01,), "resize({res})", *_SMALL),
    )
  if name not in DATASETS:
    raise errors.ConfigError(
      f"dataset={name} is not one of: {', '.join(DATASETS)}, vtab:TASK, and not"
      " SCHEME:REST such as folder:PHOTOS"
      f"{errors.did_you_mean(name, DATASETS)}"
    )
  return DATASETS[name]


def get_config(
  arg: str = "",
) -> config.ConfigDict | Callable[[], config.ConfigDict]:
  args = config.parse_arg(arg, **_DEFAULTS)
  if args.probe:
    _refuse(args, "probe=true is freeze=backbone", "freeze")
    args.freeze = "backbone"
  if ":" in args.dataset and not args.dataset.startswith("vtab:"):
    return _own(args)
  _refuse(
    args,
    "is for data of your own; here it is the protocol's, change"
    " --config.duration or --config.data.train.preprocess",
    *("epochs", "flip", "layout", "data_dir"),
  )
  for name, value in _PAPERS.items():
    setattr(args, name, getattr(args, name) or value)
  return _papers(args)


def _refuse(args: types.SimpleNamespace, why: str, *names: str) -> None:
  for name in names:
    value = getattr(args, name)
    if value != _DEFAULTS[name]:
      raise errors.ConfigError(f"{name}={value}: {why}; leave it out")


def _own(args: types.SimpleNamespace) -> Callable[[], config.ConfigDict]:
  """What infers the config for a data set of one's own."""
  _refuse(args, "the checkpoint says it", "model", "variant")
  _refuse(
    args,
    f"this is for the data sets of the paper, not for dataset={args.dataset}",
    *("protocol", "selecting"),
  )
  if not args.checkpoint:
    raise errors.ConfigError(
      f"dataset={args.dataset} needs checkpoint=PATH, published weights or a"
      " run: it says which model this is"
    )
  fields = {f.name for f in dataclasses.fields(fine_tuning.Request)}
  wanted = {k: v for k, v in vars(args).items() if k in fields}
  request = fine_tuning.Request(**wanted)
  return functools.partial(fine_tuning.config, request)


def _papers(args: types.SimpleNamespace) -> config.ConfigDict:
  """A protocol for one of the data sets of the paper."""
  for name, known in (("model", FAMILIES), ("protocol", PROTOCOLS)):
    value = getattr(args, name)
    if value not in known:
      raise errors.ConfigError(
        f"{name}={value} is not one of: {', '.join(known)}"
        f"{errors.did_you_mean(value, known)}"
      )
  data = dataset(args.dataset)
  scored = "val" if args.selecting else "test"
  c = config.to_config_dict(
    Experiment(
      model=FAMILIES[args.model].variant(
        args.variant,
        num_classes=data.classes,
        image_size=(args.res, args.res),
        dtype="bfloat16",
      ),
      optim=sgd.Config(accumulator_dtype="bfloat16"),
      evals={scored: classification.Config()},
    )
  )
  c.seed = args.seed
  c.start.checkpoint = args.checkpoint
  c.data.batch_size = 512
  c.data.train.name = c.evals[scored].data.name = data.name
  c.data.train.split = data.part if args.selecting else data.train
  c.evals[scored].data.split = data.held_out if args.selecting else data.test
  c.evals[scored].every = "25 %"
  c.optim.peak_lr = args.lr or data.lrs[min(1, len(data.lrs) - 1)]
  c.optim.clip_norm = 1.0
  PROTOCOLS[args.protocol](c, data, scored, args.res)
  if args.dataset == "imagenet2012" and args.protocol == "vit":
    c.optim.average.kind = "ema"
    c.optim.average.decay = 0.9999
  model = FAMILIES[args.model].Config()
  c.optim.frozen = fine_tuning.frozen(args.freeze, model)
  return c


def _vit(c: config.ConfigDict, data: Dataset, scored: str, res: int) -> None:
  crop = "resize" if data.name.startswith("vtab:") else "inception_crop"
  flip = "" if crop == "resize" else "|flip_lr"
  _preprocess(c, scored, f"{crop}({res}){flip}", f"resize({res})")
  c.duration = f"{data.steps} steps"
  c.optim.schedule.warmup = f"{data.warmup} steps"


def _augreg(c: config.ConfigDict, data: Dataset, scored: str, res: int) -> None:
  large = res * 7 // 6
  flip = "" if data.crop.startswith("resize(") else "|flip_lr"
  _preprocess(
    c,
    scored,
    data.crop.format(res=res, large=large) + flip,
    f"resize_small({large})|central_crop({res})",
  )
  c.duration = f"{data.steps} steps"
  c.optim.schedule.warmup = f"{data.warmup} steps"


def _bit(c: config.ConfigDict, data: Dataset, scored: str, res: int) -> None:
  large = res * 7 // 6
  crop = f"resize({large})|random_crop({res})|flip_lr"
  if data.name.startswith("vtab:"):
    crop = f"resize({res})"
  _preprocess(c, scored, crop, f"resize({res})")
  c.duration = f"{data.bit_steps} steps"
  c.task.mixup = data.bit_mixup
  c.optim.peak_lr = 0.003
  c.optim.clip_norm = 0.0
  c.optim.schedule.decay = "stairs"
  c.optim.schedule.stairs = (("30 %", 0.1), ("60 %", 0.01), ("90 %", 0.001))


def _preprocess(
  c: config.ConfigDict, scored: str, train: str, test: str
) -> None:
  rest = "keep('image', 'label')|value_range(-1, 1)"
  c.data.train.preprocess = f"decode|{train}|{rest}"
  c.evals[scored].data.preprocess = f"decode|{test}|{rest}"


PROTOCOLS = {"vit": _vit, "augreg": _augreg, "bit": _bit}
