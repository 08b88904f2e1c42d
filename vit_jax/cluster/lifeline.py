"""A process's connection to the monitor: who is there, and who is lost."""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import jax

from vit_jax.cluster import monitor, private
from vit_jax.cluster.timeouts import Timeouts
from vit_jax.core import errors

# How long a process may take to end by itself once another one has ended.
_GRACE_S = 10
# How long the monitor may take to say why a connection between two broke.
_REASON_S = 5
_MAX_TEXT = 2000
_DEFAULT = Timeouts()


class _Lifeline:
  """What the monitor has told this process; two threads keep it current."""

  def __init__(self, address: str, count: int, index: int, timeouts: Timeouts):
    self.timeouts = timeouts
    self.place = index, count
    self.hosts: list[str] = []
    self.port = 0
    self.ticks = 0
    self.saved = "none of this start"
    self._lock = threading.Lock()
    self._known = threading.Condition()
    self._end: tuple[int, str] | None = None
    self._ending = False
    self._socket = _dial(address, timeouts.initialization)
    self._socket.settimeout(timeouts.heartbeat)
    host = socket.gethostname()
    self._send({"process": index, "count": count, "host": host})
    for work in (self._listen, self._beat):
      threading.Thread(target=work, daemon=True).start()

  def start(self) -> None:
    """Waits until all processes have connected."""
    with self._known:
      # The monitor knows who is missing, so it gets time to say so.
      limit = self.timeouts.initialization + self.timeouts.heartbeat
      self._known.wait_for(lambda: self.port or self._end, limit)
    if not self.port:
      raise self.error() or errors.PeerError("process 0 did not answer")

  def reason(self, wait_s: float) -> tuple[int, str] | None:
    """The exit code and why all must end, if the monitor says so in time."""
    with self._known:
      self._known.wait_for(lambda: self._end, wait_s)
    return self._end

  def error(self, wait_s: float = 0) -> errors.PeerError | None:
    """`reason` as an error that says what to do."""
    end = self.reason(wait_s)
    if end is None:
      return None
    code, text = end
    if code == errors.LOST:
      text += (
        f"; last good checkpoint: {self.saved}; run the same command again"
      )
    return errors.PeerError(text, code)

  def leave(self, code: int, text: str) -> None:
    self._ending = True
    with contextlib.suppress(OSError):
      self._send({"ended": [code, text[:_MAX_TEXT]]})

  def _send(self, message: Any) -> None:
    with self._lock:
      self._socket.sendall(json.dumps(message).encode() + b"\n")

  def _beat(self) -> None:
    with contextlib.suppress(OSError):
      while not self._ending:
        self._send({"at": self.ticks})
        time.sleep(min(1.0, self.timeouts.heartbeat / 4))

  def _listen(self) -> None:
    end = None
    with contextlib.suppress(OSError), self._socket.makefile() as lines:
      for line in lines:
        message = json.loads(line)
        if "start" in message:
          with self._known:
            self.hosts = message["start"]["hosts"]
            self.port = message["start"]["port"]
            self._known.notify_all()
        elif "end" in message:
          end = message["end"]
          break
    if end:
      self._end_all(*end)
    elif not self._ending:
      self._end_all(errors.LOST, "the connection to process 0's host is lost")

  def _end_all(self, code: int, text: str) -> None:
    """Ends this process if it does not end by itself."""
    with self._known:
      self._end = code, text
      self._known.notify_all()
    time.sleep(_GRACE_S)
    if not self._ending:
      # The main thread waits in the runtime for a message that will not come.
      e = self.error()
      print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
      os._exit(code)


_line: _Lifeline | None = None


def connect(
  address: str,
  count: int,
  index: int,
  timeouts: Timeouts = _DEFAULT,
  local_device_ids: Any = None,
) -> None:
  """Waits for the other processes and connects JAX with them.

  Args:
    address: HOST:PORT of process 0, the same for all.
    count: number of processes.
    index: which one this is.
    timeouts: see `Timeouts`.
    local_device_ids: argument of `jax.distributed.initialize`.

  Raises:
    ConfigError: process 0 cannot listen at the address.
    DeviceError: this JAX lacks what several processes need.
    PeerError: a process did not connect, or was started with other numbers.
  """
  global _line
  private.check()
  host, _, port = address.rpartition(":")
  if index == 0:
    _start_monitor(address, port, count, timeouts)
  _line = _Lifeline(address, count, index, timeouts)
  _line.start()
  jax.distributed.initialize(
    f"{host}:{_line.port}",
    count,
    index,
    local_device_ids,
    initialization_timeout=timeouts.initialization,
    heartbeat_timeout_seconds=2 * timeouts.heartbeat,
    shutdown_timeout_seconds=timeouts.shutdown,
    # The service is in the monitor. JAX starts another one here, for nobody.
    coordinator_bind_address="127.0.0.1:0",
  )


def _start_monitor(
  address: str, port: str, count: int, timeouts: Timeouts
) -> None:
  process: Any = subprocess.Popen(
    [
      *(sys.executable, "-m", monitor.__name__, port, str(count)),
      *map(str, dataclasses.astuple(timeouts)),
    ],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    text=True,
    # Ctrl-C must not end the monitor: the processes need it while they save.
    start_new_session=True,
  )
  answer = process.stdout.readline().strip()
  if answer != "listening":
    raise errors.ConfigError(
      f"--coordinator_address={address}: process 0 cannot listen there:"
      f" {answer}; name a free port of its host"
    )


def _dial(address: str, timeout_s: float) -> socket.socket:
  host, _, port = address.rpartition(":")
  until = time.monotonic() + timeout_s
  while True:
    try:
      return socket.create_connection((host.strip("[]"), int(port)), 10)
    except OSError as e:
      if time.monotonic() > until:
        raise errors.PeerError(
          f"process 0 cannot be reached at {address} within {timeout_s} s:"
          f" {e.strerror or e}; start the same command there"
        ) from e
      time.sleep(0.2)


def tick() -> None:
  """Notes that this process makes progress."""
  if _line is not None:
    _line.ticks += 1


def saved(step: int) -> None:
  """Notes the last good checkpoint, to name it if a process is lost."""
  if _line is not None:
    _line.saved = str(step)


def place() -> tuple[int, int]:
  """The number of this process, and how many there are.

  Touches no device, unless the caller has connected JAX by itself.
  """
  if _line is not None:
    return _line.place
  if jax.distributed.is_initialized():
    return jax.process_index(), jax.process_count()
  return 0, 1


def name(index: int) -> str:
  """The words "process 3 (HOST)"."""
  hosts = _line.hosts if _line is not None else []
  return f"process {index}" + (f" ({hosts[index]})" if hosts else "")


def timeouts() -> Timeouts:
  """The timeouts that `connect` was given."""
  return _DEFAULT if _line is None else _line.timeouts


@contextlib.contextmanager
def watched() -> Iterator[None]:
  """Turns what JAX raises when a process is lost into one clear line.

  Raises:
    PeerError: another process ended.
  """
  try:
    yield
  # An array that was never computed says so by a ValueError when it is read.
  except (jax.errors.JaxRuntimeError, ValueError) as e:
    lost = None if _line is None else _line.error(_REASON_S)
    if lost:
      raise lost from e
    if _line is not None and "DEADLINE_EXCEEDED" in str(e):
      raise errors.PeerError(
        f"another process did not answer in time: {str(e).splitlines()[0]};"
        " run the same command again"
      ) from e
    raise


def leave(code: int, text: str = "") -> None:
  """Disconnects this process; an exit code other than 0 ends the others too.

  JAX's shutdown waits for all processes, so it is only called on success.
  """
  if code == 0 and jax.distributed.is_initialized():
    jax.distributed.shutdown()
  if _line is not None:
    _line.leave(code, text)
