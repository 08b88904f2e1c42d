"""What timm's safetensors files have in common."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import CONFIG, Size, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import bit, facts, timm_pixels, torch_like
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
  theirs: str, ours: str, depths: Sequence[int], *norms: str
) -> list[Rule]:
  """The rules of a ResNet-v2's units with these norms; see `bit.units`."""
  return bit.units(
    depths,
    f"{theirs}stages.{{}}.blocks.{{}}.",
    ("conv1", "conv2", "conv3", "downsample.conv"),
    norms,
    torch_like.conv,
    torch_like.norm,
    ours,
    first=0,
  )


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
  pixels = timm_pixels
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
    """timm's arguments for the model; a CheckpointError if we have no such."""
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
    """Raises a CheckpointError that lists the arguments of another model."""
    supported, free = self.supported, ("num_classes", "in_chans", "img_size")
    wrong = [
      f"{name}={value}, where only"
      f" {' or '.join(str(x) for x in supported[name]) or 'none'} is supported"
      for name, value in values.items()
      if name in supported and value not in supported[name]
    ]
    unknown = set(values) - {*supported, *free, *self.free}
    wrong += [
      f"{x}={values[x]}, which is not understood" for x in sorted(unknown)
    ]
    if wrong:
      raise errors.CheckpointError(
        f"{source.path}: its {CONFIG} says {'; '.join(wrong)}"
      )

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    top = source.config
    hub = top.get("pretrained_cfg") or (top if "mean" in top else {})
    return timm_pixels.read(hub, self.mean_and_std, size, channels)

  def labels(self, source: Source) -> Sequence[Any]:
    hub = source.config.get("pretrained_cfg", {})
    names = source.config.get("label_names") or hub.get("label_names") or ()
    return torch_like.in_order(names)

  @abc.abstractmethod
  def architecture(self, config: Any) -> str:
    """The name of the timm constructor that is closest to the model."""

  def features(self, config: Any) -> int:
    """The width of the input of the head."""
    return config.width

  def model_args(self, config: Any) -> dict[str, Any]:
    """The arguments of the constructor."""
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
