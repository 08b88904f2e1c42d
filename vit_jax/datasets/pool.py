"""Writes shards on the processes of this machine, and says how far it is."""

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
from vit_jax.datasets import progress as progress_lib, shards

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(jobs: Sequence[shards.Job], workers: int) -> None:
  """Writes shards; with one worker in this process.

  Raises:
    UserError: the first of a shard; those that are being written are dropped.
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
  # Threads may hold locks in a forked process for ever.
  context = multiprocessing.get_context("spawn")
  reader, writer = context.Pipe(duplex=False)
  with (
    reader,
    writer,
    futures.ProcessPoolExecutor(
      workers, context, _follow, (reader,)
    ) as executor,
  ):
    whole = False
    try:
      yield executor
      whole = True
    finally:
      if not whole:
        # Shards that are being written are dropped, not waited for.
        writer.close()
        executor.shutdown(cancel_futures=True)


def _follow(reader: connection.Connection) -> None:
  """In a worker: ends when its parent closes the pipe, or is no more."""

  def watch() -> None:
    reader.poll(None)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
  """Processes that start here never get the signals: their parent does."""
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
  """SIGINT, SIGTERM and SIGHUP become an error that says how to go on."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def interrupt(number: int, frame: object) -> None:
    del frame
    terminal.leave()
    raise errors.Interrupted(
      "interrupted; the shards that are done stay: run the same command to go"
      " on",
      number,
    )

  before = {n: signal.signal(n, interrupt) for n in terminal.stop_signals()}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
