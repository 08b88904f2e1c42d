"""What the safetensors files of transformers have in common."""

import abc
from collections.abc import Mapping, Sequence
import re
from typing import Any, ClassVar

from vit_jax.checkpoints.base import CONFIG, Size, Source
from vit_jax.checkpoints.layouts import facts, hf_pixels, torch_like
from vit_jax.core import errors

BLOCK = {
  "norm_attention": "layernorm_before",
  "attention/query": "attention.q_proj",
  "attention/key": "attention.k_proj",
  "attention/value": "attention.v_proj",
  "attention/out": "attention.o_proj",
  "norm_mlp": "layernorm_after",
  "mlp/hidden": "mlp.fc1",
  "mlp/out": "mlp.fc2",
}

# Names in a block before version 5, which all files of the hub have.
RENAMED = (
  (r"\.attention\.(attention|self)\.query\.", ".attention.q_proj."),
  (r"\.attention\.(attention|self)\.key\.", ".attention.k_proj."),
  (r"\.attention\.(attention|self)\.value\.", ".attention.v_proj."),
  (r"\.attention\.output\.dense\.", ".attention.o_proj."),
  (r"\.intermediate\.dense\.", ".mlp.fc1."),
  (r"\.output\.dense\.", ".mlp.fc2."),
)

# Names of activations that a config.json may have.
_GELU = {
  "gelu": "exact",
  "gelu_python": "exact",
  "gelu_new": "tanh",
  "gelu_pytorch_tanh": "tanh",
}


class HuggingFace(torch_like.TorchLike):
  """A model of transformers.

  Attributes:
    kind: what the names of its classes begin with.
    model_type: of its config.json.
    activations: our words for values of hidden_act.
  """

  format = "hf"
  head = "classifier"
  resize = "bicubic_no_antialias"
  side_names = (CONFIG, hf_pixels.FILE)
  pixels = hf_pixels
  ignored = (r".*relative_position_index", r".*\.position_ids")
  foreign = (
    (r".*\bdistillation_token|distillation_classifier\..*", "DeiT's token"),
    (r".*\bregister_tokens", "register tokens, as in DINOv2"),
    (r".*\b(detection_tokens|class_labels_classifier\..*)", "YOLOS's tokens"),
    (
      r".*\blambda_?[12]|.*layer_scale.*",
      "layer scale, read from timm's files alone",
    ),
    (r"decoder\..*", "a decoder, as of a masked autoencoder"),
  )
  kind: ClassVar[str]
  model_type: ClassVar[str]
  activations: ClassVar[Mapping[str, str]] = _GELU

  def config(self, source: Source) -> dict[str, Any]:
    """config.json with its class's defaults; a CheckpointError for others."""
    config = facts.transformers_config(source, self.model_type)
    name = config["hidden_act"]
    if name not in self.activations:
      raise errors.CheckpointError(
        f"{source.path}: hidden_act={name} of its config.json is not supported"
        f" (there are: {', '.join(self.activations)})"
      )
    return config

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    config = source.side_files.get(hf_pixels.FILE, {})
    return hf_pixels.read(config, size, channels)

  def labels(self, source: Source) -> Sequence[Any]:
    names = torch_like.in_order(source.config.get("id2label") or ())
    # transformers writes these where the classes have no names.
    unnamed = all(re.fullmatch(r"LABEL_\d+", str(name)) for name in names)
    return () if unnamed else names

  @abc.abstractmethod
  def model_fields(self, config: Any) -> dict[str, Any]:
    """The fields of config.json for this kind of model."""

  def side_files(
    self, config: Any, preprocess: str, labels: Sequence[str], channels: int
  ) -> dict[str, dict[str, Any]]:
    end = "ForImageClassification" if config.num_classes else "Model"
    fields = {
      "architectures": [self.kind + end],
      "model_type": self.model_type,
      **self.model_fields(config),
      "image_size": one_or_two(config.image_size),
      "patch_size": one_or_two(config.patch_size),
      "num_channels": channels,
      "qkv_bias": True,
      "num_labels": config.num_classes,
    }
    if labels:
      fields["id2label"] = {str(i): name for i, name in enumerate(labels)}
      fields["label2id"] = {name: i for i, name in enumerate(labels)}
    pixels, _ = hf_pixels.words(preprocess, config.image_size, channels)
    return {CONFIG: fields, hf_pixels.FILE: pixels}


def one_or_two(size: Size) -> int | list[int]:
  """(height, width) as config.json has it: one number for a square."""
  h, w = size
  return h if h == w else [h, w]
