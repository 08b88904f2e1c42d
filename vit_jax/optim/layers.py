"""Parameter patterns that also reach single layers of stacked parameters.

Block parameters are stacked [L, ...] under one subtree, such as "blocks/". A
pattern can match `blocks/mlp/kernel`, which means all its layers, or
`blocks/3/mlp/kernel`, which means layer 3 alone.
"""

from collections.abc import Sequence
import itertools
import re
from typing import Any

from jaxtyping import Float, Int
import numpy as np

from vit_jax.core import errors, tree

# In ViTs and hybrids: how the names of parameters below the blocks begin, and
# how those in the blocks do.
_BELOW = ("class_token", "posemb/", "embedding/", "resnet/")
_BLOCKS = "blocks/"


def prefix(name: str, stacked: str) -> str:
  """The beginning of a name that marks it as stacked, or "".

  Args:
    name: the whole name of a parameter.
    stacked: regex of how the names of stacked parameters begin, such as
      "blocks/"; "" if none is stacked.
  """
  match = re.match(stacked, name) if stacked else None
  return match[0] if match else ""


def first_match(
  params: Any, patterns: Sequence[str], stacked: str
) -> dict[str, Int[np.ndarray, "..."]]:
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
  names = [*leaves, *itertools.chain.from_iterable(layers.values())]
  matches = tree.first_match(dict.fromkeys(names, 0), patterns)

  def first(*names: str) -> int:
    return min((matches[n] for n in names if matches[n] >= 0), default=-1)

  return {
    name: np.reshape(
      [first(name, layer) for layer in layers[name]],
      (-1,) + (1,) * (leaf.ndim - 1),
    )
    if layers[name]
    else np.asarray(first(name))
    for name, leaf in leaves.items()
  }


def decayed(
  params: Any, decay: float, stacked: str
) -> dict[str, Float[np.ndarray, "..."]]:
  """Multipliers of the learning rate that fall with the distance to the head.

  With L blocks a multiplier is decay^(L + 1 - l), where l is 0 for patches,
  positions and the class token, k for the k-th block, and L + 1 for all above.
  Source: the code of BEiT (arXiv:2106.08254) and MAE (arXiv:2111.06377).
  Differs from BEiT in that relative offsets which all blocks share count as
  positions; there they have the rate of the last block.

  Args:
    params: tree of arrays or of their shapes.
    decay: above 0; 1 changes nothing.
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

  def multipliers(name: str, leaf: Any) -> Float[np.ndarray, "..."]:
    if name.startswith(_BLOCKS):
      layers = np.arange(1, depth + 1).reshape(-1, *[1] * (leaf.ndim - 1))
    else:
      layers = np.asarray(0 if name.startswith(_BELOW) else depth + 1)
    return np.asarray(decay ** (depth + 1.0 - layers))

  return {name: multipliers(name, leaf) for name, leaf in leaves.items()}
