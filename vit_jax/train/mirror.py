"""A folder on this machine whose files are copied to a bucket.

An object cannot be appended to, so journals and event files are written here
and uploaded as a whole: before each checkpoint, once a minute, at the end.
"""

from collections.abc import Iterator
import contextlib
import pathlib
import tempfile
import threading

from vit_jax.cluster import processes
from vit_jax.core import errors, storage

# Files that a resumed run appends to.
_CONTINUED = (
  "config.json",
  "inferred.json",
  "metrics.jsonl",
  "metrics.cut.jsonl",
  "evals.jsonl",
  "evals.cut.jsonl",
)
_EVERY_S = 60.0


class Mirror:
  """Uploads what has changed of a folder on this machine to `home`."""

  def __init__(self, home: storage.BucketPath, folder: pathlib.Path):
    self.folder = folder
    self.end = threading.Event()
    self._home = home
    self._lock = threading.Lock()
    # Size and time of each file when it was uploaded.
    self._uploaded: dict[str, tuple[int, int]] = {}
    for name in _CONTINUED:
      data, _ = (home / name).read()
      if data is not None:
        (folder / name).write_bytes(data)

  def upload(self) -> None:
    """Returns when the bucket has every file as it is now.

    Raises:
      BucketError: it has not.
    """
    with self._lock:
      for file in sorted(self.folder.rglob("*")):
        if not file.is_file():
          continue
        name = file.relative_to(self.folder).as_posix()
        stat = file.stat()
        seen = stat.st_size, stat.st_mtime_ns
        if self._uploaded.get(name) != seen:
          (self._home / name).write(file.read_bytes())
          self._uploaded[name] = seen

  def keep(self) -> None:
    """Uploads regularly until `end` is set, for those who watch the run."""
    while not self.end.wait(_EVERY_S):
      # The upload before the next checkpoint will report it.
      with contextlib.suppress(errors.BucketError):
        self.upload()


@contextlib.contextmanager
def mirrored(home: storage.BucketPath) -> Iterator[Mirror]:
  """A mirror in a temporary folder; all is uploaded at the end.

  Raises:
    BucketError: the bucket does not answer, unless another error is on its
      way.
  """
  with tempfile.TemporaryDirectory(prefix="vit_jax_") as folder:
    mirror = Mirror(home, pathlib.Path(folder))
    thread = threading.Thread(target=mirror.keep, daemon=True)
    thread.start()
    failed = True
    try:
      yield mirror
      failed = False
    finally:
      mirror.end.set()
      thread.join()
      try:
        mirror.upload()
      except errors.BucketError as e:
        if not failed:
          raise
        processes.say(f"the last rows were not uploaded: {e}")
