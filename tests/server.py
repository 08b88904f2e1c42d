"""A real HTTP server on this machine, in a thread of its own."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serve(answers):
  """Serves answers by path; yields the URL and the list of what was asked.

  Args:
    answers: (status, headers, body), or a list of them, one after another.
  """
  asked = []

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      asked.append(self.path)
      answer = answers.get(self.path, (404, {}, b"no"))
      if isinstance(answer, list):
        answer = answer.pop(0)
      status, headers, body = answer
      self.send_response(status)
      for key, value in headers.items():
        self.send_header(key, value)
      self.end_headers()
      with contextlib.suppress(OSError):
        for part in [body] if isinstance(body, bytes) else body:
          self.wfile.write(part)

    def log_message(self, *args):
      pass

  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  server.daemon_threads = True
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  try:
    yield f"http://127.0.0.1:{server.server_port}", asked
  finally:
    server.shutdown()
    server.server_close()
    thread.join()
