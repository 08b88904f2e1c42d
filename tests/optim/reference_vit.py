"""A Vision Transformer in plain jax.numpy, for the published trajectories.

Its parameters have the published names without "Transformer/", except that
the blocks are stacked: "blocks/MlpBlock_0/Dense_0/kernel" is [L, D, M].
"""

import re

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity import rule
from vit_jax.core import tree

STACKED = "blocks/"


def init(fixture):
  """The fixture's parameters, blocks stacked."""
  params, blocks = {}, {}
  for name, value in rule.params(fixture).items():
    match = re.fullmatch(r"Transformer/encoderblock_(\d+)/(.*)", name)
    if match:
      blocks.setdefault(match[2], {})[int(match[1])] = value
    else:
      params[name.removeprefix("Transformer/")] = value
  for name, layers in blocks.items():
    params[STACKED + name] = np.stack([layers[i] for i in sorted(layers)])
  return jax.tree.map(jnp.asarray, tree.unflatten(params))


def batch(fixture, step):
  """Images and labels of a step."""
  spec, salt = fixture["batch"], fixture["salt"]
  size, side = spec["size"], spec["resolution"]
  n = rule.draw(f"{salt}:labels{step}", (size, spec["classes"]))
  if "several labels" in spec["labels"]:
    labels = (n > 0.8).astype(np.float32)
  else:
    labels = np.eye(spec["classes"], dtype=np.float32)[n.argmax(-1)]
  shown = {"salt": f"{salt}:step{step}", "image_shape": (size, side, side, 3)}
  return rule.image(shown), labels


def _norm(p, x):
  mean = x.mean(-1, keepdims=True)
  var = jnp.mean((x - mean) ** 2, -1, keepdims=True)
  return _wide((x - mean) / jnp.sqrt(var + 1e-6) * _like(p["scale"], x), p)


def _like(v, x):
  return v.reshape((1,) * (x.ndim - v.ndim) + v.shape)


def _wide(x, p):
  return x + _like(p["bias"], x)


def _attention(p, x):
  def project(name):
    return _wide(jnp.einsum("bnd,dhk->bnhk", x, p[name]["kernel"]), p[name])

  q, k, v = project("query"), project("key"), project("value")
  a = jax.nn.softmax(jnp.einsum("bnhk,bthk->bhnt", q / q.shape[-1] ** 0.5, k))
  out = jnp.einsum("bhnt,bthk->bnhk", a, v)
  return _wide(jnp.einsum("bnhk,hkd->bnd", out, p["out"]["kernel"]), p["out"])


def _block(p, x):
  attention = "MultiHeadDotProductAttention_"
  attention += "0" if f"{attention}0" in p else "1"
  x = x + _attention(p[attention], _norm(p["LayerNorm_0"], x))
  second = p["LayerNorm_1"] if "LayerNorm_1" in p else p["LayerNorm_2"]
  mlp = p["MlpBlock_0"] if "MlpBlock_0" in p else p["MlpBlock_3"]
  y = _norm(second, x)
  y = jax.nn.gelu(_wide(y @ mlp["Dense_0"]["kernel"], mlp["Dense_0"]))
  return x + _wide(y @ mlp["Dense_1"]["kernel"], mlp["Dense_1"])


def _sincos2d(grid, width):
  y, x = np.mgrid[:grid, :grid].reshape(2, -1, 1)
  omega = 1e4 ** -(np.arange(width // 4) / (width // 4 - 1))
  parts = [np.sin(x * omega), np.cos(x * omega)]
  parts += [np.sin(y * omega), np.cos(y * omega)]
  return np.concatenate(parts, 1).astype(np.float32)[None]


def apply(params, images, *, sincos, gap):
  """Logits [B, C] of images [B, h, w, 3]."""
  kernel = params["embedding"]["kernel"]
  side, width = kernel.shape[0], kernel.shape[-1]
  b, h, _, c = images.shape
  grid = h // side
  x = images.reshape(b, grid, side, grid, side, c).transpose(0, 1, 3, 2, 4, 5)
  x = x.reshape(b, grid * grid, -1) @ kernel.reshape(-1, width)
  x = _wide(x, params["embedding"])
  if sincos:
    x = x + _sincos2d(grid, width)
  elif "pos_embedding" in params:
    x = x + params["pos_embedding"]
  if "cls" in params:
    cls = jnp.broadcast_to(params["cls"], (b, 1, width))
    x = jnp.concatenate([cls, x], 1)
  if "posembed_input" in params:
    x = x + params["posembed_input"]["pos_embedding"]
  x, _ = jax.lax.scan(lambda x, p: (_block(p, x), ()), x, params["blocks"])
  x = _norm(params["encoder_norm"], x)
  x = x.mean(1) if gap else x[:, 0]
  return _wide(x @ params["head"]["kernel"], params["head"])


def loss(logits, labels, *, sigmoid):
  """Sigmoid or softmax cross-entropy, summed over classes."""
  if sigmoid:
    logp, lognot = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -jnp.mean(jnp.sum(labels * logp + (1 - labels) * lognot, -1))
  return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), -1))
