"""ObjectNet: an ImageNet classifier on the classes that both have."""

import dataclasses
import json
import pathlib
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool
import numpy as np

from vit_jax.core import errors
from vit_jax.data import base as sources
from vit_jax.evals import base

_MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Accuracy on another data set's classes, through a map.

  Attributes:
    class_map: a JSON file {"source": "where the map is from", "map": {"409":
      "alarm_clock", ...}}, from classes of the model's head to classes of
      `data`, each by its name or number. Several may have the same target.
  """

  class_map: str = ""
  labels_of_head: ClassVar[bool] = False


class Evaluator(base.OnData):
  """Top-1 and top-5 on the classes of a map.

  The score of a class is the largest logit that maps to it, as in WiSE-FT's
  code (arXiv:2109.01903), so that only classes of the map are predicted. Images
  of other classes are left out: of ObjectNet's 313 classes 113 remain (section
  3, Barbu et al., "ObjectNet", NeurIPS 2019).

  Differs from the data set's own scoring script, where a prediction outside
  the map is wrong.

  Raises:
    ConfigError: no class map, or one that does not fit the classes.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.map = read_map(self.config.class_map, self.sources["data"])

  def score(
    self, variables: Any, batch: base.Batch
  ) -> dict[str, Bool[Array, "B"]]:
    logits = self.logits(variables, batch)
    if max(self.map) >= logits.shape[-1]:
      raise errors.about(
        self.config,
        f"{{class_map}} maps class {max(self.map)}, but the model has"
        f" {logits.shape[-1]} classes",
      )
    heads = np.array(list(self.map), np.int32)
    # Place among the targets of each class that maps to one.
    targets, place = np.unique(list(self.map.values()), return_inverse=True)
    best = jax.ops.segment_max(
      logits[:, heads].T, place, num_segments=len(targets)
    ).T
    guesses = jax.lax.top_k(best, min(5, len(targets)))[1]
    label = base.one_label(batch)
    hit = jnp.asarray(targets)[guesses] == label[:, None]
    return {
      "top_1": hit[:, 0],
      "top_5": hit.any(axis=-1),
      "mapped": (label[:, None] == jnp.asarray(targets)[None]).any(axis=-1),
    }

  def summary(self, values: base.Values) -> base.Scores:
    """top_1 and top_5, and how many images are of mapped classes or not."""
    mapped = values["mapped"]
    counts = self.data.counts(values)
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

  file = pathlib.Path(path).expanduser()
  if not path or not file.is_file():
    raise wrong(
      'must be a JSON file {"source": ..., "map": {class of the model:'
      " class of the data}}; maps from ImageNet are published with ObjectNet"
    )
  if file.stat().st_size > _MAX_BYTES:
    raise wrong(f"is larger than {_MAX_BYTES:,} bytes; it is no class map")
  try:
    content = json.loads(file.read_text(encoding="utf-8"))
  except (ValueError, RecursionError) as e:
    raise wrong(f"is not JSON: {e}") from e
  if not isinstance(content, dict) or not isinstance(content.get("map"), dict):
    raise wrong('has no "map" from classes to classes')
  origin = content.get("source")
  if not isinstance(origin, str) or not origin.strip():
    raise wrong('does not say its "source"; a map of unknown origin is none')
  if not content["map"]:
    raise wrong("maps nothing")
  names = {name: i for i, name in enumerate(source.class_names)}
  pairs: dict[int, int] = {}
  for head, target in content["map"].items():
    number = names.get(target, -1) if isinstance(target, str) else target
    if not head.isdecimal():
      raise wrong(f"maps {head!r}, which is no number of a class of the model")
    known = type(number) is int and 0 <= number < source.num_classes
    if not known:
      hint = errors.did_you_mean(str(target), names)
      raise wrong(f"maps {head} to {target!r}, which the data lacks{hint}")
    pairs[int(head)] = number
  return pairs
