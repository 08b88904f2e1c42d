"""Weighted nearest neighbours in the space of a model's features.

Section 4.2.1, arXiv:2104.14294 (DINO), and the older arXiv:1805.01978.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer
import numpy as np

from vit_jax.core import duration, errors, mesh as mesh_lib
from vit_jax.data import config as data_config
from vit_jax.evals import base


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Nearest-neighbour accuracy on a data set of any classes.

  Attributes:
    train: the split of the neighbours.
    neighbours: numbers of neighbours that vote; each is reported.
    temperature: t in the weight of a neighbour, exp(cosine / t).
  """

  train: data_config.Split = dataclasses.field(
    default_factory=data_config.Split
  )
  every: duration.Duration = duration.Duration(10, "%")
  neighbours: tuple[int, ...] = (10, 20, 100, 200)
  temperature: float = 0.07
  uses_head: ClassVar[bool] = False
  labels_of_head: ClassVar[bool] = False

  def __post_init__(self):
    super().__post_init__()
    if not self.neighbours or min(self.neighbours) < 1:
      raise errors.about(self, "{neighbours} must be numbers of at least 1")
    if self.temperature <= 0:
      raise errors.about(self, "{temperature} must be positive")


class Evaluator(base.Evaluator):
  """Nearest-neighbour accuracy of a model's representation.

  Features are computed once for each split. Those of `train` are on every
  device, those of `data` are split over them.

  Raises:
    ConfigError: the splits have different classes, or there are fewer examples
      than neighbours.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    config = self.config
    most, size = max(config.neighbours), len(self.sources["train"])
    if most > size:
      raise errors.ConfigError(
        f"{{neighbours}} must be at most {size}, the number of examples in"
        " {train.split}",
        {
          "neighbours": config.neighbours,
          "train.split": config.train.split,
        },
      )
    features = base.features(self.model)
    self.train = self.rows("train", features)
    self.test = self.rows("data", features)

    predict = functools.partial(
      vote,
      num_classes=base.same_classes(self.sources),
      neighbours=config.neighbours,
      temperature=config.temperature,
    )
    self.predict = jax.jit(
      predict, out_shardings=mesh_lib.replicated(self.mesh)
    )

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = base.never
  ) -> dict[str, float] | None:
    """Accuracy with k neighbours as "k_nn", and the number of examples."""
    train = self.train(variables, stop)
    test = None if train is None else self.test(variables, stop)
    if train is None or test is None:
      return None
    everywhere = mesh_lib.replicated(self.mesh)
    known = jax.device_put((train["feature"], train["label"]), everywhere)
    ways = mesh_lib.batch_ways(self.mesh)
    size = -(-self.config.batch_size // ways) * ways
    local = mesh_lib.local_rows(self.mesh, size)
    hits = dict.fromkeys(self.config.neighbours, 0)
    for start in range(0, len(test["label"]), size):
      if stop():
        return None
      label = test["label"][start : start + size]
      feature = test["feature"][start : start + size]
      feature = np.pad(feature, ((0, size - len(label)), (0, 0)))
      rows = mesh_lib.put_batch(self.mesh, feature[local])
      for k, guess in jax.device_get(self.predict(*known, rows)).items():
        hits[k] += int((guess[: len(label)] == label).sum())
    scores = {f"{k}_nn": hits[k] / len(test["label"]) for k in hits}
    return {**scores, **self.test.counts(test)}


def vote(
  train: Float[Array, "n D"],
  labels: Integer[Array, "n"],
  test: Float[Array, "B D"],
  *,
  num_classes: int,
  neighbours: tuple[int, ...],
  temperature: float,
) -> dict[int, Integer[Array, "B"]]:
  """Classes by number of neighbours, each k of `neighbours`.

  The k training examples of the largest cosine vote for their class with
  weights exp(cosine / temperature). Of equal neighbours the first counts, of
  equal classes the smallest.
  """

  def unit(x: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
    return x / jnp.maximum(norm, 1e-12)

  cosine = jnp.matmul(unit(test), unit(train).T, precision="highest")
  near, index = jax.lax.top_k(cosine, max(neighbours))
  weight, voted = jnp.exp(near / temperature), labels[index]
  row = jnp.arange(len(test))[:, None]
  guesses = {}
  for k in neighbours:
    votes = jnp.zeros((len(test), num_classes))
    votes = votes.at[row, voted[:, :k]].add(weight[:, :k])
    guesses[k] = votes.argmax(axis=-1)
  return guesses
