"""The monitor says who is missing, and why."""

import contextlib
import dataclasses
import json
import socket
import subprocess
import sys
import threading
import time

import jax
import pytest

from vit_jax.cluster import lifeline, monitor
from vit_jax.cluster.timeouts import Timeouts
from vit_jax.core import errors

COUNT = 3


class Process:
  """What the monitor sees of a process; its host has its number."""

  def __init__(self, port, index, count=COUNT):
    self.socket = socket.create_connection(("127.0.0.1", port), 20)
    self.lines = self.socket.makefile()
    self.alive, self.at, self.moves = True, 0, False
    self.send(process=index, host=f"h{index}", count=count)
    threading.Thread(target=self.beat, daemon=True).start()

  def send(self, **message):
    self.socket.sendall(json.dumps(message).encode() + b"\n")

  def beat(self):
    with contextlib.suppress(OSError):
      while True:
        if self.alive:
          self.at += self.moves
          self.send(at=self.at)
        time.sleep(0.1)

  def hear(self):
    """The next message that is no sign of life; None at the end."""
    until = time.monotonic() + 20
    for line in self.lines:
      if message := json.loads(line):
        return message
      assert time.monotonic() < until, "nothing but signs of life"
    return None

  def close(self):
    with contextlib.suppress(OSError):
      # The beat still holds it; or the monitor, or a test, was faster.
      self.socket.shutdown(socket.SHUT_RDWR)
    self.lines.close()
    self.socket.close()


@contextlib.contextmanager
def served(**timeouts):
  """Starts processes of a monitor, which must end after them."""
  with socket.create_server(("", 0)) as s:
    port = s.getsockname()[1]
  numbers = [port, COUNT, *dataclasses.astuple(Timeouts(**timeouts))]
  command = [sys.executable, "-m", monitor.__name__, *map(str, numbers)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
    try:
      assert process.stdout.readline() == "listening\n"
      with contextlib.ExitStack() as opened:

        def start(index, count=COUNT):
          one = Process(port, index, count)
          opened.callback(one.close)
          return one

        yield start
      assert process.wait(30) == 0
    finally:
      process.kill()


def test_who_does_not_connect():
  with served(initialization=1) as start:
    processes = [start(0), start(2)]
    want = [errors.LOST, "process 1 did not connect within 1 s"]
    assert [p.hear() for p in processes] == [{"end": want}] * 2


def test_another_number_of_processes():
  with served() as start:
    processes = [start(0), start(1, count=4)]
    code, text = processes[0].hear()["end"]
    assert code == 2
    assert text.startswith("process 1 (h1) expects 4 processes, process 0")
    assert processes[1].hear() == {"end": [code, text]}


def test_the_same_process_twice():
  with served() as start:
    processes = [start(0), start(1), start(1)]
    ends = [p.hear()["end"] for p in processes]
    assert ends[0][0] == 2
    assert "on h1 and on h1, were both started as process 1" in ends[0][1]
    assert ends == ends[:1] * 3


def lose(process):
  process.close()
  return "died"


def silence(process):
  process.alive = False
  return "gave no sign of life for 1 s"


def stop(process):
  process.moves = False
  return "made no progress for 2 s"


@pytest.mark.parametrize("happens", [lose, silence, stop])
def test_who_is_lost(happens):
  with served(heartbeat=1, progress=2) as start:
    processes = [start(i) for i in range(COUNT)]
    for process in processes:
      assert process.hear()["start"]["hosts"] == ["h0", "h1", "h2"]
      process.moves = True
    time.sleep(0.3)
    want = [errors.LOST, f"process 2 (h2) {happens(processes.pop())}"]
    assert [p.hear() for p in processes] == [{"end": want}] * 2


def test_one_ends_without_an_error_another_with():
  with served() as start:
    processes = [start(i) for i in range(COUNT)]
    assert all("start" in p.hear() for p in processes)
    processes[2].send(ended=[0, ""])
    processes[1].send(ended=[1, "StorageError: full"])
    end = processes[0].hear()["end"]
    assert end == [1, "process 1 (h1) ended: StorageError: full"]


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
def test_what_jax_raises_names_who_is_lost(kind, monkeypatch):
  with served() as start:
    processes = [start(0), start(1)]
    host, port = processes[0].socket.getpeername()
    line = lifeline._Lifeline(f"{host}:{port}", COUNT, 2, Timeouts())
    line.start()
    monkeypatch.setattr(lifeline, "_line", line)
    with pytest.raises(kind, match="a bug"), lifeline.watched():
      monkeypatch.setattr(lifeline, "_REASON_S", 0.1)
      raise kind("a bug")
    with (
      pytest.raises(errors.PeerError, match=r"not answer in time: .*again"),
      lifeline.watched(),
    ):
      raise kind("DEADLINE_EXCEEDED: GetKeyValue() timed out\nmore")
    monkeypatch.setattr(lifeline, "_REASON_S", 20)
    with (
      pytest.raises(errors.PeerError, match=r"process 1 \(h1\) died"),
      lifeline.watched(),
    ):
      processes[1].close()
      raise kind("Gloo AllGather failed: Connection closed by peer")
    lifeline.leave(errors.LOST)
    line._socket.close()


@pytest.mark.parametrize(
  "noise", [b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b"x" * (2 << 20)]
)
def test_noise_is_not_a_process(noise):
  with served() as start:
    processes = [start(0), start(1)]
    address = processes[0].socket.getpeername()
    with (
      socket.create_connection(address, 20) as stranger,
      contextlib.suppress(ConnectionError),
    ):
      stranger.sendall(noise)
      assert stranger.recv(100) == b""
    processes.append(start(2))
    assert all("start" in p.hear() for p in processes)
