"""Runs that have finished, as far as their files are read."""

import json

from vit_jax.core import config as config_lib
from vit_jax.reproduce import launch


def write(home, path, arg, top_1, **overrides):
  """The files that a run leaves, as far as they are read."""
  home.mkdir(parents=True)
  c = config_lib.load(str(launch.ROOT / path), arg, overrides)
  (home / "config.json").write_text(config_lib.to_json(c))
  (home / "metrics.jsonl").write_text('{"step": 1, "time_s": 1.0}\n')
  rows = [
    {"step": 1, "name": "test", "top_1": 0.1},
    {"step": 2, "name": "test", "top_1": top_1},
  ]
  (home / "evals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
  return home


def finetuned(folder, name, start, seed, top_1, **more):
  """A run of a sweep that fine-tunes ViT-B/16 from the run `start`."""
  args = {"variant": "B/16", "dataset": "cifar10", "checkpoint": start}
  args |= {"seed": seed, **more}
  arg = ",".join(f"{k}={v}" for k, v in args.items())
  write(folder / "sweep/runs" / name, "configs/transfer.py", arg, top_1)


def ours(page):
  return {
    (row, column): cell.ours
    for row, cells in zip(page.rows, page.cells, strict=True)
    for column, cell in zip(page.columns, cells, strict=True)
    if cell.ours
  }
