"""Show what a checkpoint is: format, model, parameters, provenance.

The arrays are loaded, so that faults in them are reported as well.
"""

import argparse
import dataclasses
import json
import math
from typing import Any

from vit_jax.cli import flags

# How many entries of a long list, such as an optimiser's state, are shown.
_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_checkpoint(parser)


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  from vit_jax import checkpoints
  from vit_jax.core import parts

  checkpoint = checkpoints.load(args.checkpoint, **flags.loading(args))
  module = parts.name_of(checkpoint.model)
  print(f"format      {checkpoint.source_format}")
  print(f"model       {module}")
  for key, value in dataclasses.asdict(checkpoint.model.config).items():
    print(f"  {key} = {value}")
  print(f"preprocess  {checkpoint.preprocess}")
  if checkpoint.labels:
    print(f"labels      {', '.join(checkpoint.labels[:5])}, ...")
  _arrays(checkpoint)
  for name, value in dataclasses.asdict(checkpoint.report).items():
    if name != "used" and value:
      print(f"{name} ({len(value)}):")
      for entry in value[:_SHOWN]:
        print(f"  {entry}")
      if len(value) > _SHOWN:
        print("  ...")
  if checkpoint.metadata:
    print("metadata:")
    print(json.dumps(checkpoint.metadata, indent=2))


def _arrays(checkpoint: Any) -> None:
  from vit_jax.core import tree

  arrays = tree.flatten(checkpoint.variables)
  total = sum(a.size for n, a in arrays.items() if n.startswith("params/"))
  print(
    f"parameters  {total:,}, from {len(checkpoint.report.used)} arrays of it"
  )
  width = max(map(len, arrays))
  for name, array in arrays.items():
    size = math.prod(array.shape)
    print(
      f"  {name:{width}}  {array.dtype!s:8}  {size:12,}  {list(array.shape)}"
      f"  mean {array.mean():.4g}  std {array.std():.4g}"
    )
