"""Fetches images by http and https, and distrusts what answers."""

import http.client
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

from vit_jax.core import errors

_MOST_BYTES = 64 * 2**20
_CHUNK = 2**16
# Of a connection, and of all of an image.
_TIMEOUT_S = 15.0
_DEADLINE_S = 60.0
_TRIES = 3
_PAUSE_S = 0.5
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def fetch(url: str, most_bytes: int = _MOST_BYTES) -> bytes:
  """What a URL gives; tries again what may have been bad luck.

  Raises:
    DataError: no answer in time, another answer than 200, or too much.
  """
  for tries_left in reversed(range(_TRIES)):
    try:
      return _once(url, most_bytes)
    except urllib.error.HTTPError as e:
      e.close()
      reason = f"the answer is {e.code} {e.reason}"
      again = e.code in _TRY_AGAIN
    except (OSError, http.client.HTTPException) as e:
      # URLError is an OSError that holds another.
      reason = str(getattr(e, "reason", "") or e) or type(e).__name__
      again = not isinstance(getattr(e, "reason", None), socket.gaierror)
    except ValueError as e:
      raise errors.DataError(f"{url} cannot be fetched: {e}") from e
    if not again:
      break
    if tries_left:
      time.sleep(_PAUSE_S)
  raise errors.DataError(f"{url} cannot be fetched: {reason}")


def _once(url: str, most_bytes: int) -> bytes:
  end = time.monotonic() + _DEADLINE_S
  data = bytearray()
  with _opener().open(url, timeout=_TIMEOUT_S) as answer:
    while chunk := answer.read1(_CHUNK):
      data += chunk
      if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes")
      if time.monotonic() > end:
        raise TimeoutError(f"not whole after {_DEADLINE_S:.0f} s")
    if answer.length:
      raise http.client.IncompleteRead(bytes(0), answer.length)
  return bytes(data)


def _opener() -> urllib.request.OpenerDirector:
  """Without ftp:, file: and data:, to which an answer could lead."""
  opener = urllib.request.OpenerDirector()
  for handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
  ):
    opener.add_handler(handler())
  opener.addheaders = [("User-Agent", "vit_jax")]
  return opener
