"""Writes shards with several processes on this machine, and shows progress."""

from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import process
import contextlib
import multiprocessing
from multiprocessing import connection
import os
import signal
import threading

from vit_jax.core import errors, terminal
from vit_jax.data import progress as progress_lib
from vit_jax.datasets import shards

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(jobs: Sequence[shards.Job], workers: int) -> None:
  """Writes shards; one worker is this process itself.

  Raises:
    UserError: the first error of a shard; unfinished shards are dropped.
  """
  progress = progress_lib.Progress("written", sum(map(shards.count, jobs)))
  workers = min(workers, len(jobs))
  if workers < 2:
    for job in jobs:
      progress.add(shards.write(job))
    return
  try:
    with _pool(workers) as executor:
      with _blocked():
        pending = [executor.submit(shards.write, job) for job in jobs]
      for future in futures.as_completed(pending):
        progress.add(future.result())
  except process.BrokenProcessPool as e:
    raise errors.DataError(
      "a process that wrote a shard was killed (out of memory?); run the"
      " same command to go on, with fewer --workers"
    ) from e


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[futures.ProcessPoolExecutor]:
  # A forked process could wait forever for a lock of another thread.
  context = multiprocessing.get_context("spawn")
  reader, writer = context.Pipe(duplex=False)
  with (
    reader,
    writer,
    futures.ProcessPoolExecutor(
      workers, context, _follow, (reader,)
    ) as executor,
    contextlib.ExitStack() as after_error,
  ):
    # Closing the pipe ends the workers, so that unfinished shards are dropped.
    after_error.callback(executor.shutdown, cancel_futures=True)
    after_error.callback(writer.close)
    yield executor
    after_error.pop_all()


def _follow(reader: connection.Connection) -> None:
  """In a worker: ends it when its parent closes the pipe or dies."""

  def watch() -> None:
    reader.poll(None)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
  """Processes started here ignore the signals, which their parent handles."""
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
  """Turns SIGINT, SIGTERM and SIGHUP into an error that says how to go on."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def interrupt(number: int, frame: object) -> None:
    del frame
    terminal.leave()
    raise errors.Interrupted(
      "interrupted; finished shards are kept: run the same command to go on",
      number,
    )

  before = {n: signal.signal(n, interrupt) for n in terminal.stop_signals()}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
