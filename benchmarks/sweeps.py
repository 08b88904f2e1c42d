"""Times the overhead of a sweep: collecting 1,000 runs, and starting a run.

python -m benchmarks.sweeps
"""

import dataclasses
import json
import pathlib
import sys
import tempfile
import time

from vit_jax.sweeps import collect, execute, grid, state, sweep as sweep_lib

_CONFIG = str(pathlib.Path(__file__).parents[1] / "configs/digits.py")
_RUNS = 1000


def main() -> None:
  sweep = sweep_lib.Sweep(
    config=_CONFIG,
    settings=grid.product(
      grid.axis("optim.peak_lr", [1e-4 * (i + 1) for i in range(_RUNS // 10)]),
      grid.axis("seed", range(10)),
    ),
  )
  with tempfile.TemporaryDirectory() as folder:
    for i, run in enumerate(sweep.runs):
      home = state.folder(folder, run)
      home.mkdir(parents=True)
      rows = [
        {"step": step, "name": "test", "top_1": i / _RUNS, "loss": 1.0}
        for step in range(10)
      ]
      (home / "evals.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
      state.write_end(home, 0)
    start = time.perf_counter()
    collect.collect(sweep, folder)
    report("collect_1000_runs_s", time.perf_counter() - start)
  # The program ends at once, so that only the sweep's overhead is left.
  execute.command = lambda run, home: [sys.executable, "-c", ""]
  with tempfile.TemporaryDirectory() as folder:
    few = dataclasses.replace(sweep, settings=sweep.settings[:20])
    start = time.perf_counter()
    execute.execute(few, folder, say=lambda _: None)
    report("overhead_a_run_s", (time.perf_counter() - start) / len(few.runs))


def report(name: str, seconds: float) -> None:
  print(json.dumps({"benchmark": "sweeps", name: round(seconds, 3)}))


if __name__ == "__main__":
  main()
