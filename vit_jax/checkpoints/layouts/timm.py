"""What timm's safetensors files have in common."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import CONFIG, Size, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import facts, timm_pixels, torch_like
from vit_jax.core import errors

BLOCK = {
  "norm_attention": "norm1",
  "attention/{S}": "attn.qkv",
  "attention/out": "attn.proj",
  "norm_mlp": "norm2",
  "mlp/hidden": "mlp.fc1",
  "mlp/out": "mlp.fc2",
}


def resnet_units(
  theirs: str, ours: str, depths: Sequence[int], *, shortcut_norm: bool
) -> list[Rule]:
  """The rules of the units of a ResNet-v2.

  Args:
    theirs: what their names begin with.
    ours: what ours begin with.
    depths: units in each stage.
    shortcut_norm: whether the shortcut of a stage's first unit has a norm.
  """
  rules = []
  for i, depth in enumerate(depths):
    for j in range(depth):
      a = f"{theirs}stages.{i}.blocks.{j}"
      b = f"{ours}stage{i + 1}_unit{j + 1:02}"
      for n in (1, 2, 3):
        rules.append(torch_like.conv(f"{a}.conv{n}", f"{b}/conv{n}"))
        rules += torch_like.norm(f"{a}.norm{n}", f"{b}/norm{n}")
      if not j:
        down = f"{a}.downsample"
        rules.append(torch_like.conv(f"{down}.conv", f"{b}/conv_shortcut"))
        if shortcut_norm:
          rules += torch_like.norm(f"{down}.norm", f"{b}/norm_shortcut")
  return rules


class Timm(torch_like.TorchLike):
  """A model of timm.

  Attributes:
    constructor: timm's class.
    supported: values of its arguments that our model can have, for those that
      change the outputs.
    free: its arguments that change nothing, or that names and shapes show.
    fixed_size: whether a model of timm takes images of one size alone.
    mean_and_std: mean and deviation of the pixels if there is no config.json.
  """

  format = "timm"
  side_names = (CONFIG,)
  head = "head.fc"
  constructor: ClassVar[str]
  supported: ClassVar[Mapping[str, tuple[Any, ...]]]
  free: ClassVar[tuple[str, ...]] = ()
  fixed_size: ClassVar[bool] = True
  mean_and_std = preprocessing.HALF
  ignored = (
    r".*\.num_batches_tracked",
    r".*\.relative_position_index",
    r".*\.attn_mask",
  )

  def arguments(self, source: Source) -> facts.Arguments:
    """The arguments that timm would make the model with, all supported.

    Raises:
      CheckpointError: it would be another model than ours.
    """
    config_args = facts.timm_arguments(source, self.constructor)
    self.check(source, config_args.values)
    top = source.config
    pool = top.get(
      "global_pool", top.get("pretrained_cfg", {}).get("global_pool")
    )
    if pool is not None and "global_pool" not in config_args.written:
      return self.with_pool(source, config_args, pool)
    return config_args

  def with_pool(
    self, source: Source, config_args: facts.Arguments, pool: str
  ) -> facts.Arguments:
    """The arguments where config.json names a pooling outside of model_args.

    timm notes it there for readers, and makes the model without it.

    Raises:
      CheckpointError: the architecture has another pooling.
    """
    have = config_args.values.get("global_pool") or "avg"
    if config_args.architecture and pool != have:
      raise errors.CheckpointError(
        f"{source.path}: its config.json says global_pool={pool}, but"
        f" {config_args.architecture} has global_pool={have}; write the right"
        " one into its model_args"
      )
    config_args = config_args.changed(global_pool=pool)
    self.check(source, config_args.values)
    return config_args

  def check(self, source: Source, values: Mapping[str, Any]) -> None:
    """Refuses arguments of another model than ours."""
    free = ("num_classes", "in_chans", "img_size", *self.free)
    facts.check_arguments(source, values, self.supported, free)

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    top = source.config
    hub = top.get("pretrained_cfg") or (top if "mean" in top else {})
    return timm_pixels.read(hub, self.mean_and_std, size, channels)

  def labels(self, source: Source) -> Sequence[Any]:
    hub = source.config.get("pretrained_cfg", {})
    names = source.config.get("label_names") or hub.get("label_names") or ()
    if isinstance(names, dict):
      names = [names.get(str(i)) for i in range(len(names))]
    return () if None in names else names

  @abc.abstractmethod
  def architecture(self, config: Any) -> str:
    """The name of the timm constructor that is closest to the model."""

  def features(self, config: Any) -> int:
    """The width of the input of the head."""
    return config.width

  def model_args(self, config: Any) -> dict[str, Any]:
    """The arguments of the constructor."""
    del config
    return {}

  def side_files(
    self, config: Any, preprocess: str, labels: Sequence[str], channels: int
  ) -> dict[str, dict[str, Any]]:
    args = self.model_args(config)
    if channels != 3:
      args = {**args, "in_chans": channels}
    pool = args.get("global_pool", "avg")
    pixels, _ = timm_pixels.words(preprocess, config.image_size, channels)
    content = {
      "architecture": self.architecture(config),
      "num_classes": config.num_classes,
      "num_features": self.features(config),
      "global_pool": pool,
      **({"model_args": args} if args else {}),
      "pretrained_cfg": {
        "input_size": [channels, *config.image_size],
        "fixed_input_size": self.fixed_size,
        **pixels,
        "num_classes": config.num_classes,
      },
      **({"label_names": list(labels)} if labels else {}),
    }
    return {CONFIG: content}

  def pixel_notes(
    self, config: Any, preprocess: str, channels: int
  ) -> list[str]:
    return timm_pixels.words(preprocess, config.image_size, channels)[1]
