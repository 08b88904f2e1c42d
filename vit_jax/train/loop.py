"""Trains the run in a workdir, or resumes it."""

from collections.abc import Iterator, Mapping
import contextlib
from typing import Any

from vit_jax import checkpoints
from vit_jax.checkpoints import manifest, run_checkpoints, steps
from vit_jax.cluster import lifeline, processes, signals
from vit_jax.core import (
  config as config_lib,
  errors,
  memory,
  mesh as mesh_lib,
  parts,
  rng,
)
from vit_jax.data import pipeline
from vit_jax.train import (
  experiment as experiment_lib,
  extend,
  initial,
  profiler,
  provenance,
  recording,
  setup,
  workdir as workdir_lib,
)
from vit_jax.train.state import State


def train(
  config: config_lib.ConfigDict,
  folder: str,
  *,
  start_over: bool = False,
  inferred: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, float]]:
  """Trains what the config says; resumes if the workdir has a checkpoint.

  Args:
    config: see `experiment.Experiment`.
    folder: the workdir; may be gs://.
    start_over: move what an earlier run has left in the workdir to a folder in
      it, and train from the first step.
    inferred: what `inferred.record` returned, to be kept in the workdir.

  Returns:
    The last scores of each evaluator.

  Raises:
    ConfigError: the config breaks a rule, which is found before a device is
      touched if none is needed to tell; or the workdir has another config.
    DataError: the data set changed since the checkpoint was written.
    CheckpointError: the run has saved checkpoints, and none is good.
    DeviceError: a device has too little memory.
    NonFiniteError: a loss or a norm is not a finite number.
    StorageError: the workdir cannot be written.
    Interrupted: SIGTERM or SIGINT; the state is saved.
  """
  with lifeline.watched(), contextlib.ExitStack() as held:
    processes.check_same(provenance.code, "code")
    processes.check_same(lambda: workdir_lib.settings(config), "config")
    experiment = config_lib.build(experiment_lib.Experiment, config)
    processes.check_same(parts.fingerprint, "code of the parts from outside")
    inputs = processes.together(lambda: experiment_lib.open_inputs(experiment))
    processes.check_same(lambda: workdir_lib.data(inputs), "data set")
    workdir = held.enter_context(
      workdir_lib.claim(folder, config, start_over, inferred)
    )
    stop = held.enter_context(signals.listen())
    loaded = None
    goes_on = processes.on_first(lambda: _has_saved(workdir))
    if not (goes_on or experiment.start.resume):
      loaded = initial.load(experiment, inputs)
    run = setup.build(experiment, inputs)
    saved = held.enter_context(
      run_checkpoints.Checkpointer(
        workdir.home / workdir_lib.CHECKPOINTS,
        keep=experiment.runtime.keep,
        on_saved=workdir.note_saved,
      )
    )
    meta = workdir_lib.meta(config, run)
    for line in experiment_lib.summary(experiment, inputs):
      processes.say(line)
    with memory.fits(_smaller(experiment)):
      state, start = _start(run, saved, workdir, meta, loaded)
      # Its arrays need not stay in memory.
      del loaded
      return _Loop(run, workdir, saved, meta, stop, start).run(state)


def _smaller(experiment: experiment_lib.Experiment) -> str:
  """What makes a step need less memory."""
  runtime = experiment.runtime
  return (
    f"data.batch_size={experiment.data.batch_size},"
    f" runtime.microbatches={runtime.microbatches},"
    f" runtime.remat={runtime.remat}, runtime.mesh={runtime.mesh}; use more"
    " microbatches, remat=full, fsdp in the mesh or a smaller batch"
    " (python -m vit_jax plan says what fits)"
  )


def _has_saved(workdir: workdir_lib.Workdir) -> bool:
  """Whether the run resumes; what it started from is not needed then."""
  return bool(steps.finished(workdir.home / workdir_lib.CHECKPOINTS))


def _start(
  run: setup.Run,
  saved: run_checkpoints.Checkpointer,
  workdir: workdir_lib.Workdir,
  meta: dict[str, Any],
  loaded: checkpoints.Loaded | None,
) -> tuple[State, int]:
  """The state of the newest good checkpoint, of another run, or a new one."""
  step = saved.latest()
  if step is None:
    processes.on_first(lambda: workdir.check_new(run.inputs.save_every))
    if not run.experiment.start.resume:
      return initial.state(run, loaded), 0
    state, step = extend.state(run, meta)
    saved.save(step, state.replace(weights={}), meta)
    return state, step
  before = saved.read_meta(step)
  workdir_lib.check_same(before, meta, step)
  meta |= {k: before[k] for k in (manifest.SEAM,) if k in before}
  state, _ = saved.restore(step, run.state.replace(weights={}))
  processes.say(f"resuming from step {step:,}")
  return state.replace(weights=initial.weights(run)), step


class _Loop:
  """The loop over steps, with evaluations and saves between them."""

  def __init__(
    self,
    run: setup.Run,
    workdir: workdir_lib.Workdir,
    saved: run_checkpoints.Checkpointer,
    meta: dict[str, Any],
    stop: signals.Stop,
    start: int,
  ):
    runtime = run.experiment.runtime
    self.setup = run
    self.saved = saved
    self.stop = stop
    self.start = start
    self.total = run.inputs.lengths["total_steps"]
    self.meta = meta
    self.workdir = workdir
    self.recording = recording.Recording(
      workdir.files,
      start,
      self.total,
      log_every=runtime.log_every,
      batch_size=run.experiment.data.batch_size,
      last_good=self._last_good,
      first=meta.get(manifest.SEAM, {"step": 0})["step"],
    )
    window = runtime.profile if processes.is_first() else (0, 0)
    self.profiler = profiler.Profiler(workdir.files / "profile", window)

  def run(self, state: State) -> dict[str, dict[str, float]]:
    """Trains to the end; returns each evaluator's last scores."""
    try:
      self._steps(state)
    finally:
      self.recording.close()
      self.profiler.close()
    return self._last_scores()

  def _steps(self, state: State) -> None:
    batches = self._batches()
    for step in range(self.start, self.total + 1):
      # Here `state` is the state after `step` steps.
      if self.stop.requested() or not self._evaluate(step, state):
        self._interrupted(step, state)
      if step > self.start and (
        step % self.setup.inputs.save_every == 0 or step == self.total
      ):
        self._save(step, state)
      if step == self.total:
        break
      batch, ids = next(batches)
      self.profiler.before(step)
      state, metrics = self.setup.step(state, batch)
      self.recording.push(step + 1, metrics, ids)
    self.saved.wait()

  def _batches(self) -> Iterator[tuple[Any, Any]]:
    """Batches on the devices, one ahead of the step, and their ids."""
    experiment, mesh = self.setup.experiment, self.setup.mesh
    size = experiment.data.batch_size
    batches = pipeline.train_batches(
      self.setup.inputs.train,
      experiment.data.train.preprocess,
      batch_size=size,
      seed=rng.host_seed(experiment.seed, "data"),
      num_steps=self.total,
      rows=mesh_lib.local_rows(mesh, size),
      on_error=experiment.data.train.on_error,
    )
    iterator = pipeline.iterate(
      batches,
      self.start,
      num_threads=experiment.runtime.data_threads,
      num_workers=experiment.runtime.data_workers,
    )
    ahead = None
    with contextlib.closing(iterator):
      for batch in iterator:
        ids = batch.pop("id")
        current, ahead = ahead, (mesh_lib.put_batch(mesh, batch), ids)
        if current is not None:
          yield current
      if ahead is not None:
        yield ahead

  def _evaluate(self, step: int, state: State) -> bool:
    """Runs the evaluators that are due; False if a signal interrupted them."""
    inputs = self.setup.inputs
    for name, evaluator in self.setup.evaluators.items():
      due = step > 0 and step % inputs.eval_every[name] == 0
      known = (step, name) in self.recording.scores
      if not (due or step == self.total) or known:
        continue
      self.recording.flush()
      size = evaluator.config.batch_size
      smaller = f"evals.{name}.batch_size={size}; use a smaller one"
      with self.recording.paused(), memory.fits(smaller):
        variables = self.setup.task.evaluated(state.variables())
        scores = evaluator(variables, stop=self.stop.requested)
      if scores is None:
        return False
      self.recording.write_scores(step, name, scores)
    return True

  def _save(self, step: int, state: State) -> None:
    self.recording.flush()
    with self.recording.paused():
      # Rows are on the disk before the checkpoint that follows them.
      self.recording.sync()
      processes.on_first(self.workdir.sync)
      self.saved.save(step, state.replace(weights={}), self.meta)

  def _interrupted(self, step: int, state: State) -> None:
    number = self.stop.requested()
    assert number is not None
    self._save(step, state)
    self.saved.wait()
    raise errors.Interrupted(
      f"{number.name}: saved at step {step:,}; run the same command again to"
      " go on",
      number,
    )

  def _last_good(self) -> str:
    step = self.saved.latest()
    return f"last good checkpoint: {'none' if step is None else step}"

  def _last_scores(self) -> dict[str, dict[str, float]]:
    return {
      name: {k: v for k, v in row.items() if k not in ("step", "name")}
      for (step, name), row in self.recording.scores.items()
      if step == self.total
    }
