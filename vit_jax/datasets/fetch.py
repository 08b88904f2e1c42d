"""Downloads images by http and https from servers that are not trusted."""

import time

import requests
from requests import adapters
import urllib3
from urllib3.util import retry

from vit_jax.core import errors

_MOST_BYTES = 64 * 2**20
_CHUNK = 2**16
# Until a server sends something, and until all of an image is here.
_TIMEOUT_S = 15.0
_DEADLINE_S = 60.0
_TRIES = 3
_PAUSE_S = 0.5
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
# As it is sent: a small answer may not expand to a huge one.
_HEADERS = {"User-Agent": "vit_jax", "Accept-Encoding": "identity"}


def fetch(url: str, most_bytes: int = _MOST_BYTES) -> bytes:
  """The content of a URL; tries again after errors that may be temporary.

  Raises:
    DataError: no answer in time, a status other than 200, or too much.
  """
  reason: Exception = TimeoutError()
  with _session() as session:
    for tries_left in reversed(range(_TRIES)):
      try:
        with session.get(url, timeout=_TIMEOUT_S, stream=True) as answer:
          return _body(answer, most_bytes)
      # The session itself tries again until an answer begins.
      except (urllib3.exceptions.HTTPError, TimeoutError) as e:
        reason = e
        if tries_left:
          time.sleep(_PAUSE_S)
      except (requests.RequestException, ValueError) as e:
        reason = e
        break
  text = " ".join(str(reason).split())
  raise errors.DataError(f"{url} cannot be fetched: {text[:300]}") from reason


def _session() -> requests.Session:
  """A session that knows http and https alone, also where it is redirected."""
  session = requests.Session()
  again = retry.Retry(
    total=_TRIES - 1,
    backoff_factor=_PAUSE_S,
    status_forcelist=_TRY_AGAIN,
    raise_on_status=False,
    # A server may not make us wait for as long as it likes.
    respect_retry_after_header=False,
  )
  for prefix in ("http://", "https://"):
    session.mount(prefix, adapters.HTTPAdapter(max_retries=again))
  session.headers.update(_HEADERS)
  session.hooks["response"].append(_drop_redirect)
  return session


def _drop_redirect(answer: requests.Response, **_) -> None:
  """Closes an answer that leads on, whose body would be read to its end."""
  if answer.is_redirect:
    answer.close()


def _body(answer: requests.Response, most_bytes: int) -> bytes:
  if answer.status_code != 200:
    raise ValueError(f"the answer is {answer.status_code} {answer.reason}")
  end = time.monotonic() + _DEADLINE_S
  data = bytearray()
  while chunk := answer.raw.read1(_CHUNK):
    data += chunk
    if len(data) > most_bytes:
      raise ValueError(f"it has more than {most_bytes} bytes")
    if time.monotonic() > end:
      raise TimeoutError(f"not complete after {_DEADLINE_S:.0f} s")
  return bytes(data)
