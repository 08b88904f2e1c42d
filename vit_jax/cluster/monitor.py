"""The program that keeps the processes of a run together.

Process 0 starts it as a child process. Every process of the run holds a
connection to it and sends a sign of life. When a process ends, dies, stops
answering or makes no progress, the monitor tells all the others at once
which one it was.

JAX's coordination service runs in this program too. Inside process 0 it would
die together with that process, and JAX answers the loss of its service with an
abort and a stack trace (docs/adr/0003-many-machines.md).

Messages are lines of JSON. A process first sends {process, host, count}, then
{at}, its progress so far, as a sign of life, or {ended: [code, text]}. It
receives {start: {port, hosts}} once all processes have connected, {} as
a sign of life, and {end: [code, text]}, the reason why all processes must end.
"""

import asyncio
import dataclasses
import json
import socket
import sys
import time
from typing import Any

from vit_jax.cluster import private
from vit_jax.cluster.timeouts import Timeouts
from vit_jax.core import errors

MAX_LINE = 1 << 20


@dataclasses.dataclass
class _Member:
  host: str
  writer: asyncio.StreamWriter
  at: int = -1
  since: float = 0.0


class _Monitor:
  """The connected processes, and the reason why they must end, if any."""

  def __init__(self, count: int, timeouts: Timeouts):
    self._count = count
    self._timeouts = timeouts
    self._members: dict[int, _Member] = {}
    self._hosts: dict[int, str] = {}
    self._end: tuple[int, str] | None = None
    self._service: Any = None

  async def run(self, listening: socket.socket) -> None:
    """Serves until the last process has disconnected."""
    began = time.monotonic()
    server = await asyncio.start_server(
      self._talk, sock=listening, limit=MAX_LINE
    )
    async with server:
      while self._members or (self._end is None and not self._hosts):
        await asyncio.sleep(0.1)
        if self._service is None:
          self._wait_for_all(began)
        else:
          self._find_who_stands_still()
    if self._service is not None:
      self._service.shutdown()

  def _wait_for_all(self, began: float) -> None:
    if len(self._hosts) == self._count and self._end is None:
      self._start()
    elif time.monotonic() - began > self._timeouts.initialization:
      missing = set(range(self._count)) - set(self._hosts)
      self._all_end(
        errors.LOST,
        f"{self.name(*missing)} did not connect within"
        f" {self._timeouts.initialization} s",
      )

  def _start(self) -> None:
    """Starts JAX's service; tells all its port and the names of the hosts."""
    with socket.socket() as s:
      s.bind(("", 0))
      port = s.getsockname()[1]
    self._service = private.serve(
      f"[::]:{port}" if socket.has_dualstack_ipv6() else f"0.0.0.0:{port}",
      self._count,
      # JAX's own limit for a silent process comes later than the monitor's.
      2 * self._timeouts.heartbeat,
      self._timeouts.shutdown,
    )
    hosts = [self._hosts[i] for i in range(self._count)]
    now = time.monotonic()
    for member in self._members.values():
      member.since = now
      _send(member.writer, {"start": {"port": port, "hosts": hosts}})

  def _find_who_stands_still(self) -> None:
    """Ends all if the processes with the least progress have stopped."""
    members = self._members
    if not members or self._end is not None:
      return
    least = min(member.at for member in members.values())
    behind = [i for i, member in members.items() if member.at == least]
    limit = self._timeouts.progress
    if time.monotonic() - max(members[i].since for i in behind) > limit:
      self._all_end(
        errors.LOST, f"{self.name(*behind)} made no progress for {limit} s"
      )

  async def _talk(
    self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
  ) -> None:
    """Serves one connection from its first message to its last."""
    process = -1
    try:
      hello = await self._read(reader)
      if hello is None:
        return
      process = self._join(hello, writer)
      while process >= 0:
        message = await self._read(reader)
        if message is None:
          return self._lost(process, "died")
        if "ended" in message:
          return self._left(process, *message["ended"])
        member = self._members[process]
        if message["at"] != member.at:
          member.at, member.since = message["at"], time.monotonic()
        _send(writer, {})
    except TimeoutError:
      limit = self._timeouts.heartbeat
      self._lost(process, f"gave no sign of life for {limit} s")
    finally:
      writer.close()

  async def _read(self, reader: asyncio.StreamReader) -> Any:
    """The next message; None at the end, or if the line is not a message."""
    try:
      line = await asyncio.wait_for(reader.readline(), self._timeouts.heartbeat)
      message = json.loads(line)
    except (ValueError, OSError) as e:
      if isinstance(e, TimeoutError):
        raise
      return None
    return message if isinstance(message, dict) else None

  def _join(self, hello: Any, writer: asyncio.StreamWriter) -> int:
    """The number of the process that connects, or -1 if it is refused."""
    process, host = hello.get("process"), str(hello.get("host"))
    if self._end is None and hello.get("count") != self._count:
      self._all_end(
        errors.USAGE,
        f"process {process} ({host}) expects {hello.get('count')} processes,"
        f" process 0 expects {self._count}; start all with the same number",
      )
    if self._end is None and process in self._hosts:
      self._all_end(
        errors.USAGE,
        f"two processes, on {self._hosts[process]} and on {host}, were"
        f" both started as process {process}; give each its own number",
      )
    if self._end is not None:
      _send(writer, {"end": self._end})
      return -1
    self._hosts[process] = host
    self._members[process] = _Member(host, writer, since=time.monotonic())
    return process

  def _lost(self, process: int, how: str) -> None:
    if self._members.pop(process, None) is not None:
      self._all_end(errors.LOST, f"{self.name(process)} {how}")

  def _left(self, process: int, code: int, text: str) -> None:
    del self._members[process]
    if code:
      self._all_end(code, f"{self.name(process)} ended: {text}")

  def _all_end(self, code: int, text: str) -> None:
    """Tells all processes to end; only the first reason counts."""
    if self._end is None:
      self._end = code, text
      for member in self._members.values():
        _send(member.writer, {"end": self._end})

  def name(self, *processes: int) -> str:
    """The words "process 3 (HOST)" for these processes."""
    return "process " + ", ".join(
      f"{i} ({self._hosts[i]})" if i in self._hosts else str(i)
      for i in sorted(processes)
    )


def _send(writer: asyncio.StreamWriter, message: Any) -> None:
  writer.write(json.dumps(message).encode() + b"\n")


def main(port: str, count: str, *timeouts: str) -> None:
  """Serves a run of so many processes at a port; says when it listens."""
  try:
    listening = socket.create_server(
      ("", int(port)),
      family=(
        socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
      ),
      dualstack_ipv6=socket.has_dualstack_ipv6(),
    )
  except OSError as e:
    print(e.strerror, flush=True)
    return
  print("listening", flush=True)
  monitor = _Monitor(int(count), Timeouts(*map(int, timeouts)))
  asyncio.run(monitor.run(listening))


if __name__ == "__main__":
  main(*sys.argv[1:])
