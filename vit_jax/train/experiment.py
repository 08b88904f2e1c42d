"""The validated config of a run, and its opened data; needs no device."""

from collections.abc import Sequence
import dataclasses
from typing import Any, Literal

from vit_jax.core import config as config_lib, duration, errors, storage
from vit_jax.core.duration import Duration
from vit_jax.core.mesh import MeshShape
from vit_jax.data import (
  base as sources,
  config as data_config,
  pipeline,
  relabelled,
  summary as data_summary,
)
from vit_jax.preprocess import decode


@dataclasses.dataclass(frozen=True)
class Runtime:
  """How a run is executed; may differ when it is resumed.

  Attributes:
    mesh: devices along each axis.
    microbatches: parts that a batch is cut into; their gradients are added up.
    remat: which activations are computed again in the backward pass.
    unroll: blocks that are compiled without a loop; 0 is all of them.
    split_tokens: whether the mesh's axis "tensor" splits activations outside of
      a ViT's attention and MLPs by tokens (sequence parallelism; Section
      4.2.2, arXiv:2205.05198).
    data_dir: where TFDS data sets are, may be gs://; "" is TFDS's own default
      ($TFDS_DATA_DIR or ~/tensorflow_datasets). The place is not part of the
      run's identity, the data set is.
    data_threads: threads that read and preprocess.
    data_workers: processes that do so instead of threads; 0 uses threads.
    log_every: steps between progress lines and TensorBoard points.
    save_every: how often a checkpoint is written; always at the end as well.
    keep: how many of the newest checkpoints are kept.
    profile: first step and number of steps of a profiler trace; (0, 0) is off.
  """

  mesh: MeshShape = MeshShape()
  microbatches: int = 1
  remat: Literal["none", "dots", "full"] = "none"
  unroll: int = 1
  split_tokens: bool = False
  data_dir: str = ""
  data_threads: int = 4
  data_workers: int = 0
  log_every: int = 50
  save_every: Duration = Duration(10, "%")
  keep: int = 2
  profile: tuple[int, int] = (0, 0)

  def __post_init__(self):
    least = dict(microbatches=1, unroll=0, data_threads=1, data_workers=0)
    for name, low in {**least, "log_every": 1, "keep": 1}.items():
      if getattr(self, name) < low:
        raise errors.about(self, f"{{{name}}} must be at least {low}")
    duration.check_distance("save_every", self.save_every)
    if min(self.profile) < 0:
      raise errors.about(
        self,
        "{profile} is the first step and the number of steps, both at least 0",
      )


@dataclasses.dataclass(frozen=True)
class Start:
  """Where the first parameters come from.

  Attributes:
    checkpoint: weights of any format that `checkpoints.load` reads, for this
      model at any resolution; "" draws them.
    new_head: whether the head is set to zeros even if the checkpoint's fits.
    layout: names of the tensors in published weights: a format, a module of
      `vit_jax.checkpoints.layouts`, or with a dot a module of your own; ""
      recognises it.
    resume: the workdir of a run that this one continues, from its whole state
      at its last step; may be gs://; see train/extend.py. "" continues none.
  """

  checkpoint: str = ""
  new_head: bool = True
  layout: str = config_lib.added("")
  resume: str = config_lib.added("")

  def __post_init__(self):
    if self.layout:
      if not self.checkpoint:
        raise errors.about(
          self, "{layout} has no effect without {checkpoint}; leave it empty"
        )
      from vit_jax.checkpoints import layouts

      layouts.named(self.layout)
    if not self.checkpoint and not self.new_head:
      raise errors.ConfigError(
        "{new_head} has no effect without {checkpoint}; leave it at True",
        {"new_head": self.new_head, "checkpoint": "''"},
      )


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A run: what is trained, on what, for how long, and how it is scored.

  Attributes:
    seed: root of every random stream.
    duration: length of training.
    start: where the first parameters come from.
    model, task, optim: components (module files of these packages).
    data: what the model is trained on.
    evals: evaluators by the name they report under.
    runtime: how it is executed.
  """

  seed: int = 0
  duration: Duration = Duration(10, "epochs")
  start: Start = dataclasses.field(default_factory=Start)
  model: Any = config_lib.component("vit_jax.models", "vit")
  task: Any = config_lib.component("vit_jax.tasks", "supervised")
  optim: Any = config_lib.component("vit_jax.optim", "adamw")
  data: data_config.Config = dataclasses.field(
    default_factory=data_config.Config
  )
  evals: Any = config_lib.components("vit_jax.evals")
  runtime: Runtime = dataclasses.field(default_factory=Runtime)

  def __post_init__(self):
    if not 0 <= self.seed < 2**32:
      raise errors.about(self, "{seed} must be in [0, 2^32)")
    if self.duration.unit == "%":
      raise errors.about(
        self, "{duration} is the whole run: give steps, epochs or examples"
      )
    size, parts = self.data.batch_size, self.runtime.microbatches
    if size % parts:
      raise errors.ConfigError(
        "{data.batch_size} is not divisible by {runtime.microbatches};"
        f" {errors.nearest(size, parts)}",
        {"data.batch_size": size, "runtime.microbatches": parts},
      )
    self.task.check(self)


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The opened data of a run and the lengths that follow from it.

  Attributes:
    train: examples to train on.
    evals: examples of each evaluator, by the field that names their split.
    image_shape: [h, w, c] of an image after preprocessing.
    lengths: total_steps, batch_size and epoch_examples of the run.
    save_every: steps between checkpoints.
    eval_every: steps between evaluations, by evaluator.
  """

  train: sources.Source
  evals: dict[str, dict[str, sources.Source]]
  image_shape: tuple[int, int, int]
  lengths: dict[str, int]
  save_every: int
  eval_every: dict[str, int]


def open_inputs(experiment: Experiment) -> Inputs:
  """Opens every data set and checks it against the model; touches no device.

  Raises:
    ConfigError: a data set or split does not exist, its classes or images do
      not fit the model, or those of two inputs do not fit each other.
  """
  data = experiment.data
  train, image_shape = _open(
    experiment, data.train, "data.train", experiment.task.uses_labels
  )
  like = (f"data.train.preprocess={data.train.preprocess}", image_shape[2])
  evals, _ = open_evals(experiment, like)
  if experiment.task.uses_labels:
    there = f"data.train.name={data.train.name}"
    evals = by_head(experiment, evals, train.class_names, there)
  sizes = dict(batch_size=data.batch_size, epoch_examples=len(train))
  total = experiment.duration.steps(**sizes, total=0)
  if total < 1:
    raise errors.ConfigError(
      f"duration={experiment.duration} is {total} steps of"
      f" data.batch_size={data.batch_size} over {len(train)} examples;"
      " give at least one step"
    )

  def every(length: Duration) -> int:
    return max(length.steps(**sizes, total=total), 1)

  return Inputs(
    train=train,
    evals=evals,
    image_shape=image_shape,
    lengths={"total_steps": total, **sizes},
    save_every=every(experiment.runtime.save_every),
    eval_every={name: every(c.every) for name, c in experiment.evals.items()},
  )


def summary(experiment: Experiment, inputs: Inputs) -> list[str]:
  """What a run reads, with a line for each split."""
  data = experiment.data.train
  lines = data_summary.lines(data.name, {data.split: inputs.train})
  for name, opened in inputs.evals.items():
    for field, source in opened.items():
      split = getattr(experiment.evals[name], field)
      lines += data_summary.lines(split.name, {split.split: source})
  return list(dict.fromkeys(lines))


def open_evals(
  experiment: Experiment, like: tuple[str, int] | None = None
) -> tuple[dict[str, dict[str, sources.Source]], tuple[int, int, int]]:
  """The examples of each evaluator, and the shape of their images.

  Splits of one evaluator that name the same classes have the same labels.

  Args:
    experiment: the config.
    like: what the images must have the channels of, and how many these are;
      None is the first evaluator's.
  """
  opened, shape = {}, (0, 0, 0)
  for name, config in experiment.evals.items():
    opened[name] = {}
    for field, split in _splits(config).items():
      path = f"evals.{name}.{field}"
      source, shape = _open(experiment, split, path, config.labels_of_head)
      here = f"{path}.preprocess={split.preprocess}"
      like = like or (here, shape[2])
      check_channels(here, shape[2], *like)
      opened[name][field] = source
    if not config.labels_of_head:
      there = f"evals.{name}.data.name={config.data.name}"
      names = opened[name]["data"].class_names
      opened[name] = _relabelled(config, name, opened[name], names, there)
  return opened, shape


def by_head(
  experiment: Experiment,
  evals: dict[str, dict[str, sources.Source]],
  names: Sequence[str],
  there: str,
) -> dict[str, dict[str, sources.Source]]:
  """The examples of each evaluator with the labels that a head gives them.

  Args:
    experiment: the config.
    evals: examples by evaluator and field.
    names: of the head's classes.
    there: what they are of, such as "data.train.name=folder:photos".

  Raises:
    ConfigError: an evaluator that needs the head's classes has others.
  """
  return {
    name: _relabelled(experiment.evals[name], name, splits, names, there)
    if experiment.evals[name].labels_of_head
    else splits
    for name, splits in evals.items()
  }


def _relabelled(
  config: Any,
  name: str,
  splits: dict[str, sources.Source],
  names: Sequence[str],
  there: str,
) -> dict[str, sources.Source]:
  """The splits of one evaluator with the labels that `names` say."""
  return {
    field: relabelled.to(
      source,
      names,
      f"evals.{name}.{field}.name={getattr(config, field).name}",
      there,
    )
    for field, source in splits.items()
  }


def _splits(config: Any) -> dict[str, data_config.Split]:
  """The splits of an evaluator by field."""
  values = {x.name: getattr(config, x.name) for x in dataclasses.fields(config)}
  return {k: v for k, v in values.items() if isinstance(v, data_config.Split)}


def check_channels(here: str, have: int, there: str, want: int) -> None:
  """Checks that two inputs, or an input and a model, have the same channels.

  Args:
    here: what gives the images.
    have: its channels.
    there: what takes them.
    want: its channels.

  Raises:
    ConfigError: they differ.
  """
  if have == want:
    return
  remedy = f"decode({want})" if want in decode.CHANNELS else "other data"
  raise errors.ConfigError(
    f"{here} gives images of {have} channel(s), {there} of {want}: use {remedy}"
  )


def _open(
  experiment: Experiment,
  split: data_config.Split,
  path: str,
  labels_of_head: bool,
) -> tuple[sources.Source, tuple[int, int, int]]:
  """The examples of a split, and the shape of its images."""
  data_dir = experiment.runtime.data_dir
  if data_dir:
    # From here on TFDS reads its metadata in a bucket as all else is read.
    data_dir = str(storage.path(data_dir))
  with errors.located(path):
    source = sources.open_source(split.name, split.split, data_dir)
  model = experiment.model
  if labels_of_head and source.num_classes == 1 < experiment.task.least_classes:
    raise errors.ConfigError(
      f"{path}.name={split.name} has the one class"
      f" {(*source.class_names, '0')[0]!r}, and nothing to tell it from; it"
      " needs two or more, such as CLASS/IMAGE or SPLIT/CLASS/IMAGE in a folder"
    )
  part = ""
  if path.startswith("evals.") and source.num_classes < model.num_classes:
    part = ", or score these classes of a head with the evaluator objectnet"
  if labels_of_head and source.num_classes != model.num_classes:
    raise errors.ConfigError(
      f"model.num_classes={model.num_classes}, but {path}.name={split.name}"
      f" has {source.num_classes} classes; set it to {source.num_classes}{part}"
    )
  shape = pipeline.image_shape(source, split.preprocess, split.on_error)
  if shape[:2] != model.image_size:
    raise errors.ConfigError(
      f"model.image_size={model.image_size}, but {path}.preprocess="
      f"{split.preprocess} gives images of {shape[:2]}; change one of them"
    )
  return source, shape
