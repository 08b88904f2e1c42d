"""What `load` returns: a model, its weights, and a report about both."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.checkpoints.keys import Shape
from vit_jax.core import config as config_lib, errors, parts, tree

Arrays: TypeAlias = dict[str, np.ndarray]
MODELS = "vit_jax.models"
STATS = "batch_stats"


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of each tensor, and what was assumed.

  Attributes:
    used: names in the file of the tensors that were read.
    resized: our names of position embeddings that are for another grid now.
    reset: our names of arrays that are zeros instead of the file's.
    dropped: our names of arrays that the model does not have.
    ignored: names in the file of buffers and of all that is no weight.
    assumptions: sentences about what the file does not say.
  """

  used: tuple[str, ...]
  resized: tuple[str, ...] = ()
  reset: tuple[str, ...] = ()
  dropped: tuple[str, ...] = ()
  ignored: tuple[str, ...] = ()
  assumptions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A checkpoint, ready to use.

  Attributes:
    model: the Flax module.
    params: its parameters, float32 in the host's memory.
    batch_stats: its batch statistics; empty for models without.
    source_format: such as "vision_transformer", "timm", "hf" or "orbax".
    report: what became of each tensor of the file.
    preprocess: pipeline that the images go through.
    labels: names of the classes, or empty if they are not known.
    metadata: config.json, or the config and provenance of a run.
  """

  model: nn.Module
  params: dict[str, Any]
  batch_stats: dict[str, Any]
  source_format: str
  report: Report
  preprocess: str
  labels: tuple[str, ...] = ()
  metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def variables(self) -> dict[str, Any]:
    """What `model.apply` takes."""
    stats = {STATS: self.batch_stats} if self.batch_stats else {}
    return {"params": self.params, **stats}

  @property
  def channels(self) -> int:
    """Of the images that the model takes."""
    config = self.model.config  # type: ignore[attr-defined]
    return image_channels(flat(self.variables), config)


def given_config(
  place: object, name: str, shown: str, model: nn.Module | None
) -> Any | None:
  """The config of the model that a checkpoint is to be loaded for, or None.

  A CheckpointError says that it holds not that but `name`, or what is `shown`.
  """
  if model is None:
    return None
  config = model.config  # type: ignore[attr-defined]
  if parts.name_of(config) != name:
    raise errors.CheckpointError(
      f"{place} holds a {shown}, the model is a {parts.name_of(config)}"
    )
  return config


@functools.lru_cache(maxsize=8)
def model_shapes(model: nn.Module, channels: int) -> dict[str, Shape]:
  """The shapes of a model's arrays by our names; computes nothing."""
  size = model.config.image_size  # type: ignore[attr-defined]
  images = jax.ShapeDtypeStruct((1, *size, channels), jnp.float32)
  # A key that is made outside would start the devices.
  variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x), images)
  return {k: v.shape for k, v in flat(dict(variables)).items()}


def image_channels(arrays: Mapping[str, Any], config: Any) -> int:
  """The channels of the images, by the kernel that they go into.

  3 if there is no such kernel; comparing all arrays will report that.
  """
  stem = config_lib.module_for(config).STEM
  return arrays[stem].shape[2] if stem in arrays else 3


def flat(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Parameters by name, and batch statistics under batch_stats/."""
  params = tree.flatten(variables["params"])
  stats = tree.flatten({STATS: variables.get(STATS, {})})
  return {**params, **stats}


def nested(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
  """Parameters and batch statistics as trees; the inverse of `flat`."""
  params = tree.unflatten(arrays)
  return params, params.pop(STATS, {})
