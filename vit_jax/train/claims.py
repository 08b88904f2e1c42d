"""Who may write to a workdir: one run at a time.

On a disk the claim is a file lock, which ends with its process. A bucket has no
locks; there a run keeps renewing an object, and writes it only if it is as this
run left it (Cloud Storage's generation preconditions). A claim that was not
renewed for a while has expired and may be taken over.
"""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import socket
import threading
import time

from vit_jax.cluster import processes
from vit_jax.core import errors, files, storage
from vit_jax.train import recording

_FILE = ".lock"
_RENEW_S = 10.0
# A claim that has not changed for this long has expired; its owner stops too.
_DEAD_S = 40.0


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
  """Makes a folder on a disk and locks it.

  Raises:
    StorageError: it cannot be written, or another process has it.
  """
  with contextlib.ExitStack() as held:
    with recording.writing(workdir):
      lock = held.enter_context(files.locked(workdir / _FILE))
    if lock is None:
      raise _in_use(workdir, "another run")
    yield


@contextlib.contextmanager
def leased(workdir: storage.BucketPath) -> Iterator["Lease"]:
  """Claims a folder of a bucket and renews the claim until the end.

  Raises:
    StorageError: another run has it, or the bucket does not answer.
  """
  lease = Lease(workdir)
  thread = threading.Thread(target=lease.keep, daemon=True)
  thread.start()
  try:
    yield lease
  finally:
    lease.end.set()
    thread.join()
    lease.release()


class Lease:
  """The claim of a folder of a bucket.

  Raises:
    StorageError: another run has it.
  """

  def __init__(self, workdir: storage.BucketPath):
    self.end = threading.Event()
    self._workdir = workdir
    self._object = workdir / _FILE
    self._beats = 0
    self._lost = False
    theirs, generation = self._object.read()
    if theirs is not None:
      generation = self._outwait(theirs, generation)
    self._text = self._say()
    self._generation = self._object.write(self._text, if_equal=generation)
    if not self._generation:
      raise _in_use(workdir, "another run that started just now")
    self._renewed = time.monotonic()

  def _outwait(self, theirs: bytes, generation: bytes) -> bytes:
    """The generation of a claim, once it has expired."""
    who = _name(theirs)
    processes.say(
      f"{self._workdir} is claimed by {who}; taking over in {_DEAD_S:.0f} s"
      " unless it shows that it lives"
    )
    until = time.monotonic() + _DEAD_S
    while time.monotonic() < until:
      time.sleep(min(1.0, _RENEW_S))
      data, now = self._object.read()
      if data is None:
        return now
      if now != generation:
        raise _in_use(self._workdir, who)
    return generation

  def _say(self) -> bytes:
    self._beats += 1
    who = dict(host=socket.gethostname(), process=os.getpid())
    return json.dumps({**who, "renewals": self._beats}).encode()

  def keep(self) -> None:
    """Renews the claim until `end` is set or it is lost."""
    while not self._lost and not self.end.wait(_RENEW_S):
      text = self._say()
      # The run reports a bucket that does not answer when it needs it.
      with contextlib.suppress(errors.BucketError):
        generation = self._object.write(text, if_equal=self._generation)
        if not generation:
          # A write whose answer was lost may have been made all the same.
          there, generation = self._object.read()
          self._lost = there not in (text, self._text)
        self._text, self._generation = text, generation
        self._renewed = time.monotonic()

  def check(self) -> None:
    """Checks that no other run can have taken the folder.

    Raises:
      StorageError: it may.
    """
    silent = time.monotonic() - self._renewed
    if self._lost or silent > _DEAD_S:
      why = (
        "another run has taken it"
        if self._lost
        else f"the claim could not be renewed for {silent:.0f} s"
      )
      raise errors.StorageError(
        f"workdir={self._workdir}: {why}; nothing more is written; run the same"
        " command again"
      )

  def release(self) -> None:
    """Gives the claim up, so that others need not wait for it to expire."""
    if not self._lost:
      # If this fails, the claim expires by itself.
      with contextlib.suppress(errors.BucketError):
        self._object.write(None, if_equal=self._generation)


def _in_use(workdir: storage.AnyPath, who: str) -> errors.StorageError:
  return errors.StorageError(
    f"workdir={workdir} is in use by {who}; wait for it or use another workdir"
  )


def _name(claim: bytes) -> str:
  try:
    owner = json.loads(claim)
    return f"process {owner['process']} on {owner['host']}"
  except (ValueError, LookupError, TypeError):
    return "an unknown run"
