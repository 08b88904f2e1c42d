"""Classify images with a checkpoint.

Images go through the preprocessing that the checkpoint was trained with. A
file that cannot be read is named on stderr, and the exit code is 1 then.
"""

import argparse
import csv
import json
import sys
from typing import Any

from vit_jax.cli import flags
from vit_jax.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_checkpoint(parser)
  parser.add_argument(
    "images", nargs="+", metavar="IMAGE|DIR", help="images and folders of them"
  )
  parser.add_argument(
    "--top_k", type=int, default=5, metavar="K", help="classes per image"
  )
  parser.add_argument(
    "--labels",
    default="",
    metavar="FILE",
    help="file with one class name per line, or imagenet1k",
  )
  parser.add_argument(
    "--format", choices=("table", "json", "csv"), default="table"
  )
  parser.add_argument(
    "--batch_size", type=int, default=32, metavar="B", help="images at a time"
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  for name in ("top_k", "batch_size"):
    if getattr(args, name) < 1:
      raise errors.ConfigError(f"{name}={getattr(args, name)} must be >= 1")
  from vit_jax import checkpoints
  from vit_jax.export import labels, predict

  paths = predict.images(args.images)
  checkpoint = checkpoints.load(args.checkpoint, **flags.loading(args))
  names, source = labels.choose(
    args.labels, checkpoint.labels, checkpoint.model.config.num_classes
  )
  predictions = predict.predict(
    checkpoint, paths, top_k=args.top_k, batch_size=args.batch_size
  )
  _say(checkpoint, source)
  write = _WRITERS[args.format]
  if args.format == "csv":
    print("path,rank,class,name,probability")
  bad = resized = 0
  for prediction in predictions:
    if prediction.error:
      bad += 1
      print(prediction.error, file=sys.stderr)
    else:
      resized += prediction.resized
      shown = [names[i] for i in prediction.classes]
      write(prediction, list(zip(shown, prediction.probabilities, strict=True)))
  if resized:
    print(
      f"{resized} of {len(paths)} images were resized to the model's size,"
      " which the checkpoint's preprocessing does not do",
      file=sys.stderr,
    )
  if bad:
    raise errors.DataError(
      f"{bad} of {len(paths)} files are not readable images; see above"
    )


def _say(checkpoint: Any, source: str) -> None:
  """Prints how the images are prepared, apart from the results."""
  print(
    f"{checkpoint.source_format}; {checkpoint.preprocess}; class names:"
    f" {source}",
    file=sys.stderr,
  )
  for assumption in checkpoint.report.assumptions:
    print(f"assumed: {assumption}", file=sys.stderr)


def _table(prediction: Any, classes: list[tuple[str, float]]) -> None:
  print(prediction.path)
  for name, probability in classes:
    print(f"  {probability:7.2%}  {name}")


def _json(prediction: Any, classes: list[tuple[str, float]]) -> None:
  """Prints one object a line, so that the results can be streamed."""
  rows = [
    {"class": i, "name": name, "probability": probability}
    for i, (name, probability) in zip(prediction.classes, classes, strict=True)
  ]
  print(json.dumps({"path": str(prediction.path), "classes": rows}))


def _csv(prediction: Any, classes: list[tuple[str, float]]) -> None:
  rows = csv.writer(sys.stdout, lineterminator="\n")
  for rank, (i, (name, probability)) in enumerate(
    zip(prediction.classes, classes, strict=True), 1
  ):
    rows.writerow((prediction.path, rank, i, name, f"{probability:.6f}"))


_WRITERS = {"table": _table, "json": _json, "csv": _csv}
