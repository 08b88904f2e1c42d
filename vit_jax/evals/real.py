"""ImageNet-ReaL: a prediction is right where it is one of several labels."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vit_jax.data import base as sources
from vit_jax.evals import examples
from vit_jax.losses import classification


@dataclasses.dataclass(frozen=True)
class Config(examples.OnSplit):
  """Accuracy against sets of labels."""


class Evaluator:
  """The share of images whose best class is in their set of labels.

  Images without a label (3,163 of ImageNet's 50,000) are left out. Source:
  section 3, arXiv:2006.07159.

  Args:
    config: what to score.
    model: the module whose `out["logits"]` is scored.
    split_sources: under "data" examples whose "label" is int [K], padded with
      -1, or float [C], above 0 for the classes of the set.
    mesh: the devices.
  """

  def __init__(
    self,
    config: Config,
    model: nn.Module,
    split_sources: Mapping[str, sources.Source],
    mesh: Mesh,
  ):
    def score(variables: Any, batch: dict[str, jax.Array]):
      logits = model.apply(variables, batch["image"])["logits"]
      target = classification.targets(batch["label"], logits.shape[-1])
      best = logits.argmax(axis=-1, keepdims=True)
      hit = jnp.take_along_axis(target, best, axis=-1)[:, 0] > 0
      return {"hit": hit, "labelled": (target > 0).any(axis=-1)}

    self.rows = examples.Rows(
      config.data, split_sources["data"], config.batch_size, mesh, score
    )

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = examples.never
  ) -> dict[str, float] | None:
    """top_1, and how many examples have labels and how many have none."""
    values = self.rows(variables, stop)
    if values is None:
      return None
    labelled = values["labelled"]
    counts = self.rows.counts(values)
    counts["examples"] = int(labelled.sum())
    hits = int(values["hit"].sum())
    return {
      "top_1": hits / max(counts["examples"], 1),
      **counts,
      "unlabelled": int((~labelled).sum()),
    }
