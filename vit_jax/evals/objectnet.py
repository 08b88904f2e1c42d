"""ObjectNet: an ImageNet classifier on the classes that both have."""

from collections.abc import Callable, Mapping
import dataclasses
import json
import pathlib
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from vit_jax.core import errors
from vit_jax.data import base as sources
from vit_jax.evals import examples

_MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Config(examples.OnSplit):
  """Accuracy on another data set's classes, through a map.

  Attributes:
    class_map: a JSON file {"source": "where the map is from", "map": {"409":
      "alarm_clock", ...}}, from classes of the model's head to classes of
      `data`, each by its name or number. Several may have the same target.
  """

  class_map: str = ""
  labels_of_head: ClassVar[bool] = False


class Evaluator:
  """Top-1 and top-5 on the classes of a map.

  The score of a class is the largest logit that maps to it, as in WiSE-FT's
  code (arXiv:2109.01903), so that only classes of the map are predicted. Images
  of other classes are left out: of ObjectNet's 313 classes 113 remain (section
  3, Barbu et al., "ObjectNet", NeurIPS 2019).

  Differs from the data set's own scoring script, where a prediction outside
  the map is wrong.

  Args:
    config: what to score.
    model: the module whose `out["logits"]` is scored.
    split_sources: under "data" examples with one label each.
    mesh: the devices.

  Raises:
    ConfigError: no class map, or one that does not fit the classes.
  """

  def __init__(
    self,
    config: Config,
    model: nn.Module,
    split_sources: Mapping[str, sources.Source],
    mesh: Mesh,
  ):
    source = split_sources["data"]
    pairs = read_map(config.class_map, source)
    targets = np.unique(list(pairs.values()))
    heads = np.array(list(pairs), np.int32)
    # Place among the targets of each class that maps to one.
    place = np.searchsorted(targets, list(pairs.values()))

    def score(variables: Any, batch: dict[str, jax.Array]):
      logits = model.apply(variables, batch["image"])["logits"]
      if max(pairs) >= logits.shape[-1]:
        raise errors.about(
          config,
          f"{{class_map}} maps class {max(pairs)}, but the model has"
          f" {logits.shape[-1]} classes",
        )
      best = jax.ops.segment_max(
        logits[:, heads].T, place, num_segments=len(targets)
      ).T
      guesses = jax.lax.top_k(best, min(5, len(targets)))[1]
      label = examples.one_label(batch)
      hit = jnp.asarray(targets)[guesses] == label[:, None]
      return {
        "top_1": hit[:, 0],
        "top_5": hit.any(axis=-1),
        "mapped": (label[:, None] == jnp.asarray(targets)[None]).any(axis=-1),
      }

    self.rows = examples.Rows(
      config.data, source, config.batch_size, mesh, score
    )

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = examples.never
  ) -> dict[str, float] | None:
    """top_1 and top_5, and how many images are of mapped classes or not."""
    values = self.rows(variables, stop)
    if values is None:
      return None
    mapped = values["mapped"]
    counts = self.rows.counts(values)
    counts["examples"] = int(mapped.sum())
    # No class that is not mapped is ever predicted.
    hits = {k: int(values[k].sum()) for k in ("top_1", "top_5")}
    return {
      **{k: hit / max(counts["examples"], 1) for k, hit in hits.items()},
      **counts,
      "unmapped": int((~mapped).sum()),
    }


def read_map(path: str, source: sources.Source) -> dict[int, int]:
  """A class map, by numbers.

  Raises:
    ConfigError: no such file, not of the form that `Config` says, or a class
      that the data set does not have.
  """

  def wrong(rule: str) -> errors.ConfigError:
    return errors.ConfigError(
      f"{{class_map}} {rule}", {"class_map": path or "''"}
    )

  file = pathlib.Path(path)
  if not path or not file.is_file():
    raise wrong(
      'must be a JSON file {"source": ..., "map": {class of the model:'
      " class of the data}}; maps from ImageNet are published with ObjectNet"
    )
  if file.stat().st_size > _MAX_BYTES:
    raise wrong(f"is larger than {_MAX_BYTES:,} bytes; it is no class map")
  try:
    said = json.loads(file.read_text(encoding="utf-8"))
  except (ValueError, RecursionError) as e:
    raise wrong(f"is not JSON: {e}") from e
  if not isinstance(said, dict) or not isinstance(said.get("map"), dict):
    raise wrong('has no "map" from classes to classes')
  origin = said.get("source")
  if not isinstance(origin, str) or not origin.strip():
    raise wrong('does not say its "source"; a map of unknown origin is none')
  if not said["map"]:
    raise wrong("maps nothing")
  names = {name: i for i, name in enumerate(source.class_names)}
  pairs: dict[int, int] = {}
  for head, target in said["map"].items():
    number = names.get(target, -1) if isinstance(target, str) else target
    if not head.isdecimal():
      raise wrong(f"maps {head!r}, which is no number of a class of the model")
    known = type(number) is int and 0 <= number < source.num_classes
    if not known:
      hint = errors.did_you_mean(str(target), names)
      raise wrong(f"maps {head} to {target!r}, which the data lacks{hint}")
    pairs[int(head)] = number
  return pairs
