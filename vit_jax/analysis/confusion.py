"""Where a classifier is wrong: by class, by pair of classes, by image."""

from collections import Counter
from collections.abc import Collection
import dataclasses
from typing import Any

from jaxtyping import Int64, UInt8
import numpy as np

from vit_jax.cluster import processes
from vit_jax.core import config as config_lib, errors, parts
from vit_jax.data import config as data_config
from vit_jax.evals import base, classification, confusion
from vit_jax.train import evaluate


@dataclasses.dataclass(frozen=True)
class Mistake:
  """An image that was taken for another class.

  Attributes:
    where: its file, or its place in the data set.
    image: as the model sees it.
    label: its class.
    predicted: the class that it was taken for.
    confidence: probability of the latter.
  """

  where: str
  image: UInt8[np.ndarray, "h w c"]
  label: str
  predicted: str
  confidence: float


@dataclasses.dataclass(frozen=True)
class Findings:
  """What an evaluator found.

  Attributes:
    name: of the evaluator.
    data: data set and split.
    class_names: of the C classes.
    counts: examples of each class.
    right: those that were predicted right.
    pairs: how often (label, predicted) was wrong, the most frequent first.
    mistakes: the worst ones, the most confident first.
    mean: over classes, of the share that is right.
  """

  name: str
  data: str
  class_names: tuple[str, ...]
  counts: Int64[np.ndarray, " C"]
  right: Int64[np.ndarray, " C"]
  pairs: dict[tuple[int, int], int]
  mistakes: list[Mistake]
  mean: float


def find(
  checkpoint: str,
  config: config_lib.ConfigDict | None = None,
  *,
  mistakes: int,
  layout: str = "",
  allow_parts: Collection[str] = (),
) -> list[Findings]:
  """Scores a checkpoint on every split that its config scores classes on.

  Args:
    checkpoint: see `evaluate.ready`.
    config: see `evaluate.ready`.
    mistakes: how many are looked at.
    layout: see `evaluate.ready`.
    allow_parts: see `evaluate.ready`.

  Raises:
    ConfigError: the config has no evaluator of one class an image.
  """
  made = evaluate.ready(
    checkpoint,
    config,
    layout=layout,
    allow_parts=allow_parts,
    change=_evaluators,
  )
  return [
    _findings(name, evaluator, made.variables, mistakes)
    for name, evaluator in made.evaluators.items()
  ]


def _evaluators(evals: dict[str, Any]) -> dict[str, confusion.Config]:
  """Evaluators of what is taken for what, on the same splits."""
  ours = {
    name: confusion.Config(data=c.data, batch_size=c.batch_size, loss=c.loss)
    for name, c in evals.items()
    if isinstance(c, classification.Config)
  }
  if not ours:
    kinds = ", ".join(f"{k} ({parts.name_of(c)})" for k, c in evals.items())
    raise errors.ConfigError(
      f"no evaluator is classification or confusion, but {kinds}; give --config"
      " with one that is"
    )
  return ours


def _findings(
  name: str, evaluator: confusion.Evaluator, variables: Any, most: int
) -> Findings:
  values = evaluator.data(variables, base.never)
  assert values is not None
  source, split = evaluator.sources["data"], evaluator.config.data
  names = source.class_names or tuple(map(str, range(source.num_classes)))
  label, predicted = values["label"], values["predicted"]
  right = label == predicted
  size = len(names)
  wrong = np.flatnonzero(~right)
  pairs = Counter(
    zip(label[wrong].tolist(), predicted[wrong].tolist(), strict=True)
  )
  worst = wrong[np.argsort(-values["confidence"][wrong], kind="stable")][:most]
  shown = worst if processes.is_first() else ()
  return Findings(
    name=name,
    data=f"{split.name}, split {split.split}",
    class_names=names,
    counts=np.bincount(label, minlength=size),
    right=np.bincount(label[right], minlength=size),
    pairs=dict(pairs.most_common()),
    mistakes=[
      Mistake(
        where=source.where(int(values["index"][i])),
        image=_image(split, source, int(values["index"][i])),
        label=names[label[i]],
        predicted=names[predicted[i]],
        confidence=float(values["confidence"][i]),
      )
      for i in shown
    ],
    mean=float(confusion.by_class(label, right).mean()),
  )


def _image(
  split: data_config.Split, source: Any, index: int
) -> UInt8[np.ndarray, "h w c"]:
  example = split.preprocess.host(source[index], np.random.default_rng(0))
  return example["image"]
