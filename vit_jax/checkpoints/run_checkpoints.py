"""The checkpoints of our runs: arrays written by Orbax, and a manifest.

A step is a checkpoint from the moment its manifest exists. Orbax's
CheckpointManager is not used, since it decides by itself which steps to skip,
overwrite and delete.

With several processes every process makes the same calls on one shared file
system or bucket. Only process 0 lists, renames and deletes directories, and
tells the others the result.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import errno
import itertools
import json
import logging
import os
import re
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

from vit_jax.checkpoints import manifest, orbax_sync, steps
from vit_jax.cluster import lifeline, processes
from vit_jax.core import errors, storage, tree
from vit_jax.core.storage import AnyPath

_log = logging.getLogger(__name__)
_meetings = itertools.count()


class Checkpointer:
  """Saves and restores the training states below one directory.

  Opening moves unfinished saves to `damaged/` and says so.

  Args:
    directory: holds one directory a step; created if needed. May be gs://.
    keep: number of checkpoints to keep, at least 1.
    on_saved: called with each step once its checkpoint is complete, on process
      0 and in the background.

  Raises:
    CheckpointError: the directory cannot be used.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    *,
    keep: int,
    on_saved: Callable[[int], None] = lambda step: None,
  ):
    if keep < 1:
      raise ValueError(f"keep={keep} must be at least 1")
    self._directory = storage.path(directory).absolute()
    self._keep = keep
    self._on_saved = on_saved
    # Steps that this object wrote or verified itself.
    self._good: set[int] = set()
    self._pending: tuple[int, futures.Future[None]] | None = None
    processes.on_first(self._open)
    orbax_sync.settle(self._directory)
    # Never removed: a thread may still log after the error that ends the run.
    logging.getLogger("absl").addFilter(_no_orbax_traceback)
    self._pool = futures.ThreadPoolExecutor(1, "checkpoint")
    # Small arrays are not cut: each shape of a slice is a program to compile.
    types = ocp.type_handlers
    arrays = types.ArrayHandler(min_slice_bytes_for_replica_parallel=2**20)
    handlers = types.create_type_handler_registry((jax.Array, arrays))
    state = ocp.PyTreeCheckpointHandler(type_handler_registry=handlers)
    self._orbax = ocp.AsyncCheckpointer(
      ocp.CompositeCheckpointHandler(state=state),
      # In the background, an unwritable directory is a timeout, not an error.
      async_options=ocp.AsyncOptions(
        create_directories_asynchronously=False,
        timeout_secs=lifeline.timeouts().save,
        barrier_sync_fn=_meet,
      ),
    )

  def __enter__(self) -> "Checkpointer":
    return self

  def __exit__(self, kind: type | None, *_: object) -> None:
    if kind and issubclass(
      kind, (errors.PeerError, jax.errors.JaxRuntimeError)
    ):
      # The current save waits for a process that is lost, so it is abandoned.
      return
    if kind and not processes.alone():
      # The other processes may not be there to learn how the save went.
      self._release()
    else:
      self.close()

  def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
    """Starts to save; returns when the arrays have been copied to the host.

    Waits for an earlier save. A step that has a good checkpoint is not saved
    again. Once this one is complete, the oldest beyond `keep` are removed. The
    state is a tree of arrays on any mesh; typed random keys are fine. `meta` is
    JSON of at most `manifest.MAX_META_BYTES`.

    Raises:
      CheckpointError: this save cannot start, or an earlier one failed.
    """
    self.wait()
    text = json.dumps(meta, allow_nan=False)
    if len(text) > manifest.MAX_META_BYTES:
      raise errors.CheckpointError(
        f"metadata of step {step} has {len(text)} bytes, at most"
        f" {manifest.MAX_META_BYTES} are saved; keep large data in own files"
      )
    flat = _flatten(state)
    content = {
      "step": step,
      # A copy, since the caller may change it while the save goes on.
      "meta": json.loads(text),
      "arrays": {name: _kind(leaf) for name, leaf in flat.items()},
    }
    size = sum(leaf.nbytes for leaf in flat.values())
    if processes.on_first(
      lambda: self._prepare(step, size),
      f"the save of step {step}",
      lifeline.timeouts().save,
    ):
      return
    args = ocp.args.Composite(state=ocp.args.PyTreeSave(tree.unflatten(flat)))
    with self._one_line(f"cannot save step {step}"):
      self._orbax.save(self._path(step), args=args)
    finish = self._pool.submit(self._finish, step, content)
    self._pending = step, finish

  def wait(self) -> None:
    """Returns when the checkpoint of the last `save` is complete.

    Raises:
      CheckpointError: the save failed (on any process); the checkpoints that
        were there before are untouched.
    """
    if self._pending is None:
      return
    step, finish = self._pending
    self._pending = None
    failure = None
    try:
      with self._one_line(f"cannot save step {step}"):
        finish.result()
    except errors.CheckpointError as e:
      failure = e
    failures = processes.share(
      str(failure or ""),
      f"the end of the save of step {step}",
      lifeline.timeouts().save,
    )
    if any(failures):
      raise errors.CheckpointError(next(filter(None, failures))) from failure
    self._good.add(step)
    lifeline.saved(step)

  def close(self) -> None:
    """Waits, then releases everything; the object cannot be used again."""
    try:
      self.wait()
    finally:
      self._release()

  def _release(self) -> None:
    """Ends the current save and the threads."""
    self._pool.shutdown()
    self._orbax.close()

  def latest(self) -> int | None:
    """The newest step whose files are exactly as they were saved, or None.

    Newer steps that are damaged are moved to `damaged/`, with a warning.
    """
    self.wait()

    def find() -> int | None:
      with self._one_line("cannot look for checkpoints"):
        return steps.newest_good(self._directory, steps.set_aside)

    step = processes.on_first(find)
    self._good = set() if step is None else {step}
    if step is not None:
      lifeline.saved(step)
    return step

  def restore(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
    """The state saved at `step`, sharded like `target`, and its metadata.

    Raises:
      CheckpointError: there is no such step, it is damaged, or its arrays are
        not exactly those of `target`.
    """
    self.wait()
    if step not in self._good:
      processes.on_first(lambda: steps.verify(self._path(step)))
      self._good.add(step)
    return restore_step(self._path(step), target)

  def read_meta(self, step: int) -> dict[str, Any]:
    """The metadata that was given to `save`; reads no array."""
    return manifest.read(self._path(step))["meta"]

  def _path(self, step: int) -> AnyPath:
    return self._directory / str(step)

  def _open(self) -> None:
    with self._one_line("cannot be used for checkpoints"):
      self._directory.mkdir(parents=True, exist_ok=True)
      steps.tidy(self._directory)

  def _prepare(self, step: int, size: int) -> bool:
    """Whether the step is already saved; else makes sure there is space."""
    path = self._path(step)
    with self._one_line(f"cannot save step {step}"):
      steps.tidy(self._directory)
      if step in steps.all_steps(self._directory):
        try:
          if step not in self._good:
            steps.verify(path)
          return True
        except errors.CheckpointError as e:
          steps.set_aside(path, str(e))
      if steps.exists(path):
        raise FileExistsError(errno.EEXIST, f"{path.name} is not a checkpoint")
      if not isinstance(path, storage.BucketPath):
        free = shutil.disk_usage(self._directory).free
        if free < size:
          short = f"{os.strerror(errno.ENOSPC)} ({free} bytes, {size} needed)"
          raise OSError(errno.ENOSPC, short)
    return False

  def _finish(self, step: int, content: dict[str, Any]) -> None:
    """Runs in the background, after Orbax has written and renamed."""
    self._orbax.wait_until_finished()
    if processes.is_first():
      manifest.write(self._path(step), content)
      # From here on the checkpoint is complete.
      self._on_saved(step)
      steps.remove_old(self._directory, step, self._keep)

  @contextlib.contextmanager
  def _one_line(self, what: str) -> Iterator[None]:
    """Turns errors of the disk or of Orbax into one line for the user."""
    try:
      with lifeline.watched():
        yield
    except (OSError, ValueError, RuntimeError) as e:
      last = f"step {max(self._good)}" if self._good else "none known"
      raise errors.CheckpointError(
        f"{self._directory}: {what}: {_reason(e)}; free space there or make it"
        f" writable, then run again (last good checkpoint: {last})"
      ) from e


def open_step(place: str | os.PathLike) -> AnyPath:
  """As `steps.find`, for all processes."""
  path = storage.path(place).absolute()
  return storage.path(processes.on_first(lambda: str(steps.find(path))))


def read_arrays(path: AnyPath) -> dict[str, tuple[str, tuple[int, ...]]]:
  """(dtype, shape) of every array of a step directory, by name."""
  arrays = manifest.read(path)["arrays"]
  return {
    name: (dtype, tuple(shape)) for name, (dtype, shape) in arrays.items()
  }


def restore_step(
  path: AnyPath, target: Any, *, partial: bool = False
) -> tuple[Any, dict[str, Any]]:
  """The arrays and metadata of a step directory that has been verified.

  The target is a tree of `jax.ShapeDtypeStruct` with shardings, on any mesh; if
  `partial`, it may lack arrays, which are not read then.

  Raises:
    CheckpointError: names, shapes or dtypes differ; nothing is ever cast.
  """
  content = manifest.read(path)
  flat = _flatten(target)
  for name, leaf in flat.items():
    if leaf.sharding is None:
      raise ValueError(f"{name} of the target has no sharding")
  _check(path, content["arrays"], flat, partial)
  nested = tree.unflatten(flat)
  args = ocp.args.PyTreeRestore(
    item=nested,
    restore_args=ocp.checkpoint_utils.construct_restore_args(nested),
    partial_restore=True,
  )
  try:
    with ocp.PyTreeCheckpointer() as orbax:
      restored = tree.flatten(orbax.restore(path / "state", args=args))
  except (OSError, ValueError) as e:
    raise errors.CheckpointError(
      f"checkpoint {path} cannot be read: {_reason(e)}"
    ) from e
  leaves = [restored[name] for name in flat]
  return jax.tree.unflatten(jax.tree.structure(target), leaves), content["meta"]


def _check(
  path: AnyPath, saved: dict[str, Any], target: dict[str, Any], partial: bool
) -> None:
  wrong = [
    f"{name} is {_show(saved[name])} there, {_show(_kind(leaf))} here"
    if name in saved
    else f"{name} is not there"
    for name, leaf in target.items()
    if saved.get(name) != _kind(leaf)
  ]
  if not partial:
    wrong += [f"{name} is only there" for name in saved if name not in target]
  if wrong:
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    raise errors.CheckpointError(
      f"checkpoint {path} holds another state: {'; '.join(wrong[:3])}{more}"
    )


def _flatten(state: Any) -> dict[str, Any]:
  flat = tree.flatten(state)
  if len(flat) != len(jax.tree.leaves(state)):
    raise ValueError("two arrays of the state have the same name")
  return flat


def _kind(leaf: Any) -> list[Any]:
  return [str(leaf.dtype), list(leaf.shape)]


def _show(kind: list[Any]) -> str:
  return f"{kind[0]}{kind[1]}"


def _meet(*, key: str, timeout_ms: int) -> None:
  """Orbax's barrier; its error names the process that is missing."""
  if not processes.alone():
    # Orbax reuses a key when it saves a step again.
    name, seconds = f"orbax/{next(_meetings)}/{key}", timeout_ms // 1000
    with lifeline.watched():
      processes.meet(name, "", "the end of a save", seconds)


def _reason(e: Exception) -> str:
  """What the operating system said, or else the error's first line."""
  if isinstance(e, OSError) and e.strerror:
    return e.strerror
  if isinstance(e, errors.BucketError):
    return str(e)
  # TensorStore raises a ValueError that holds the number in its text.
  code = re.search(r"os_error_code='(\d+)'", str(e))
  if code:
    return os.strerror(int(code[1]))
  return f"{type(e).__name__}: {str(e).partition(chr(10))[0]}"


def _no_orbax_traceback(record: logging.LogRecord) -> bool:
  """Drops the traceback that Orbax logs before it raises the same error."""
  return not (record.exc_info and "/orbax/" in record.pathname)
