"""Blocks with stacked and separate parameters, for TPU v3 (docs/adr/0010).

A part of `benchmarks.decisions`, which runs it.
"""

from collections.abc import Callable, Iterator
import functools
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import bench
from vit_jax import models
from vit_jax.core import mesh as mesh_lib
from vit_jax.nn import encoder, stacking
from vit_jax.plan import topology

TOPOLOGY = "v3:2x2"


def looped(layers: list[Any]) -> Callable:
  """In place of `encoder.stack`: a loop over blocks with these parameters."""

  def stack(depth: int, **_: Any) -> Callable:
    assert depth == len(layers)

    def blocks(config: encoder.BlockConfig, split_tokens: bool) -> Callable:
      block = encoder.Block(config, split_tokens, parent=None)

      def run(x: Any, _: None, *others: Any) -> Any:
        for layer in layers:
          x, _ = block.apply({"params": layer}, x, None, *others)
        return x, None

      return run

    return blocks

  return stack


def layouts(model: nn.Module) -> dict[str, tuple[Callable, Callable]]:
  """(logits of parameters and images, its parameters of stacked ones)."""

  def stacked(params: Any, images: Any, **knobs: Any) -> Any:
    return model.clone(**knobs).apply({"params": params}, images)["logits"]

  def rolled_keeping_all(params: Any, images: Any) -> Any:
    with mock.patch.object(stacking, "rematted", lambda block, *_, **__: block):
      return stacked(params, images)

  def separate(params: Any, images: Any) -> Any:
    others, layers = params
    with mock.patch.object(encoder, "stack", looped(layers)):
      return stacked(others, images)

  def separated(params: Any) -> Any:
    others = {k: v for k, v in params.items() if k != "blocks"}
    cut = [
      jax.tree.map(lambda x: x[i], params["blocks"])  # noqa: B023
      for i in range(model.config.depth)
    ]
    return others, cut

  def same(params: Any) -> Any:
    return params

  return {
    "rolled": (stacked, same),
    "rolled, all kept": (rolled_keeping_all, same),
    "rolled, remat=full": (functools.partial(stacked, remat="full"), same),
    "unrolled": (functools.partial(stacked, unroll=0), same),
    "separate": (separate, separated),
  }


def assert_same_logits() -> None:
  """Runs all layouts of a small model, with the same parameters."""
  sizes = dict(width=32, depth=3, mlp_dim=64, num_heads=2, image_size=(64, 64))
  model = models.create("vit", "S/16", 10, **sizes)
  draw = np.random.default_rng(0).standard_normal
  images = draw((2, 64, 64, 3), np.float32)
  params = jax.jit(model.init)(jax.random.key(0), images)["params"]
  # The head is zero at first.
  params = jax.tree.map(lambda x: x + 0.1 * draw(x.shape, np.float32), params)
  expected = model.apply({"params": params}, images)["logits"]
  for logits, layout in layouts(model).values():
    error = jax.jit(logits)(layout(params), images) - expected
    assert np.abs(error).max() < 1e-5 * np.std(expected), error


def rows() -> Iterator[dict[str, Any]]:
  """The gradient of ViT-S/16 for 64 images of 224 px on each device."""
  assert_same_logits()
  model = models.create("vit", "S/16", dtype="bfloat16")
  mesh = mesh_lib.make(
    mesh_lib.MeshShape(), topology.Topology.parse(TOPOLOGY).devices()
  )
  images = jax.ShapeDtypeStruct(
    (64 * mesh.size, 224, 224, 3),
    jnp.bfloat16,
    sharding=mesh_lib.batch_sharding(mesh),
  )
  params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  for name, (logits, layout) in layouts(model).items():

    def loss(params: Any, images: Any, logits: Callable = logits) -> Any:
      return jnp.square(logits(params, images)).mean()

    given = jax.eval_shape(layout, params)
    whole = jax.tree.map(lambda _: mesh_lib.replicated(mesh), given)
    given = mesh_lib.with_shardings(given, whole)
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      row = bench.compiled(jax.grad(loss), given, images, out_shardings=whole)
    yield {"topology": TOPOLOGY, "variant": name} | row
