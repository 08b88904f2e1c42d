"""Layer scale of timm's ViTs, which models here have no place for."""

import dataclasses
import re

import numpy as np

from vit_jax.checkpoints.base import Source
from vit_jax.checkpoints.tensors import Tensor
from vit_jax.core import errors


def folded(source: Source) -> tuple[Source, list[str]]:
  """Multiplies layer scale (arXiv:2103.17239) into what it follows."""
  tensors, count = dict(source.tensors), 0
  for name in source.tensors:
    match = re.fullmatch(r"(blocks\.\d+\.)ls([12])\.gamma", name)
    if not match:
      continue
    gamma, count = tensors.pop(name), count + 1
    scaled = match[1] + {"1": "attn.proj", "2": "mlp.fc2"}[match[2]]
    for end in ("weight", "bias"):
      tensor = tensors.get(f"{scaled}.{end}")
      if tensor is None or tensor.shape[:1] != gamma.shape:
        raise errors.CheckpointError(
          f"{source.path}: {name} of shape {gamma.shape} does not fit"
          f" {scaled}.{end}, which "
          + (f"is {tensor.shape}" if tensor else "is missing")
        )
      tensors[f"{scaled}.{end}"] = _scaled(tensor, gamma)
  if not count:
    return source, []
  return dataclasses.replace(source, tensors=tensors), [
    f"layer scale: {count} tensors ls1.gamma and ls2.gamma are multiplied"
    " into the projections before them; the outputs are the same"
  ]


def _scaled(tensor: Tensor, gamma: Tensor) -> Tensor:
  """The tensor with its first axis multiplied by gamma, read as float32."""

  def read() -> np.ndarray:
    factor = gamma.read().astype(np.float32)
    value = tensor.read().astype(np.float32)
    return value * factor.reshape(-1, *[1] * (value.ndim - 1))

  return dataclasses.replace(tensor, read=read)
