"""A fingerprint of the compiled train step, to compare two checkouts.

If a change is not meant to affect the step, its program must stay identical,
instruction by instruction, and no timing is needed:

    python -m benchmarks.compiled_step --data_dir=data    # in each checkout

prints one line for each number of microbatches: the SHA-256 of the optimised
program without its references to source lines, and its operations.
"""

import argparse
import hashlib
import re

import jax

from vit_jax.core import config as config_lib, mesh as mesh_lib
from vit_jax.plan import estimate
from vit_jax.train import experiment as experiment_lib, setup


def program(config: str, data_dir: str, microbatches: int) -> str:
  """The optimised program of a config's step on one device, as text."""
  overrides = {
    "runtime.data_dir": data_dir,
    "runtime.microbatches": microbatches,
  }
  c = config_lib.load(config, "", overrides)
  experiment = config_lib.build(experiment_lib.Experiment, c)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs, jax.devices()[:1])
  shapes = estimate.batch_shapes(experiment, inputs)
  rows = dict.fromkeys(shapes, mesh_lib.batch_sharding(run.mesh))
  batch = mesh_lib.with_shardings(shapes, rows)
  text = run.step.lower(run.state, batch).compile().as_text()
  text = re.sub(r", metadata=\{[^}]*\}", "", text)
  tables = "FileNames|FunctionNames|FileLocations|StackFrames"
  return re.sub(rf"(?ms)^({tables}).*?\n\n", "", text)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", default="configs/quickstart.py")
  parser.add_argument("--data_dir", required=True)
  args = parser.parse_args()
  for microbatches in (1, 2):
    text = program(args.config, args.data_dir, microbatches)
    digest = hashlib.sha256(text.encode()).hexdigest()
    print(
      f"microbatches={microbatches} {digest} {text.count(' = ')} operations"
    )


if __name__ == "__main__":
  main()
