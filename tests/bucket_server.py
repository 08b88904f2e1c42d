"""A bucket on this machine: what TensorStore and ArrayRecord ask of it.

Of Cloud Storage's JSON API: download, upload, delete and list of objects, in
memory, with generations and their preconditions as in
https://cloud.google.com/storage/docs/request-preconditions. The emulators that
packages offer take uploads and ignore their preconditions, which are what
keeps two runs apart.
"""

from collections.abc import Iterator
import contextlib
import http.server
import itertools
import json
import threading
from urllib import parse

NAME = "bucket"


class Bucket:
  """Objects by name: (generation, bytes)."""

  def __init__(self):
    self.objects: dict[str, tuple[int, bytes]] = {}
    # (method, name) of each request, oldest first.
    self.requests: list[tuple[str, str]] = []
    self.lock = threading.Lock()
    self.generations = itertools.count(1795000000000000)
    self.url = ""

  def names(self, prefix: str = "") -> list[str]:
    with self.lock:
      return sorted(n for n in self.objects if n.startswith(prefix))

  def read(self, name: str) -> bytes:
    return self.objects[name][1]

  def write(self, name: str, data: bytes) -> int:
    with self.lock:
      generation = next(self.generations)
      self.objects[name] = generation, data
    return generation


class _Server(http.server.ThreadingHTTPServer):
  daemon_threads = True

  def handle_error(self, *_):
    """A client that hangs up, as a killed process does, is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"
  disable_nagle_algorithm = True
  bucket: Bucket

  def log_message(self, *_):
    pass

  def _answer(self, code, body=b"", headers=()):
    self.send_response(code)
    for name, value in headers:
      self.send_header(name, value)
    self.send_header("Content-Length", str(len(body)))
    self.end_headers()
    self.wfile.write(body)

  def _json(self, content):
    headers = [("Content-Type", "application/json")]
    self._answer(200, json.dumps(content).encode(), headers)

  def _asked(self) -> tuple[str, dict[str, str] | None]:
    """The object's name, or "", and the query; None has been answered."""
    url = parse.urlsplit(self.path)
    query = dict(parse.parse_qsl(url.query))
    folder, _, name = url.path.partition("/o")
    if not folder.endswith(f"storage/v1/b/{NAME}"):
      self._answer(404)
      return "", None
    name = parse.unquote(name.removeprefix("/")) or query.get("name", "")
    self.bucket.requests.append((self.command, name))
    return name, query

  def _matches(self, name: str, query: dict[str, str]) -> bool:
    generation = self.bucket.objects.get(name, (0, b""))[0]
    return int(query.get("ifGenerationMatch", generation)) == generation

  def do_GET(self):
    name, query = self._asked()
    if query is None:
      return
    if query.get("alt") != "media":
      return self._list(query)
    found = self.bucket.objects.get(name)
    if found is None:
      return self._answer(404)
    generation, data = found
    headers = [("x-goog-generation", str(generation))]
    span = self.headers.get("Range", "")
    if not span:
      return self._answer(200, data, headers)
    first, _, last = span.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(len(data) - int(last), 0)
    stop = min(int(last) + 1, len(data)) if first and last else len(data)
    headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}"))
    self._answer(206, data[start:stop], headers)

  def _list(self, query):
    first, end = query.get("startOffset", ""), query.get("endOffset", "")
    names = [
      name
      for name in self.bucket.names(query.get("prefix", ""))
      if name >= first and (not end or name < end)
    ]
    # A page is small, so that pages are tested.
    start = int(query.get("pageToken", 0))
    answer = {"items": [{"name": n} for n in names[start : start + 50]]}
    if start + 50 < len(names):
      answer["nextPageToken"] = str(start + 50)
    self._json(answer)

  def do_POST(self):
    data = self.rfile.read(int(self.headers["Content-Length"]))
    name, query = self._asked()
    if query is None:
      return
    with self.bucket.lock:
      if not self._matches(name, query):
        return self._answer(412)
      generation = next(self.bucket.generations)
      self.bucket.objects[name] = generation, data
    self._json({"name": name, "generation": str(generation)})

  def do_DELETE(self):
    name, query = self._asked()
    if query is None:
      return
    with self.bucket.lock:
      if name not in self.bucket.objects:
        return self._answer(404)
      if not self._matches(name, query):
        return self._answer(412)
      del self.bucket.objects[name]
    self._answer(204)


@contextlib.contextmanager
def serve() -> Iterator[Bucket]:
  """An empty bucket at its `url`, while the context is open."""
  bucket = Bucket()
  handler = type("Handler", (_Handler,), {"bucket": bucket})
  with _Server(("127.0.0.1", 0), handler) as server:
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      yield bucket
    finally:
      server.shutdown()
      thread.join()


if __name__ == "__main__":
  with serve() as served:
    print(served.url, flush=True)
    threading.Event().wait()
