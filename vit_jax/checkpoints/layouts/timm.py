"""What timm's safetensors files have in common."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from vit_jax.checkpoints import preprocessing
from vit_jax.checkpoints.base import CONFIG, Size, Source
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import timm_pixels, torch_like

BLOCK = {
  "norm_attention": "norm1",
  "attention/{S}": "attn.qkv",
  "attention/out": "attn.proj",
  "norm_mlp": "norm2",
  "mlp/hidden": "mlp.fc1",
  "mlp/out": "mlp.fc2",
}


def model_args(source: Source) -> Mapping[str, Any]:
  """model_args of config.json, with defaults from its other entries."""
  top = source.config
  hub = top.get("pretrained_cfg", {})
  known = {
    key: values[key]
    for values in (hub, top)
    for key in ("num_classes", "global_pool")
    if key in values
  }
  size = hub.get("input_size")
  if size:
    known["img_size"] = size[1:]
  return {**known, **top.get("model_args", {})}


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
    mean_and_std: mean and deviation of the pixels if there is no config.json.
  """

  format = "timm"
  side_names = (CONFIG,)
  head = "head.fc"
  mean_and_std = preprocessing.HALF
  ignored = (
    r".*\.num_batches_tracked",
    r".*\.relative_position_index",
    r".*\.attn_mask",
  )

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    top = source.config
    hub = top.get("pretrained_cfg") or (top if "mean" in top else {})
    return timm_pixels.read(hub, self.mean_and_std, size, channels)

  def labels(self, source: Source) -> Sequence[Any]:
    return source.config.get("label_names") or ()

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
        "fixed_input_size": True,
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
