"""Parameter patterns that also reach single layers of stacked parameters.

Block parameters are stacked [L, ...] under one subtree, such as "blocks/". A
pattern sees `blocks/mlp/kernel` under that name, for all layers, and layer 3
of it under the name `blocks/3/mlp/kernel`.
"""

from collections.abc import Sequence
import re
from typing import Any

import numpy as np

from vit_jax.core import errors, tree

# How names begin of what is below and in the one stack of ViTs and hybrids.
_BELOW = ("class_token", "posemb/", "embedding/", "resnet/")
_BLOCKS = "blocks/"


def prefix(name: str, stacked: str) -> str:
  """The part of a name that says it is stacked, or nothing.

  Args:
    name: whole name of a parameter.
    stacked: regex of how the names of stacked parameters begin, such as
      "blocks/"; "" if none is stacked.
  """
  match = re.match(stacked, name) if stacked else None
  return match[0] if match else ""


def first_match(
  params: Any, patterns: Sequence[str], stacked: str
) -> dict[str, np.ndarray]:
  """For each parameter, or each layer of it, the first pattern that matches.

  Args:
    params: tree of arrays or of their shapes.
    patterns: regexes of whole names of parameters or of their layers.
    stacked: regex of how the names of stacked parameters begin.

  Returns:
    By name, indices of patterns or -1; of shape [] for a plain parameter and
    [L, 1, ...], with its rank, for a stacked one.

  Raises:
    ConfigError: a pattern is no regex or is the first match of nothing.
  """
  leaves = tree.flatten(params)
  layers = {}
  for name, leaf in leaves.items():
    start = prefix(name, stacked)
    rest = name[len(start) :]
    depth = leaf.shape[0] if start else 0
    layers[name] = [f"{start}{i}/{rest}" for i in range(depth)]
  names = [*leaves, *(one for many in layers.values() for one in many)]
  matches = tree.first_match(dict.fromkeys(names, 0), patterns)

  def first(*names: str) -> int:
    return min((matches[n] for n in names if matches[n] >= 0), default=-1)

  return {
    name: np.reshape(
      [first(name, one) for one in layers[name]], (-1,) + (1,) * (leaf.ndim - 1)
    )
    if layers[name]
    else np.asarray(first(name))
    for name, leaf in leaves.items()
  }


def decayed(params: Any, decay: float, stacked: str) -> dict[str, np.ndarray]:
  """Multipliers of the learning rate that fall with the distance to the head.

  With L blocks it is decay^(L + 1 - l): l is 0 for patches, positions and the
  class token, k for the k-th block, and L + 1 for all above. Source: BEiT
  (arXiv:2106.08254) and MAE (arXiv:2111.06377), whose code counts so. Differs
  from BEiT where all blocks share relative offsets: here they are positions,
  there they have the rate of the last block.

  Args:
    params: tree of arrays or of their shapes.
    decay: above 0, 1 changes nothing.
    stacked: regex of how the names of stacked parameters begin.

  Returns:
    By name, of shape [] or [L, 1, ...] with the parameter's rank.

  Raises:
    ConfigError: the model is not one stack of blocks.
  """
  if stacked != _BLOCKS:
    raise errors.ConfigError(
      "this model is not one stack of blocks, as ViTs and hybrids are, so its"
      " layers are not numbered; give lr_multipliers of its parts"
    )
  leaves = tree.flatten(params)
  depth = next(v.shape[0] for k, v in leaves.items() if k.startswith(_BLOCKS))

  def one(name: str, leaf: Any) -> np.ndarray:
    if name.startswith(_BLOCKS):
      layers = np.arange(1, depth + 1).reshape(-1, *[1] * (leaf.ndim - 1))
    else:
      layers = np.asarray(0 if name.startswith(_BELOW) else depth + 1)
    return decay ** (depth + 1.0 - layers)

  return {name: one(name, leaf) for name, leaf in leaves.items()}
