"""What long work prints on the way."""

from vit_jax.data import progress


def test_progress_says_how_long_still(monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  said = progress.Progress("written", 1000)
  said.add(100)
  now[0] = 10.0
  said.add(100)
  said.add(100)
  assert (
    capsys.readouterr().err == "written 200 of 1,000 images, 20/s, 0:40 left\n"
  )
