"""Fetching from a real server that answers in every wrong way."""

import itertools
import time

import pytest

from tests import server
from vit_jax.core import errors
from vit_jax.data import manifest
from vit_jax.datasets import fetch

NO_ADAPTER = "No connection adapters were found for"
OK = (200, {}, b"image")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
  monkeypatch.setattr(fetch, "_PAUSE_S", 0.01)
  monkeypatch.setattr(fetch, "_TIMEOUT_S", 0.2)
  monkeypatch.setattr(fetch, "_DEADLINE_S", 0.3)
  for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "all_proxy"):
    monkeypatch.delenv(name, raising=False)


def slowly():
  for _ in itertools.repeat(0, 40):
    time.sleep(0.1)
    yield b"x"


def endless():
  while True:
    yield bytes(2**20)


def late():
  time.sleep(1.0)
  yield b"x"


# By path: answers, what the error says ("" where there is none), requests.
CASES = {
  "/ok": (OK, "", 1),
  "/led": ((302, {"Location": "/ok"}, b""), "", 1),
  "/bad luck": ([(503, {}, b""), (500, {}, b""), OK], "", 3),
  "/cut once": ([(200, {"Content-Length": "9"}, b"im"), OK], "", 2),
  "/gone": ((410, {}, b""), "the answer is 410 Gone", 1),
  "/never": ((503, {}, b""), "the answer is 503 Service Unavailable", 3),
  "/large": ((200, {}, bytes(2000)), "it has more than 1000 bytes", 1),
  "/cut": ((200, {"Content-Length": "9"}, b"im"), "IncompleteRead", 3),
  "/drips": ((200, {}, slowly), "not complete after 0 s", 3),
  "/late": ((200, {}, late), "timed out", 3),
  "/spills": ((302, {"Location": "/ok"}, endless), "", 1),
  "/file": (
    (302, {"Location": "file:///etc/passwd"}, b""),
    NO_ADAPTER,
    1,
  ),
  "/ftp": (
    (302, {"Location": "ftp://127.0.0.1/x"}, b""),
    NO_ADAPTER,
    1,
  ),
  "/circle": ((302, {"Location": "/circle"}, b""), "Exceeded 30 redirects", 31),
}


@pytest.mark.parametrize("path", CASES)
def test_answers(path):
  answer, said, count = CASES[path]
  place = path.replace(" ", "%20")
  if isinstance(answer, tuple) and callable(answer[2]):
    answer = [(*answer[:2], answer[2]()) for _ in range(3)]
  if isinstance(answer, list):
    answer = [*answer]
  with server.serve({place: answer, "/ok": OK}) as (url, asked):
    if not said:
      assert fetch.fetch(url + place) == b"image"
    else:
      with pytest.raises(errors.DataError) as caught:
        fetch.fetch(url + place, 1000)
      assert str(caught.value).startswith(f"{url}{place} cannot be fetched: ")
      assert said in str(caught.value)
    assert not count or asked.count(place) == count


def test_nobody_is_there():
  with server.serve({}) as (url, _):
    pass
  with pytest.raises(errors.DataError, match="Connection refused"):
    fetch.fetch(f"{url}/x")


@pytest.mark.parametrize(
  "url",
  [
    "file:///etc/passwd",
    "ftp://a/b",
    "data:,x",
    "http://",
    "a.jpg",
    "http://[::1",
  ],
)
def test_no_url(url):
  assert not manifest.is_url(url)
  with pytest.raises(errors.DataError, match="cannot be fetched"):
    fetch.fetch(url)


def test_urls():
  assert manifest.is_url("https://example.org/a.jpg")
  assert manifest.is_url("http://127.0.0.1:80/a b.jpg")
