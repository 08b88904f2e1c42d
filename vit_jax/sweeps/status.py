"""Where a sweep stands, as a table."""

import collections

from vit_jax.sweeps import state as state_lib, sweep as sweep_lib

_STAGES = {"start": "before: ", "first": "", "final": "final: "}


def text(
  sweep: sweep_lib.Sweep, runs: list[sweep_lib.Run], workdir: str
) -> tuple[str, bool]:
  """A line for each run, counts, errors; and whether every run has ended."""
  found = state_lib.all_of(sweep, runs, workdir)
  lines = []
  for run, status in found:
    score = status.scores.get(sweep.metric)
    shown = f"{sweep.metric} {score:.4f}" if score is not None else ""
    lines.append(
      [
        run.name,
        status.state,
        status.progress or shown,
        _STAGES[run.stage] + sweep_lib.shown(run.setting),
      ]
    )
  widths = [max(len(line[i]) for line in lines) for i in range(3)]
  table = [
    "  ".join(
      [*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[3]]
    )
    for line in lines
  ]
  counts = collections.Counter(status.state for _, status in found)
  summary = ", ".join(f"{n} {state}" for state, n in counts.items())
  table.append(f"{len(found)} runs: {summary}")
  if sweep.final and all(run.stage != "final" for run, _ in found):
    table.append("final runs follow once those above have ended")
  table += [
    f"failed {run.name}: {status.error} (log:"
    f" {state_lib.folder(workdir, run)}/log.txt)"
    for run, status in found
    if status.state == "failed"
  ]
  others = state_lib.strangers(workdir, [run for run, _ in found])
  if others:
    table.append(
      f"not of this sweep as it is now, and left alone: {', '.join(others)}"
    )
  return "\n".join(table), set(counts) <= {"done", "failed"}
