"""Makes the run of any config small, and says what that may change.

Sizes of the model and of the data get smaller, made-up data takes the place of
the data sets. All that is the recipe stays: ops, model options, objective,
optimiser, schedule, evaluators, number of classes.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib
import re
from typing import Any

import cv2
import numpy as np

from vit_jax.core.config import ConfigDict
from vit_jax.preprocess import op
from vit_jax.preprocess.pipeline import Pipeline

SIDE = 32
BATCH = 8
EXAMPLES = 10
# Of what is not classified by the model's head.
CLASSES = 3
# px of made-up images, where the ops bring them to the model's size.
RAW = (40, 48)

# Regexes of the paths of all that a small run may change.
MAY_CHANGE = (
  "duration",
  r"data\.batch_size",
  r"data\.train\.(name|split|preprocess)",
  r"evals\.\w+\.(batch_size|shots|neighbours)",
  r"evals\.\w+\.(train|data)\.(name|split|preprocess)",
  r"model\.(width|depth|mlp_dim|num_heads|image_size|pre_logits_dim)",
  r"model\.(depths|width_factor|resnet_depths|resnet_width_factor)",
  r"model\.(stem_width|widths|transformer_widths|transformer_depths)",
  r"optim\.schedule\.warmup",
  r"runtime\.(data_dir|data_threads)",
)

# Every field of a model that is a size, and what it becomes. One stage, because
# most of a small run is compilation.
_SIZES = {
  "width": 16,
  "depth": 2,
  "mlp_dim": 32,
  "num_heads": 2,
  "pre_logits_dim": 16,
  "depths": (1,),
  "width_factor": 0.5,
  "resnet_depths": (1,),
  "resnet_width_factor": 0.5,
  "stem_width": 8,
  "widths": (8,),
  "transformer_widths": (8,),
  "transformer_depths": (1,),
}
# Of evaluators that are given labelled examples of their own.
_FEW = {"shots": (1,), "neighbours": (2,)}
# Swin's regular and shifted blocks come in pairs.
_MODELS = {"swin": {**_SIZES, "depths": (2,), "num_heads": (2,)}}


def overrides(config: ConfigDict, folder: pathlib.Path) -> dict[str, Any]:
  """What makes a config's run small, by dotted path.

  Args:
    config: as it was loaded.
    folder: where data sets that are files are written.
  """
  out: dict[str, Any] = {
    # Two are run; the stairs of some schedules need more to stand on.
    "duration": "4 steps",
    "data.batch_size": BATCH,
    "runtime.data_dir": "",
    "runtime.data_threads": 1,
    **_model(config.model),
  }
  if config.optim.schedule.warmup != "0 steps":
    out["optim.schedule.warmup"] = "1 steps"
  sides = out["model.image_size"], config.model.image_size
  splits = {"data.train": config.data.train}
  for name, evaluator in config.evals.items():
    out[f"evals.{name}.batch_size"] = BATCH
    for field, few in _FEW.items():
      if field in evaluator:
        out[f"evals.{name}.{field}"] = few
    for field in ("train", "data"):
      if field in evaluator:
        splits[f"evals.{name}.{field}"] = evaluator[field]
  for path, split in splits.items():
    ops = _smaller(Pipeline.parse(split.preprocess), *sides)
    out[f"{path}.preprocess"] = str(ops)
    out[f"{path}.split"] = "train" if path.endswith("train") else "validation"
    own = "train" in config.evals.get(path.split(".")[1], {})
    classes = CLASSES if own else config.model.num_classes or CLASSES
    out[f"{path}.name"] = _data(split.name, ops, sides[0], classes, folder)
  return out


def same_ops(left: str, right: str) -> bool:
  """Whether two preprocess strings differ in sizes of images alone."""
  side = op.Size(1, 1)
  return _with_sizes(Pipeline.parse(left), lambda _: side) == _with_sizes(
    Pipeline.parse(right), lambda _: side
  )


def _model(model: ConfigDict) -> dict[str, Any]:
  sizes = _MODELS.get(model.name, _SIZES)
  # What is off, as an empty tuple or 0, stays off.
  out = {f"model.{k}": v for k, v in sizes.items() if model.get(k)}
  patch = model.patch_size if model.name == "vit" else (1, 1)
  out["model.image_size"] = tuple(
    min(side, SIDE // p * p)
    for side, p in zip(model.image_size, patch, strict=True)
  )
  return out


def _smaller(
  ops: Pipeline, new: tuple[int, int], old: tuple[int, int]
) -> Pipeline:
  """The ops with every size of an image in proportion."""
  return _with_sizes(
    ops,
    lambda size: op.Size(
      round(size.h * new[0] / old[0]), round(size.w * new[1] / old[1])
    ),
  )


def _with_sizes(ops: Pipeline, change: Any) -> Pipeline:
  changed = []
  for one in ops.ops:
    fields: Mapping[str, Any] = vars(one)
    sizes = {k: change(v) for k, v in fields.items() if isinstance(v, op.Size)}
    if "smaller_size" in fields:
      side = fields["smaller_size"]
      sizes["smaller_size"] = change(op.Size(side, side)).h
    changed.append(dataclasses.replace(one, **sizes))
  return Pipeline(tuple(changed))


def _data(
  name: str,
  ops: Pipeline,
  side: tuple[int, int],
  classes: int,
  folder: pathlib.Path,
) -> str:
  """A made-up data set with as many classes."""
  if name.startswith("multilabel:"):
    return f"multilabel:{_manifest(folder, classes)}"
  # The size of the images matters where no op changes it.
  resized = re.search(r"\(\d", str(ops).removeprefix("decode(1)"))
  h, w = RAW if resized else side
  channels = getattr(ops.ops[0], "channels", 3)
  return f"synthetic:{EXAMPLES}x{h}x{w}x{channels}x{classes}"


def _manifest(folder: pathlib.Path, classes: int) -> pathlib.Path:
  """Images with one to three labels each, as files."""
  path = folder / "manifest.jsonl"
  if path.exists():
    return path
  rng = np.random.default_rng(0)
  rows = []
  for split in ("train", "validation"):
    for i in range(EXAMPLES):
      name = f"{split}{i}.png"
      pixels = rng.integers(0, 256, (*RAW, 3), np.uint8)
      cv2.imwrite(str(folder / name), pixels)
      labels = rng.choice(classes, 1 + i % 3, replace=False).tolist()
      rows.append({"path": name, "labels": labels, "split": split})
  names = "".join(f"class {i}\n" for i in range(classes))
  (folder / "classes.txt").write_text(names)
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path
