"""Predictions of a checkpoint for image files."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import UInt8
import numpy as np

from vit_jax.checkpoints import Loaded
from vit_jax.core import errors
from vit_jax.data import paths as path_lib, progress, walk
from vit_jax.preprocess import decode, geometry, op
from vit_jax.preprocess.pipeline import Pipeline


@dataclasses.dataclass(frozen=True)
class Prediction:
  """The predicted classes of an image.

  Attributes:
    path: the file.
    classes: the most probable classes, best first.
    probabilities: probabilities of these classes.
    resized: whether the image was resized because the checkpoint's
      preprocessing does not give it the size that the model takes.
    error: why the file cannot be read, with the other fields empty; else "".
  """

  path: pathlib.Path
  classes: tuple[int, ...] = ()
  probabilities: tuple[float, ...] = ()
  resized: bool = False
  error: str = ""


def images(places: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """The given files, and the images in the given folders, in order.

  What a folder holds besides is said on stderr.

  Raises:
    DataError: a place does not exist, or a folder holds no image.
  """
  files: list[pathlib.Path] = []
  for place in (pathlib.Path(os.path.expanduser(p)) for p in places):
    if not place.exists():
      raise errors.DataError(f"{place} does not exist")
    if place.is_dir():
      files += _inside(place)
    else:
      files.append(place)
  return files


def _inside(folder: pathlib.Path) -> list[pathlib.Path]:
  """The images below a folder."""
  walked = walk.walk(os.fsencode(folder))
  inside = [folder / os.fsdecode(path) for path in walked.images]
  # A link that leads nowhere is an image that cannot be read; a pipe is none.
  inside = [path for path in inside if path.is_file() or not path.exists()]
  unread = walk.unread_text(walked.unread)
  if not inside:
    raise errors.DataError(
      f"{folder} holds no image (files that end in"
      f" {', '.join(decode.SUFFIXES)}){f'; {unread}' if unread else ''}"
    )
  if unread:
    progress.say(f"{path_lib.printable(folder)}: {unread}")
  if walked.others:
    progress.say(
      f"{path_lib.printable(folder)}: {len(walked.others):,} other files are no"
      f" images, such as {path_lib.printable(walked.others[0])}"
    )
  return inside


def predict(
  checkpoint: Loaded,
  paths: Sequence[pathlib.Path],
  *,
  top_k: int = 5,
  batch_size: int = 32,
) -> Iterator[Prediction]:
  """The most probable classes of each image, in the order of the files.

  Images go through the preprocessing of the checkpoint. Probabilities are a
  softmax, or sigmoids if the model was trained with a sigmoid loss. The
  prediction for a file that cannot be read has an error instead.

  Args:
    checkpoint: a model with a head.
    paths: the files.
    top_k: number of classes.
    batch_size: images at a time.

  Raises:
    CheckpointError: the model has no head, or takes no grey or RGB images.
  """
  config: Any = checkpoint.model.config  # type: ignore[attr-defined]
  if not config.num_classes:
    raise errors.CheckpointError(
      "the model has no head, so it predicts nothing; fine-tune it first"
    )
  return _predictions(
    checkpoint, pipeline_for(checkpoint), paths, top_k, batch_size
  )


def _predictions(
  checkpoint: Loaded,
  pipeline: Pipeline,
  paths: Sequence[pathlib.Path],
  top_k: int,
  batch_size: int,
) -> Iterator[Prediction]:
  config: Any = checkpoint.model.config  # type: ignore[attr-defined]
  task = checkpoint.metadata.get("config", {}).get("task", {})
  squash = jax.nn.sigmoid if task.get("loss") == "sigmoid" else jax.nn.softmax

  @jax.jit
  def best(variables: Any, batch: dict[str, jax.Array]):
    image = pipeline.device(batch)["image"].astype(jnp.float32)
    out: Any = checkpoint.model.apply(variables, image)
    return jax.lax.top_k(squash(out["logits"]), min(top_k, config.num_classes))

  variables = jax.device_put(checkpoint.variables)
  for start in range(0, len(paths), batch_size):
    chunk = paths[start : start + batch_size]
    read = [read_image(pipeline, path, config.image_size) for path in chunk]
    good = [image for image, _ in read if isinstance(image, np.ndarray)]
    scores = iter(())
    if good:
      # One shape, so that the model is compiled once.
      empty = [np.zeros_like(good[0])] * (batch_size - len(good))
      label = np.zeros(batch_size, np.int32)
      batch = {"image": np.stack(good + empty), "label": label}
      scores = zip(*map(np.asarray, best(variables, batch)), strict=True)
    for path, (result, resized) in zip(chunk, read, strict=True):
      if isinstance(result, str):
        yield Prediction(path, error=result)
      else:
        probabilities, classes = (tuple(x.tolist()) for x in next(scores))
        yield Prediction(path, classes, probabilities, resized)


def pipeline_for(checkpoint: Loaded) -> Pipeline:
  """The preprocessing, which gives the channels that the model takes.

  Raises:
    CheckpointError: it does not.
  """
  config: Any = checkpoint.model.config  # type: ignore[attr-defined]
  pipeline = Pipeline.parse(checkpoint.preprocess)
  decoded = [o.channels for o in pipeline.ops if isinstance(o, decode.Decode)]
  batch = {
    "image": jax.ShapeDtypeStruct(
      (1, *config.image_size, *(decoded[:1] or [checkpoint.channels])), np.uint8
    ),
    "label": jax.ShapeDtypeStruct((1,), np.int32),
  }
  try:
    shape = jax.eval_shape(pipeline.device, batch)["image"].shape
  except errors.ConfigError as e:
    raise errors.CheckpointError(
      f"the preprocessing {pipeline} of the checkpoint does not fit its model,"
      f" which takes images of {checkpoint.channels} channel(s): {e}"
    ) from e
  if shape[-1] != checkpoint.channels:
    raise errors.CheckpointError(
      f"the model takes images of {checkpoint.channels} channel(s), and the"
      f" preprocessing {pipeline} of the checkpoint gives {shape[-1]}; files"
      " are decoded to 1 (grey) or 3 (RGB)"
    )
  return pipeline


def read_image(
  pipeline: Pipeline, path: pathlib.Path, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w c"] | str, bool]:
  """An image after the host's ops.

  Args:
    pipeline: the preprocessing of the checkpoint.
    path: the file.
    size: (h, w) in px that the model takes. An image that the pipeline leaves
      in another size is resized after the first op.

  Returns:
    The image, or what is wrong with the file; and whether it was resized.
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
