"""What a training step costs on the host with Linen and with NNX.

The same model (docs/nnx.md) takes steps of AdamW in three ways, in turns: Linen
under `jax.jit`; NNX split before and merged within `jax.jit`; `nnx.jit`. Its
blocks are stacked as ours are, or each has parameters of its own, as NNX's
models have. A part of `benchmarks.decisions`, which runs it (docs/adr/0001).
"""

from collections.abc import Callable, Iterator
import functools
import statistics
from typing import Any

from flax import nnx
import flax.linen as nn
import jax
import numpy as np
import optax

from benchmarks import bench, stock_flax
from vit_jax import models


def steps(model: nn.Module, images: Any) -> dict[str, Callable[[], Any]]:
  """A training step of each kind that goes on from its last state."""
  tx, labels = optax.adamw(1e-3), np.arange(len(images)) % 10
  params = jax.jit(model.init)(jax.random.key(0), images)["params"]

  def mean_loss(outputs: Any) -> Any:
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()

  def train(params: Any, opt_state: Any, images: Any) -> Any:
    def loss(params: Any) -> Any:
      return mean_loss(model.apply({"params": params}, images))

    value, grads = jax.value_and_grad(loss)(params)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value

  def update(view: Any, optimizer: Any, images: Any) -> Any:
    def loss(view: Any) -> Any:
      return mean_loss(view(images))

    value, grads = nnx.value_and_grad(loss)(view)
    optimizer.update(view, grads)
    return value

  def pair() -> tuple[Any, Any]:
    view = models.as_nnx(model, params)
    return view, nnx.Optimizer(view, tx, wrt=nnx.Param)

  def merged(graph: Any, state: Any, images: Any) -> Any:
    parts = nnx.merge(graph, state)
    value = update(*parts, images)
    return nnx.state(parts), value

  linen = jax.jit(train)
  trained = [params, jax.jit(tx.init)(params)]

  def linen_step() -> Any:
    *trained[:], value = linen(*trained, images)
    return value

  split_merge = jax.jit(merged)
  graph, state = nnx.split(pair())
  states = [state]

  def merged_step() -> Any:
    states[0], value = split_merge(graph, states[0], images)
    return value

  whole = functools.partial(nnx.jit(update), *pair(), images)
  return {"linen": linen_step, "nnx split": merged_step, "nnx.jit": whole}


def rows(rounds: int = 100) -> Iterator[dict[str, Any]]:
  """Milliseconds of training steps on the CPU, which take turns."""
  tiny = dict(width=32, depth=12, mlp_dim=64, num_heads=2)
  image_size = (32, 32)
  stock = stock_flax.Model(**tiny, num_classes=10)
  small = models.create("vit", "", 10, **tiny, image_size=image_size)
  ti16 = models.create("vit", "Ti/16", 10, image_size=(64, 64))
  cases = {
    "12 blocks of width 32, stacked": (small, 32),
    "12 blocks of width 32, separate": (stock, 32),
    "Ti/16 at 64 px, stacked": (ti16, 64),
  }
  for name, (model, side) in cases.items():
    draw = np.random.default_rng(0).random
    variants = steps(model, draw((8, side, side, 3), np.float32))
    # The second step shows that the first one's update is the same.
    for _ in range(2):
      losses = [float(step()) for step in variants.values()]
      assert np.ptp(losses) < 1e-4 * losses[0], losses
    taken = {kind: [] for kind in variants}
    for _ in range(rounds):
      for kind, step in variants.items():
        taken[kind].append(1e3 * bench.seconds(step)[0])
    ms = {kind: statistics.median(t) for kind, t in taken.items()}
    for kind, t in taken.items():
      yield {
        "model": name,
        "step": kind,
        "ms": round(ms[kind], 2),
        "least_ms": round(min(t), 2),
        "ratio": round(ms[kind] / ms["linen"], 2),
        "least_ratio": round(min(t) / min(taken["linen"]), 2),
      }
