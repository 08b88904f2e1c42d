"""Few-shot accuracy: ridge regression, in closed form, from features.

Figure 4 and section 4.1, arXiv:2010.11929: the frozen representation of a few
images of each class is regressed to targets of -1 and +1; the class of the
largest output is the prediction.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Float64, Integer, Shaped
import numpy as np

from vit_jax.core import duration, errors
from vit_jax.data import config as data_config
from vit_jax.evals import base

# A constant feature this large makes a bias that is hardly penalised.
_BIAS = 100.0
_CHUNK = 4096
# The most examples of a class by which the penalty is chosen.
_MAX_HELD_OUT = 4


@dataclasses.dataclass(frozen=True)
class Config(base.Config):
  """Few-shot accuracy on a data set of any classes.

  The penalty is chosen for each number of shots: the one with the most hits
  over all seeds, and the largest of equal ones.
  big_vision's published numbers are those of `penalties=(1024.0,)`.

  Attributes:
    train: the split that shots are drawn from.
    shots: examples of each class.
    seeds: draws of examples, whose mean and deviation are reported.
    penalties: factors of the squared weights to choose from.
    select: what the penalty is chosen on. "held_out": on other examples of
      `train`, min(shots, 4) of each class as in CoOp (arXiv:2109.01134).
      "test": on `data` itself, as scenic's few-shot evaluation does; such
      numbers are too good.
  """

  train: data_config.Split = dataclasses.field(
    default_factory=data_config.Split
  )
  every: duration.Duration = duration.Duration(10, "%")
  shots: tuple[int, ...] = (1, 5, 10, 25)
  seeds: int = 3
  penalties: tuple[float, ...] = tuple(2.0**i for i in range(-10, 21, 2))
  select: Literal["held_out", "test"] = "held_out"
  uses_head: ClassVar[bool] = False
  labels_of_head: ClassVar[bool] = False

  def __post_init__(self):
    super().__post_init__()
    if not self.shots or min(self.shots) < 1:
      raise errors.about(self, "{shots} must be numbers of at least 1")
    if self.seeds < 1:
      raise errors.about(self, "{seeds} must be at least 1")
    if not self.penalties or min(self.penalties) <= 0:
      raise errors.about(self, "{penalties} must be positive numbers")

  def held_out(self, shots: int) -> int:
    """Examples of each class by which the penalty is chosen for these shots."""
    choice = len(self.penalties) > 1 and self.select == "held_out"
    return min(shots, _MAX_HELD_OUT) if choice else 0


class Evaluator(base.Evaluator):
  """Few-shot accuracy of a model's representation.

  Features are computed once for each split, over the mesh; the regression is
  solved in float64 on the host, the same on every process.

  Raises:
    ConfigError: the splits have different classes.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    self.num_classes = base.same_classes(self.sources)
    features = base.features(self.model)
    self.train = self.rows("train", features)
    self.test = self.rows("data", features)

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = base.never
  ) -> dict[str, float] | None:
    """For each number of shots: accuracy, its deviation, and the penalty.

    "5_shot" is the mean over seeds, "5_shot_std" the sample deviation (where
    there are several) and "5_shot_penalty" what was chosen; "examples" are
    those of `data`.
    """
    train = self.train(variables, stop)
    test = None if train is None else self.test(variables, stop)
    if train is None or test is None:
      return None
    scores = evaluate(self.config, train, test, self.num_classes)
    return {**scores, **self.test.counts(test)}


def evaluate(
  config: Config,
  train: base.Values,
  test: base.Values,
  num_classes: int,
) -> dict[str, float]:
  """Few-shot accuracies from features; see `Evaluator.__call__`.

  `train` and `test` have "feature" [n, D] and "label" [n].

  Raises:
    ConfigError: a class has too few examples.
  """
  scores: dict[str, float] = {}
  for shots in config.shots:
    held_out = config.held_out(shots)
    fits, others = [], []
    for seed in range(config.seeds):
      drawn = draw(train["label"], num_classes, shots + held_out, seed)
      chosen = _take(train, drawn[:, :shots].ravel())
      fits.append(Ridge(chosen["feature"], chosen["label"], num_classes))
      others.append(_take(train, drawn[:, shots:].ravel()))
    pools = others if config.select == "held_out" else [test] * config.seeds
    penalty = choose(fits, pools, config.penalties)
    hits = np.array([fit.hits(test, penalty) for fit in fits])
    accuracy = hits / len(test["label"])
    scores[f"{shots}_shot"] = float(accuracy.mean())
    if config.seeds > 1:
      scores[f"{shots}_shot_std"] = float(accuracy.std(ddof=1))
    scores[f"{shots}_shot_penalty"] = penalty
  return scores


def draw(
  labels: Integer[np.ndarray, "n"], num_classes: int, count: int, seed: int
) -> Integer[np.ndarray, "{num_classes} {count}"]:
  """Indices of random examples of each class.

  In the order of big_vision: the first `shots` columns are its few-shot
  examples for this seed.

  Raises:
    ConfigError: a class has fewer examples.
  """
  rng = np.random.default_rng(seed)
  drawn = []
  for c in range(num_classes):
    of_class = np.flatnonzero(labels == c)
    if len(of_class) < count:
      raise errors.ConfigError(
        f"class {c} has {len(of_class)} examples in {{train.split}}, but"
        f" {{shots}} and the choice of a penalty take {count}; give fewer"
        " shots, a larger split or one penalty",
        {"train.split": errors.PATH_ONLY, "shots": errors.PATH_ONLY},
      )
    drawn.append(rng.permutation(of_class)[:count])
  return np.stack(drawn)


def choose(
  fits: "list[Ridge]",
  pools: list[base.Values],
  penalties: tuple[float, ...],
) -> float:
  """The penalty with the most hits, over all fits, each on its own pool."""
  if len(penalties) == 1:
    return penalties[0]
  pairs = list(zip(fits, pools, strict=True))
  hits = {p: sum(fit.hits(pool, p) for fit, pool in pairs) for p in penalties}
  return max(penalties, key=lambda p: (hits[p], p))


def _take(
  values: base.Values, index: Integer[np.ndarray, "k"]
) -> dict[str, Shaped[np.ndarray, "k ..."]]:
  return {name: value[index] for name, value in values.items()}


class Ridge:
  """Ridge regression from standardised features to targets of -1 and +1.

  W = (X^T X + penalty I)^-1 X^T Y = X^T (X X^T + penalty I)^-1 Y. The smaller
  of the two matrices is decomposed once, after which every penalty is cheap.
  All in float64: the constant feature makes the largest eigenvalue 1e4 n.
  Source: big_vision's evaluators/fewshot_lsr.py.
  """

  def __init__(
    self,
    features: Float[np.ndarray, "n D"],
    labels: Integer[np.ndarray, "n"],
    num_classes: int,
  ):
    wide = features.astype(np.float64)
    self._mean = wide.mean(axis=0)
    self._std = wide.std(axis=0) + 1e-5
    x = self._inputs(features)
    n, width = x.shape
    if n < width:
      self._eigenvalues, q = np.linalg.eigh(x @ x.T)
      self._left = x.T @ q
      # Y = 2 one_hot - 1, without its n x C entries.
      sums = np.zeros((num_classes, n))
      np.add.at(sums, labels, q)
      total = q.sum(axis=0)
    else:
      self._eigenvalues, self._left = np.linalg.eigh(x.T @ x)
      z = x @ self._left
      sums = np.zeros((num_classes, width))
      np.add.at(sums, labels, z)
      total = z.sum(axis=0)
    self._right = 2 * sums.T - total[:, None]

  def _inputs(
    self, features: Float[np.ndarray, "n D"]
  ) -> Float64[np.ndarray, "n D+1"]:
    x = (features.astype(np.float64) - self._mean) / self._std
    return np.pad(x, ((0, 0), (0, 1)), constant_values=_BIAS)

  def weights(
    self, penalty: float
  ) -> Float64[np.ndarray, "{len(self._left)} C"]:
    """W [D + 1, C]; the last row is of the constant feature."""
    scale = 1 / (self._eigenvalues + penalty)
    return (self._left * scale) @ self._right

  def predict(
    self, features: Float[np.ndarray, "n D"], penalty: float
  ) -> Integer[np.ndarray, "n"]:
    """The class of each example."""
    w = self.weights(penalty)
    starts = range(0, len(features), _CHUNK)
    parts = [self._inputs(features[i : i + _CHUNK]) @ w for i in starts]
    return np.concatenate([part.argmax(axis=1) for part in parts])

  def hits(self, values: base.Values, penalty: float) -> int:
    """How many examples are predicted right."""
    guess = self.predict(values["feature"], penalty)
    return int((guess == values["label"]).sum())
