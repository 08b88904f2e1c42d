"""A small folder of images, and a small checkpoint to fine-tune on it."""

import pathlib

import cv2
import jax
import numpy as np

from vit_jax import checkpoints
from vit_jax.core import config as config_lib
from vit_jax.models import vit

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}
CONFIG = str(pathlib.Path(__file__).parents[2] / "configs/transfer.py")
PREPROCESS = (
  "decode|resize_small(18, method='bicubic', antialias=True)"
  "|central_crop(16)|normalise((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))"
)
VIT = vit.Config(
  num_classes=7,
  image_size=(16, 16),
  patch_size=(4, 4),
  width=16,
  depth=2,
  num_heads=2,
  mlp_dim=32,
  pre_logits_dim=8,
)


def photos(root, classes=tuple(COLOURS), each=12):
  """CLASS/N.png of noise of the class's colour."""
  rng = np.random.default_rng(0)
  for name in classes:
    (root / name).mkdir(parents=True)
    for i in range(each):
      noise = rng.integers(0, 60, (32, 32, 3))
      image = np.clip(noise + 0.7 * np.array(COLOURS[name]), 0, 255)
      cv2.imwrite(str(root / name / f"{i}.png"), image[..., ::-1])
  return root


def save(path, model, to="orbax", channels=3, preprocess=PREPROCESS):
  """Random weights of a model, as if somebody had trained it."""
  x = np.zeros((1, *model.config.image_size, channels), np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), x)
  loaded = checkpoints.Loaded(
    model=model,
    params=jax.device_get(variables["params"]),
    batch_stats=jax.device_get(variables.get("batch_stats", {})),
    source_format="orbax",
    report=checkpoints.Report(()),
    preprocess=preprocess,
  )
  return checkpoints.save(loaded, to, str(path)).path


def argument(folder, checkpoint, **more):
  pairs = {"dataset": f"folder:{folder}", "checkpoint": checkpoint, **more}
  return f"{CONFIG}:" + ",".join(f"{k}={v}" for k, v in pairs.items())


def load(folder, checkpoint, **more):
  """The config that is inferred."""
  path, _, arg = argument(folder, checkpoint, **more).partition(":")
  return config_lib.load(path, arg)
