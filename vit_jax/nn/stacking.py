"""Loops over blocks with stacked parameters, and what they recompute."""

from typing import Any, Literal

import flax.linen as nn
import jax

from vit_jax.nn import attention, std_convolution

Remat = Literal["none", "dots", "full"]


def rematted(
  block: Any,
  remat: Remat,
  *,
  looped: bool = False,
  static: tuple[int, ...] = (),
) -> Any:
  """The class of a block that keeps less for the backward pass.

  Args:
    block: a module class.
    remat: what the backward pass computes again. "none": no matmul; a loop
      does repeat elementwise functions, which costs less than storing their
      results. "dots": also matmuls without parameters, and all convolutions
      except standardised ones. "full": everything from the block's inputs.
      Changes speed and memory only.
    looped: whether the block is the body of a compiled loop.
    static: positions of the arguments that are no arrays; 0 is the module.
  """
  if remat == "none" and not looped:
    return block
  policies = jax.checkpoint_policies
  dots = policies.save_from_both_policies(
    policies.dots_with_no_batch_dims_saveable,
    policies.save_only_these_names(std_convolution.KEPT),
  )
  keep = {
    "none": policies.save_from_both_policies(
      dots, policies.save_only_these_names(*attention.KEPT)
    ),
    "dots": dots,
    "full": policies.nothing_saveable,
  }
  # A loop keeps the compiler from undoing the recomputation by itself.
  return nn.remat(
    block, policy=keep[remat], prevent_cse=not looped, static_argnums=static
  )


def stack(
  block: Any,
  length: int,
  in_axes: Any,
  *,
  static: tuple[int, ...] = (),
  unroll: int,
  remat: Remat,
) -> Any:
  """The class of a stack of blocks, whose parameters are [length, ...].

  Each block draws its own initial parameters and its own dropout.

  Args:
    block: a module class whose `__call__` returns (carry, output).
    length: number of blocks.
    in_axes: axes of its arguments after the carry, as for `nn.scan`.
    static: see `rematted`.
    unroll: blocks per turn of the compiled loop, 0 for all (no loop).
      Changes speed, compile time and memory only.
    remat: see `rematted`.
  """
  looped = 0 < unroll < length
  return nn.scan(
    rematted(block, remat, looped=looped, static=static),
    variable_axes={"params": 0},
    split_rngs={"params": True, "dropout": True},
    in_axes=in_axes,
    length=length,
    unroll=unroll if looped else length,
  )
