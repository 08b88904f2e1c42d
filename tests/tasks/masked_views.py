"""An objective with a decoder of its own, and views of two sizes.

Some patches alone are encoded. The task's decoder predicts the pixels of the
others from them, and what the model says of an image half as large has to agree
with what it says of the patches that were kept.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from vit_jax.losses import reconstruction
from vit_jax.nn import encoder
from vit_jax.tasks import base


class Decoder(nn.Module):
  """One block and a layer that predicts pixels, for tokens [B, N, D]."""

  outputs: int

  @nn.compact
  def __call__(self, tokens):
    x, _ = encoder.Block(encoder.BlockConfig(2, 32), name="block")(tokens)
    return nn.Dense(self.outputs, name="pixels")(nn.LayerNorm(name="norm")(x))


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Which patches are kept.

  Attributes:
    kept: number of patches of an image that are encoded.
  """

  kept: int = 4


class Task(base.Task):
  """Its parameters are the decoder's, a mask and positions for the decoder."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self.grid = self.model.config.grid
    self.count = self.grid[0] * self.grid[1]

  def init(self, key, images):
    params, state = super().init(key, images)
    width = self.model.config.width
    tokens = jnp.zeros((1, self.count, width))
    params[base.OWN] = {
      "decoder": self._decoder(images).init(key, tokens)["params"],
      "mask": 0.02 * jax.random.normal(key, (1, 1, width)),
      "positions": 0.02 * jax.random.normal(key, (1, self.count, width)),
    }
    return params, state

  def _decoder(self, images):
    return Decoder(images[0].size // self.count)

  def augment(self, batch, key):
    image = batch["image"]
    b, h, w, c = image.shape
    noise = jax.random.uniform(key, (b, self.count))
    small = image.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return {"image": image, "small": small, "order": noise.argsort(axis=1)}

  def loss(self, variables, batch, key, step):
    del step
    kept = batch["order"][:, : self.config.kept, None]

    def encode_kept(model, images):
      x = model.add_positions(model.embed(images))
      x = jnp.take_along_axis(x, kept, axis=1)
      tokens, _ = model.encode(x, train=True)
      return tokens, model.pool(tokens)[0]

    def encode_small(model, images):
      grid = tuple(n // 2 for n in self.grid)
      x = model.add_positions(model.embed(images), grid)
      return model.pool(model.encode(x, train=True)[0])[0]

    keys = jax.random.split(key)
    (tokens, whole), _ = self.apply(
      variables, batch["image"], keys[0], method=encode_kept
    )
    small, state = self.apply(
      variables, batch["small"], keys[1], method=encode_small
    )
    own = variables.params[base.OWN]
    tokens = tokens[:, -self.config.kept :]
    places = jnp.arange(len(tokens))[:, None, None]
    x = jnp.broadcast_to(
      own["mask"], (len(tokens), *own["positions"].shape[1:])
    )
    x = x.at[places, kept, jnp.arange(x.shape[-1])].set(tokens)
    decoder = self._decoder(batch["image"])
    pixels = decoder.apply({"params": own["decoder"]}, x + own["positions"])
    target = reconstruction.patches(batch["image"], self.grid)
    error = jnp.square(pixels - target.reshape(pixels.shape)).mean(axis=-1)
    hidden = jnp.ones(error.shape).at[places[..., 0], kept[..., 0]].set(0.0)
    error = (error * hidden).sum() / hidden.sum()
    agreement = jnp.square(small - jax.lax.stop_gradient(whole)).mean()
    count = jnp.asarray(len(tokens), jnp.float32)
    metrics = {"pixel_error": (error * count, count)}
    return error + agreement, base.Aux(metrics=metrics, state=state)
