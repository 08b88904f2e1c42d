"""Predictions of a checkpoint for image files."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.checkpoints import Loaded
from vit_jax.core import errors
from vit_jax.preprocess import geometry, op
from vit_jax.preprocess.pipeline import Pipeline

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What a model sees in an image.

  Attributes:
    path: the file.
    classes: the most probable classes, best first.
    probabilities: of these classes.
    resized: the checkpoint's preprocessing left it in another size than the
      model takes, so that a resize was put behind its first op.
    error: why there is none; the other fields are empty then.
  """

  path: pathlib.Path
  classes: tuple[int, ...] = ()
  probabilities: tuple[float, ...] = ()
  resized: bool = False
  error: str = ""


def images(places: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """The files named, and the images in the folders named, in order.

  Raises:
    DataError: a place does not exist, or a folder holds no image.
  """
  found: list[pathlib.Path] = []
  for place in map(pathlib.Path, places):
    if not place.exists():
      raise errors.DataError(f"{place} does not exist")
    if not place.is_dir():
      found.append(place)
      continue
    inside = [p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES]
    if not inside:
      raise errors.DataError(
        f"{place} holds no image (files that end in {', '.join(SUFFIXES)})"
      )
    found += sorted(p for p in inside if p.is_file())
  return found


def predict(
  checkpoint: Loaded,
  paths: Sequence[pathlib.Path],
  *,
  top_k: int = 5,
  batch_size: int = 32,
) -> Iterator[Prediction]:
  """The most probable classes of each image, in the order of the files.

  Images go through the preprocessing of the checkpoint. Probabilities are a
  softmax, or sigmoids where the run was trained with a sigmoid loss. A file
  that cannot be read has an error instead.

  Raises:
    CheckpointError: the model has no head.
  """
  config: Any = checkpoint.model.config  # type: ignore[attr-defined]
  if not config.num_classes:
    raise errors.CheckpointError(
      "the model has no head, so it predicts nothing; fine-tune it first"
    )
  pipeline = Pipeline.parse(checkpoint.preprocess)
  task = checkpoint.metadata.get("config", {}).get("task", {})
  squash = jax.nn.sigmoid if task.get("loss") == "sigmoid" else jax.nn.softmax

  @jax.jit
  def best(variables: Any, batch: dict[str, jax.Array]):
    image = pipeline.device(batch)["image"].astype(jnp.float32)
    logits = checkpoint.model.apply(variables, image)["logits"]
    return jax.lax.top_k(squash(logits), min(top_k, config.num_classes))

  variables = jax.device_put(checkpoint.variables)
  for start in range(0, len(paths), batch_size):
    chunk = paths[start : start + batch_size]
    read = [read_image(pipeline, path, config.image_size) for path in chunk]
    good = [r for r, _ in read if isinstance(r, np.ndarray)]
    # One shape, so that the model is compiled once.
    empty = [np.zeros_like(good[0])] * (batch_size - len(good)) if good else []
    scores = iter(())
    if good:
      batch = {
        "image": np.stack(good + empty),
        "label": np.zeros(batch_size, np.int32),
      }
      scores = zip(*map(np.asarray, best(variables, batch)), strict=True)
    for path, (result, resized) in zip(chunk, read, strict=True):
      if isinstance(result, str):
        yield Prediction(path, error=result)
      else:
        probabilities, classes = (tuple(x.tolist()) for x in next(scores))
        yield Prediction(path, classes, probabilities, resized)


def read_image(
  pipeline: Pipeline, path: pathlib.Path, size: tuple[int, int]
) -> tuple[np.ndarray | str, bool]:
  """The image after the host's ops, or what is wrong; whether resized.

  Args:
    pipeline: of the checkpoint.
    path: the file.
    size: (h, w) that the model takes; an image that the pipeline leaves in
      another size is resized behind the first op.
  """
  try:
    example = {"image": path.read_bytes(), "label": 0, "id": path}
    image = pipeline.host(example, np.random.default_rng(0))["image"]
    if image.shape[:2] == size:
      return image, False
    first, *rest = pipeline.ops
    resize = geometry.Resize(op.Size(*size), antialias=True)
    fitting = Pipeline((first, resize, *rest))
    return fitting.host(example, np.random.default_rng(0))["image"], True
  except OSError as e:
    return f"{path}: {e.strerror or e}", False
  except errors.DataError as e:
    return str(e), False
