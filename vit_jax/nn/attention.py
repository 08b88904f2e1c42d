"""Multi-head attention: einsum, pre-scaled queries, float32 softmax."""

import math

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vit_jax.nn import posemb

# Names of the arrays that are worth keeping for the backward pass.
KEPT = ("attention_weights", "attended")


@jax.custom_jvp
def softmax(logits: Float[Array, "*batch T"]) -> Float[Array, "*batch T"]:
  """Softmax over the last axis.

  Differs from jax.nn.softmax in its derivative, which needs only the result.
  JAX's also keeps the exponentials, which costs 4 % of the time of a step.
  """
  shifted = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
  return shifted / shifted.sum(axis=-1, keepdims=True)


@softmax.defjvp
def _softmax_jvp(primals, tangents):
  weights = softmax(*primals)
  (tangent,) = tangents
  mean = (weights * tangent).sum(axis=-1, keepdims=True)
  return weights, weights * (tangent - mean)


class MultiHeadAttention(nn.Module):
  """Scaled dot-product attention with H heads of K = D / H features.

  Attributes:
    num_heads: H.
    dropout: dropout rate of the attention weights.
    deterministic: switches dropout off.
    dtype: type of the computation; logits and softmax are float32.
  """

  num_heads: int
  dropout: float = 0.0
  deterministic: bool = True
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "B N D"],
    memory: Float[Array, "B T E"],
    offsets: Float[Array, "O H K"] | None = None,
  ) -> tuple[Float[Array, "B N D"], Float[Array, "B H N T"]]:
    """Attends from x to memory.

    Args:
      x: the tokens that the queries are made from.
      memory: the tokens that keys and values are made from.
      offsets: embeddings of the relative positions of the last P tokens, with
        O = 2 P - 1. Their logits are added; see `posemb.relative_logits`.

    Returns:
      The output, and the attention weights before dropout. The weights are
      float32, and each row of them sums to 1.
    """
    width = x.shape[-1]
    init = nn.initializers.xavier_uniform()

    def project(name: str, x: Float[Array, "B _ _"]) -> Float[Array, "B _ H K"]:
      features = (self.num_heads, width // self.num_heads)
      return nn.DenseGeneral(
        features, kernel_init=init, dtype=self.dtype, name=name
      )(x)

    query = project("query", x) / math.sqrt(width // self.num_heads)
    key, value = project("key", memory), project("value", memory)
    logits = jnp.einsum(
      "BNHK,BTHK->BHNT", query, key, preferred_element_type=jnp.float32
    )
    if offsets is not None:
      logits += posemb.relative_logits(query, offsets.astype(self.dtype))
    weights = checkpoint_name(softmax(logits), "attention_weights")
    dropped = nn.Dropout(self.dropout, deterministic=self.deterministic)(
      weights
    )
    y = jnp.einsum("BHNT,BTHK->BNHK", dropped.astype(self.dtype), value)
    y = checkpoint_name(y, "attended")
    out = nn.DenseGeneral(
      width, axis=(-2, -1), kernel_init=init, dtype=self.dtype, name="out"
    )
    return out(y), weights
