"""Small experiments and their runs."""

from vit_jax.reproduce import run_small

EXTRA = {"runtime.data_dir": "here"}


def runs_of(one):
  sweep = one.sweep(EXTRA)
  return sweep, sweep.runs


def run(one, folder, workers=4):
  return run_small.run(
    one,
    str(folder / "runs"),
    str(folder / "out"),
    data_dir="here",
    workers=workers,
    say=lambda _: None,
  )
