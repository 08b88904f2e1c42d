"""The folder of a run, with the files that its analysis reads."""

import json

from vit_jax.checkpoints import manifest

PROVENANCE = {"devices": "8 x TPU v3", "versions": {"jax": "0.10.2"}}


def write(home, *, lr=0.1, losses=(4.0, 2.0, 1.0, 0.5), model="vit"):
  """A run of batches of 64 that was resumed after two steps."""
  home.mkdir(parents=True)
  config = {"model": {"name": model}, "data": {"batch_size": 64},
            "optim": {"peak_lr": lr, "tuple": [1, 2]}}  # fmt: skip
  (home / "config.json").write_text(json.dumps(config))
  rows = [
    {"step": i + 1, "loss": loss, "learning_rate": lr, "time_s": time_s}
    for i, (loss, time_s) in enumerate(
      zip(losses, (2.0, 4.0, 1.0, 5.0), strict=True)
    )
  ]
  text = "\n".join(map(json.dumps, rows)) + "\n"
  # A crash has cut the last line off.
  (home / "metrics.jsonl").write_text(text + '{"step": 5, "lo')
  evals = [
    {"step": s, "name": "test", "top_1": s / 8, "a_std": 0.25, "examples": 100}
    for s in (2, 4)
  ]
  (home / "evals.jsonl").write_text("\n".join(map(json.dumps, evals)) + "\n")
  saved = home / "checkpoints" / "4"
  saved.mkdir(parents=True)
  (saved / "commit_success.txt").write_text("")
  meta = {"provenance": PROVENANCE}
  manifest.write(saved, {"step": 4, "meta": meta, "arrays": {}})
  return str(home)
