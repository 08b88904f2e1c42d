"""Attention compiled for TPUs: ours, JAX's, and Pallas kernels (docs/adr/0009).

A part of `benchmarks.decisions`, which runs it.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any

import flax.linen as nn
import jax
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas.ops.tpu import flash_attention as flash_lib
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as splash_lib,
  splash_attention_mask as mask_lib,
)
import jax.numpy as jnp
import numpy as np

from benchmarks import bench
from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import attention
from vit_jax.plan import topology

# q, k and v are [B, N, H, K].


def einsum(q: Any, k: Any, v: Any) -> Any:
  """MultiHeadAttention itself, with these arrays for its projections."""
  projected = {"query": q, "key": k, "value": v}

  def replaced(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
    name = context.module.name
    if name == "out":
      return args[0]
    return projected[name] if name in projected else call(*args, **kwargs)

  x = q.reshape(*q.shape[:2], -1)
  with nn.intercept_methods(replaced):
    module = attention.MultiHeadAttention(q.shape[2], dtype=q.dtype)
    return module.apply({}, x, x)[0]


def narrow_einsum(q: Any, k: Any, v: Any) -> Any:
  """With logits of the type of q, as elsewhere; ours are float32."""
  logits = jnp.einsum("BNHK,BTHK->BHNT", q * q.shape[-1] ** -0.5, k)
  weights = jax.nn.softmax(logits.astype(jnp.float32)).astype(q.dtype)
  return jnp.einsum("BHNT,BTHK->BNHK", weights, v)


def padded(kernel: Callable) -> Callable:
  """A kernel of [B, H, N, K] that wants N to be a multiple of 128."""

  def attend(*qkv: Any) -> Any:
    n = qkv[0].shape[1]
    pad = (0, 0), (0, -n % 128), (0, 0), (0, 0)
    qkv = [jnp.pad(x, pad).swapaxes(1, 2) for x in qkv]
    # The tokens do not see the padding.
    segments = (jnp.arange(qkv[0].shape[2]) >= n).astype(jnp.int32)
    return kernel(*qkv, segments).swapaxes(1, 2)[:, :n]

  return attend


def flash(q: Any, k: Any, v: Any, segments: Any) -> Any:
  ids = jnp.broadcast_to(segments, (len(q), *segments.shape))
  ids = flash_lib.SegmentIds(ids, ids)
  scale = q.shape[-1] ** -0.5
  return flash_lib.flash_attention(q, k, v, segment_ids=ids, sm_scale=scale)


def splash(q: Any, k: Any, v: Any, segments: Any) -> Any:
  mask = mask_lib.FullMask((len(segments), len(segments)))
  mask = mask_lib.MultiHeadMask([mask] * q.shape[1])
  ids = splash_lib.SegmentIds(segments, segments)
  kernel = splash_lib.make_splash_mha_single_device(mask)
  kernel = functools.partial(kernel, segment_ids=ids)
  return jax.vmap(kernel)(q * q.shape[-1] ** -0.5, k, v)


def forward_and_backward(attend: Callable) -> Callable:
  def both(*args: Any) -> Any:
    out, pull = jax.vjp(attend, *args[:3])
    return out, pull(args[3])

  return both


def rows() -> Iterator[dict[str, Any]]:
  """On one device: 32 images, 12 heads of 64, bfloat16."""
  variants = {
    "einsum": einsum,
    "einsum, bfloat16 logits": narrow_einsum,
    "jax.nn": jax.nn.dot_product_attention,
    "flash": padded(flash),
    "splash": padded(splash),
  }
  variants = {k: forward_and_backward(v) for k, v in variants.items()}
  draw = np.random.default_rng(0).standard_normal
  few = [draw((1, 197, 2, 64), np.float32) for _ in range(4)]
  expected = jax.jit(variants["einsum"])(*few)
  for variant in variants.values():
    with pltpu.force_tpu_interpret_mode():
      outputs = jax.jit(variant)(*few)
    jax.tree.map(functools.partial(assert_close, 1e-4), outputs, expected)
  for where in ("v3:2x2", "v5e:2x2"):
    device = topology.Topology.parse(where).devices()[:1]
    mesh = mesh_lib.make(mesh_lib.MeshShape(), device)
    split = mesh_lib.replicated(mesh)
    for n in (197, 577, 1025):
      shape = (32, n, 12, 64)
      x = jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=split)
      for name, variant in variants.items():
        row = {"topology": where, "tokens": n, "variant": name}
        yield row | bench.compiled(variant, x, x, x, x)


def assert_close(tolerance: float, ours: Any, theirs: Any) -> None:
  error = np.abs(ours - theirs).max() / np.std(theirs)
  assert error < tolerance, error
