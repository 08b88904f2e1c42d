"""Every position variant on the digits, with patches that need positions.

`python -m tests.invariants.positions DATA_DIR` prints the table of
results/positions/README.md, from longer runs than the test's.
"""

import sys
import typing

import jax
import numpy as np

from vit_jax.core import config as config_lib, errors, mesh as mesh_lib
from vit_jax.data import pipeline
from vit_jax.evals import classification
from vit_jax.models import vit
from vit_jax.train import experiment as experiment_lib, setup

# 16 patches of 2 x 2 px: without positions most of the image is lost.
TINY = dict(
  num_classes=10,
  image_size=(8, 8),
  patch_size=(2, 2),
  width=32,
  depth=2,
  num_heads=2,
  mlp_dim=64,
  pool="gap",
)


def variants():
  """Every legal (posemb, posemb_at)."""
  hints = typing.get_type_hints(vit.Config)
  kinds, places = (typing.get_args(hints[n]) for n in ("posemb", "posemb_at"))
  legal = []
  for kind in kinds:
    for place in places:
      try:
        vit.Config(**TINY, posemb=kind, posemb_at=place)
      except errors.ConfigError:
        continue
      legal.append((kind, place))
  return legal


def train(kind, place, data_dir, steps, seed=0):
  """(losses [steps], accuracy on the test split) of the real step."""
  c = config_lib.to_config_dict(
    experiment_lib.Experiment(
      seed=seed,
      model=vit.Config(**TINY, posemb=kind, posemb_at=place),
      evals={"test": classification.Config(batch_size=400)},
    )
  )
  c.duration = f"{steps} steps"
  c.data.batch_size = 64
  c.optim.peak_lr = 0.01
  c.optim.clip_norm = 1.0
  c.optim.schedule.warmup = "10 %"
  c.runtime.data_dir = str(data_dir)
  experiment = config_lib.build(experiment_lib.Experiment, c)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs, jax.devices()[:1])
  state, losses = run.init(), []
  batches = pipeline.train_batches(
    inputs.train,
    experiment.data.train.preprocess,
    batch_size=64,
    seed=seed,
    num_steps=steps,
  )
  for batch in pipeline.iterate(batches):
    del batch["id"]
    state, metrics = run.step(state, mesh_lib.put_batch(run.mesh, batch))
    losses.append(metrics["loss"])
  scores = run.evaluators["test"](run.task.evaluated(state.variables()))
  return np.array(jax.device_get(losses)), scores["top_1"]


def main(data_dir, steps=600):
  print(f"| posemb | posemb_at | loss after {steps} steps | test accuracy |")
  print("| --- | --- | --- | --- |")
  for kind, place in variants():
    losses, accuracy = train(kind, place, data_dir, steps)
    last = f"{losses[-20:].mean():.3f} | {100 * accuracy:.1f} %"
    print(f"| {kind} | {place} | {last} |", flush=True)


if __name__ == "__main__":
  jax.config.update("jax_platforms", "cpu")
  main(sys.argv[1])
