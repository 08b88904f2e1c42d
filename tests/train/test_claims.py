"""One run at a time in a folder of a bucket."""

import threading
import time

import pytest

from vit_jax.core import errors, storage
from vit_jax.train import claims

LOCK = "run/.lock"


@pytest.fixture
def home(bucket, monkeypatch):
  monkeypatch.setattr(claims, "_RENEW_S", 0.05)
  monkeypatch.setattr(claims, "_DEAD_S", 0.6)
  return storage.path("gs://bucket/run")


def until(true):
  for _ in range(1000):
    if true():
      return
    time.sleep(0.01)
  pytest.fail("it did not come to that within 10 s")


def test_a_claim_is_renewed_and_released(bucket, home):
  with claims.leased(home) as lease:
    first = bucket.objects[LOCK]
    until(lambda: bucket.objects[LOCK] != first)
    lease.check()
  assert not bucket.objects


def test_a_second_run_is_refused(bucket, home, capsys):
  with (
    claims.leased(home),
    pytest.raises(errors.StorageError, match=r"in use by process \d+ on "),
    claims.leased(home),
  ):
    pass
  assert "is claimed by process" in capsys.readouterr().err
  assert not bucket.objects


def test_the_claim_of_a_dead_run_is_taken_after_a_while(bucket, home):
  bucket.write(LOCK, b'{"host": "gone", "process": 7}')
  with claims.leased(home) as lease:
    lease.check()
    assert b"gone" not in bucket.read(LOCK)
  assert not bucket.objects


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b'{"host": 1}'])
def test_a_claim_that_nobody_understands_is_a_claim(bucket, home, text):
  bucket.write(LOCK, text)
  with claims.leased(home):
    pass
  assert not bucket.objects


def test_two_that_start_at_once_are_one(bucket, home, monkeypatch):
  """Both see that nobody is there; the bucket lets one of them create."""
  both = threading.Barrier(2)
  read = storage.BucketPath.read

  def slow(path):
    result = read(path)
    both.wait(10)
    return result

  monkeypatch.setattr(storage.BucketPath, "read", slow)
  ends = []

  def start():
    try:
      claims.Lease(home)
      ends.append("got it")
    except errors.StorageError as e:
      ends.append(str(e))

  threads = [threading.Thread(target=start) for _ in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert sorted(ends) == [
    "got it",
    "workdir=gs://bucket/run is in use by another run that started just now;"
    " wait for it or use another workdir",
  ]


def test_a_run_that_has_been_replaced_writes_nothing_more(bucket, home):
  with claims.leased(home) as lease:
    bucket.write(LOCK, b"theirs")
    until(lambda: lease._lost)
    with pytest.raises(errors.StorageError, match="another run has taken it"):
      lease.check()
  assert bucket.read(LOCK) == b"theirs"


def test_a_run_that_does_not_know_yet_releases_nothing(
  bucket, home, monkeypatch
):
  monkeypatch.setattr(claims, "_RENEW_S", 60)
  with claims.leased(home):
    bucket.write(LOCK, b"theirs")
  assert bucket.read(LOCK) == b"theirs"


def test_a_run_that_cannot_renew_stops_as_well(home, monkeypatch):
  with claims.leased(home) as lease:
    lease.check()
    monkeypatch.setattr(claims, "_DEAD_S", 0.0)
    with pytest.raises(errors.StorageError, match="could not be renewed for"):
      lease.check()
