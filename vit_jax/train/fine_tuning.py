"""Fine-tuning on a data set of one's own, from what files say about it.

The checkpoint says which model it is, at which size it sees images, and how
they are prepared; the data set says which classes there are, and how many
images. What is left is a rule.

Length, warm-up and mixup are those of BiT-HyperRule (Section 3.3 of
arXiv:1912.11370, and github.com/google-research/big_transfer): 500 steps for
fewer than 20,000 images, 10,000 for fewer than 500,000, else 20,000. The head
is new and of zeros, the rate falls along a cosine, and gradients are clipped at
norm 1 (Section 4.1 and Appendix B.1.1 of arXiv:2010.11929). Random crops are
that code's, or HyperRule's where images are small.

Differs from BiT-HyperRule in the batch, which has 512 images only where an
epoch is 16 such steps, so that a small data set is seen some tens and not some
hundreds of times; and in the optimiser: AdamW, whose one rate fits every family
of models: 1e-4 for a batch of 128 and features of width 768, times the square
root of the batch's share of that (Section 5 of arXiv:2205.10287), and the less
the wider the features are (Table 3 of arXiv:2203.03466; results/transfer has
both for a small model). The new head learns ten times as fast, so that it fits
before the features are bent to it (arXiv:2202.10054).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from vit_jax.checkpoints import describe
from vit_jax.checkpoints.loaded import model_shapes
from vit_jax.cluster import processes
from vit_jax.core import config as config_lib, errors, parts
from vit_jax.core.duration import Duration
from vit_jax.data import base as sources, config as data_config
from vit_jax.data.sources import folder, holdout
from vit_jax.evals import confusion
from vit_jax.models import segmenter, vit
from vit_jax.optim import adamw
from vit_jax.optim.schedule import Schedule
from vit_jax.preprocess import decode, geometry, op
from vit_jax.preprocess.pipeline import Pipeline
from vit_jax.tasks import supervised
from vit_jax.train.experiment import Experiment, Runtime, Start

VALIDATION = ("val", "valid", "validation")
TEST = "test"
# 800 and 200 images are the parts of VTAB-1k (arXiv:1910.04867). With 10,000
# images the standard error of an accuracy is at most half a percent.
_SHARE, _MOST_HELD_BACK = 0.2, 10_000
# BiT-HyperRule: below so many images, (steps, steps of warm-up, mixup).
_HYPER_RULE = (
  (20_000, (500, 100, 0.0)),
  (500_000, (10_000, 500, 0.1)),
  (math.inf, (20_000, 500, 0.1)),
)
_BATCHES, _STEPS_AN_EPOCH = (16, 512), 16
_RATE, _RATE_BATCH, _RATE_WIDTH, _HEAD_RATE = 1e-4, 128, 768, 10.0
# Kernels that enlarge a small crop to blocks of pixels.
_NO_ZOOM = ("area", "nearest", "pillow_box", "pillow_nearest")
# Of BiT-HyperRule: below it, crops are 128 of 160 px each way.
_SMALL_PX, _SMALL_AREA = 96, 64.0


@dataclasses.dataclass(frozen=True)
class Request:
  """What to fine-tune on what; the rest is inferred.

  Attributes:
    dataset: a data set's name, such as "folder:photos".
    checkpoint: weights of any format that `checkpoints.load` reads.
    layout: see `train.experiment.Start`.
    data_dir: see `train.experiment.Runtime`.
    res: side of the images in px; 0 is the checkpoint's size.
    epochs: length; 0 is the rule's.
    lr: peak learning rate; 0 is the rule's.
    freeze: "backbone" trains the head alone, "embedding" keeps the layer that
      images go into.
    flip: whether images are mirrored at random.
    seed: of the run.
  """

  dataset: str
  checkpoint: str
  layout: str = ""
  data_dir: str = ""
  res: int = 0
  epochs: float = 0.0
  lr: float = 0.0
  freeze: str = ""
  flip: bool = True
  seed: int = 0


def config(wanted: Request) -> config_lib.ConfigDict:
  """The config of the run; reads the checkpoint and the data set.

  Raises:
    ConfigError: one of them cannot be used, or both do not fit.
  """
  splits = _splits(wanted)
  train = _open(wanted, splits["train"])
  model, prepared, width = _model(wanted, train.num_classes)
  batch, steps, warmup, mixup = rule(len(train))
  duration = Duration(steps, "steps")
  if wanted.epochs:
    duration = Duration(wanted.epochs, "epochs")
    steps = round(wanted.epochs * len(train) / batch)
  data = {
    name: data_config.Split(*split, prepared[name == "train"], "skip")
    for name, split in splits.items()
  }
  every = {"val": Duration(25, "%"), TEST: Duration(100, "%")}
  experiment = Experiment(
    seed=wanted.seed,
    duration=duration,
    start=Start(wanted.checkpoint, layout=wanted.layout),
    model=model,
    task=supervised.Config(mixup=mixup),
    optim=adamw.Config(
      peak_lr=wanted.lr or rate(batch, width),
      schedule=Schedule(
        warmup=Duration(min(warmup, max(steps, 1) // 5), "steps")
      ),
      clip_norm=1.0,
      lr_multipliers=(("head/.*", _HEAD_RATE),),
      frozen=frozen(wanted.freeze, model),
    ),
    data=data_config.Config(batch, data.pop("train")),
    evals={
      name: confusion.Config(data=split, every=every[name])
      for name, split in data.items()
    },
    runtime=Runtime(
      data_dir=wanted.data_dir, log_every=max(1, min(50, steps // 20))
    ),
  )
  processes.say(
    f"fine-tunes the {parts.name_of(model)} of {wanted.checkpoint} at"
    f" {' x '.join(map(str, model.image_size))} px on {len(train):,} images of"
    f" {train.num_classes:,} classes: {duration}, {batch} images a step"
  )
  return config_lib.to_config_dict(experiment)


def rule(images: int) -> tuple[int, int, int, float]:
  """Batch size, steps, steps of warm-up and mixup for so many images."""
  least, most = _BATCHES
  batch = least
  while batch < most and 2 * batch * _STEPS_AN_EPOCH <= images:
    batch *= 2
  return batch, *next(row for limit, row in _HYPER_RULE if images < limit)


def rate(batch: int, width: int) -> float:
  """The peak learning rate for a batch and features of a width."""
  value = _RATE * math.sqrt(batch / _RATE_BATCH) * _RATE_WIDTH / width
  return float(f"{value:.2g}")


def frozen(freeze: str, model: Any) -> tuple[str, ...]:
  """The patterns of parameters that stay as they are.

  Args:
    freeze: "", "backbone" or "embedding".
    model: config of the model.
  """
  stem = config_lib.module_for(model).STEM.rpartition("/")[0]
  known = {
    "": (),
    "backbone": (r"(?!head/).*",),
    "embedding": (f"{stem}/.*",),
  }
  errors.check_one_of("freeze", freeze, known)
  return known[freeze]


def _splits(wanted: Request) -> dict[str, tuple[str, str]]:
  """Data set and split to train on, and to be scored on as "val" and "test".

  Where no split is for validation, a part of what could be trained on is held
  back; so "test" is only for the end.
  """
  name, data_dir = wanted.dataset, wanted.data_dir
  try:
    whole = holdout.whole_split(name, data_dir)
    names = sources.split_names(name, data_dir)
    source = sources.open_source(name, whole, data_dir)
    label = source[0]["label"] if source.num_classes else 0
  except errors.UserError as e:
    raise _about_data(name, e) from e
  if whole in (*VALIDATION, TEST):
    raise errors.ConfigError(
      f"dataset={name} has the split {whole} alone; add one to train on"
    )
  _check_classes(name, source, label)
  _check_every_class(name, whole, source)
  splits = {"train": (name, whole)}
  if val := next((x for x in names if x in VALIDATION), ""):
    splits["val"] = (name, val)
  else:
    share = held_share(len(source))
    parted = f"holdout:{share:.3f}*{name}"
    splits.update({x: (parted, x) for x in holdout.SPLITS})
    processes.say(
      f"dataset={name} has no split val: {share:.1%} of each class's {whole}"
      f" images are held back from training to be scored on, by their contents"
    )
  if TEST in names:
    splits[TEST] = (name, TEST)
  return splits


def held_share(images: int) -> float:
  """The share of so many images that is held back, at least a thousandth."""
  return max(0.001, min(_SHARE, _MOST_HELD_BACK / images))


def _check_classes(name: str, source: sources.Source, label: Any) -> None:
  """Refuses data that have no classes to tell apart, or several an image."""
  if source.num_classes < 2:
    raise errors.ConfigError(
      f"dataset={name} has {source.num_classes or 'no'}"
      f" class{'' if source.num_classes else 'es'}"
      f" ({', '.join(source.class_names) or 'unnamed'}); a classifier needs at"
      " least 2"
    )
  if np.ndim(label):
    raise errors.ConfigError(
      f"dataset={name} has several labels an image; this recipe is for one"
    )


def _check_every_class(name: str, split: str, source: sources.Source) -> None:
  """Refuses a class with a name and no image, where that is known at once."""
  if isinstance(source, folder.Files) and source.class_names:
    empty = np.flatnonzero(source.class_counts() == 0)
    if len(empty):
      raise errors.ConfigError(
        f"dataset={name}: class {source.class_names[empty[0]]} has no image in"
        f" the split {split}, so nothing is learned of it; add some, or remove"
        " it from the other splits"
      )


def _about_data(name: str, error: errors.UserError) -> errors.ConfigError:
  text = str(error).removeprefix(f"name={name}: ")
  return errors.ConfigError(f"dataset={name}: {text}")


def _open(wanted: Request, split: tuple[str, str]) -> sources.Source:
  """The examples of a split."""
  try:
    return sources.open_source(*split, wanted.data_dir)
  except errors.UserError as e:
    raise _about_data(wanted.dataset, e) from e


def _model(
  wanted: Request, num_classes: int
) -> tuple[Any, list[Pipeline], int]:
  """The model's config, its pipelines to be scored and to be trained, and D."""
  place = f"checkpoint={wanted.checkpoint}"
  try:
    about = describe.describe(
      wanted.checkpoint, layout=wanted.layout, allow_parts=parts.imported()
    )
  except errors.CheckpointError as e:
    raise errors.ConfigError(f"{place}: {e}") from e
  have = about.config
  if isinstance(have, segmenter.Config):
    raise errors.ConfigError(
      f"{place} is a segmenter, which labels pixels; this recipe is for models"
      " that classify images"
    )
  size = (wanted.res, wanted.res) if wanted.res else have.image_size
  head = dict(num_classes=num_classes, head_bias_init=0.0)
  if isinstance(have, vit.Config):
    # All that pre-training had behind the pooling goes (Section 3.2).
    head["pre_logits_dim"] = 0
  try:
    model = dataclasses.replace(have, image_size=size, **head)
  except errors.ConfigError as e:
    raise errors.ConfigError(f"res={wanted.res}: {e}") from e
  module = config_lib.module_for(model).Model(model)
  shapes = model_shapes(module, about.channels)
  width = shapes.get("head/kernel", (_RATE_WIDTH,))[0]
  return model, pipelines(about, size, wanted.flip), width


def pipelines(
  about: describe.Description, size: tuple[int, int], flip: bool
) -> list[Pipeline]:
  """The checkpoint's pipeline at another size, and one to train with.

  The latter takes a random crop where the former resizes, in the same way, and
  mirrors images at random if `flip`.

  Args:
    about: the checkpoint.
    size: (h, w) of the images in px.
    flip: whether images are mirrored.

  Raises:
    ConfigError: no image file has so many channels.
  """
  old = about.config.image_size
  ops = Pipeline.parse(about.preprocess).ops
  if not isinstance(ops[0], decode.Decode):
    with errors.located("checkpoint"):
      ops = (decode.Decode(about.channels), *ops)
  first, *rest = ops
  fit = [_scaled(o, old, size) for o in rest if _resizes(o)]
  others = [o for o in rest if not _resizes(o)]
  fit = fit or [geometry.Resize(op.Size(*size), antialias=True)]
  crop: dict[str, Any] = {"size": op.Size(*size)}
  kernel = next((vars(o) for o in fit if "method" in vars(o)), {})
  if kernel and kernel["method"] not in _NO_ZOOM:
    # How pixels are made is the checkpoint's.
    crop |= {k: kernel[k] for k in ("method", "antialias")}
  if min(size) < _SMALL_PX:
    crop["area_min"] = _SMALL_AREA
  random: list[Any] = [geometry.InceptionCrop(**crop)]
  if flip:
    random.append(geometry.FlipLr())
  return [
    Pipeline((first, *fit, *others)),
    Pipeline((first, *random, *others)),
  ]


def _resizes(o: Any) -> bool:
  return any(
    isinstance(value, op.Size) or name == "smaller_size"
    for name, value in vars(o).items()
  )


def _scaled(o: Any, old: tuple[int, int], new: tuple[int, int]) -> Any:
  """The op with all its sizes in proportion to the image's."""
  changed: dict[str, Any] = {}
  for name, value in vars(o).items():
    if isinstance(value, op.Size):
      h, w = value.h * new[0] / old[0], value.w * new[1] / old[1]
      changed[name] = op.Size(round(h), round(w))
    elif name == "smaller_size":
      changed[name] = round(value * min(new) / min(old))
  return dataclasses.replace(o, **changed)
