"""A run that continues another one, in a workdir of its own.

It starts from the whole state of the other run: parameters, optimiser, averages
and the objective's variables. Steps are counted on, so the data come in the
order in which the other run would have read them, and schedules are those of
the new length. The first thing that it saves is what it starts from; from then
on the other run is not needed any more.
"""

from typing import Any

from vit_jax.checkpoints import manifest, run_checkpoints
from vit_jax.cluster import processes
from vit_jax.core import config as config_lib, errors, storage
from vit_jax.train import initial, setup, workdir as workdir_lib
from vit_jax.train.state import State

# What may differ, beside `runtime`: how long, at which rates, what is measured.
_MAY_DIFFER = ("duration", "optim.schedule", "evals", "start.resume")


def state(run: setup.Run, meta: dict[str, Any]) -> tuple[State, int]:
  """The state of the newest good checkpoint of `start.resume`, and its step.

  Args:
    run: the run that begins.
    meta: of its checkpoints; receives the seam.

  Raises:
    ConfigError: the configs differ in more than they may, or the run would end
      before it begins.
    CheckpointError: there is no good checkpoint.
    DataError: the data set, or the weights that the task needs, are others.
  """
  resume = run.experiment.start.resume
  path = run_checkpoints.open_step(
    storage.path(resume) / workdir_lib.CHECKPOINTS
  )
  content = manifest.read(path)
  step, saved = content["step"], content["meta"]
  changed = [
    text
    for text in workdir_lib.differences(
      config_lib.ConfigDict(saved["config"]),
      config_lib.ConfigDict(meta["config"]),
    )
    if not f"{text.partition(': ')[0]}.".startswith(
      tuple(f"{name}." for name in _MAY_DIFFER)
    )
  ]
  if changed:
    raise errors.ConfigError(
      f"start.resume={resume} is a run of another config: {'; '.join(changed)};"
      f" only {', '.join(_MAY_DIFFER)} and runtime may differ; use the old"
      " values, or start.checkpoint for its parameters alone"
    )
  workdir_lib.check_inputs(saved, meta, step)
  total = run.inputs.lengths["total_steps"]
  if total <= step:
    raise errors.ConfigError(
      f"duration={run.experiment.duration} is {total:,} steps, and"
      f" start.resume={resume} is at step {step:,} already; give a longer"
      " duration, of both together"
    )
  meta[manifest.SEAM] = {
    "run": str(storage.path(resume).absolute()),
    "step": step,
  }
  processes.say(f"continues {resume} from step {step:,}")
  restored, _ = run_checkpoints.restore_step(
    path, run.state.replace(weights={})
  )
  return restored.replace(weights=initial.weights(run)), step
