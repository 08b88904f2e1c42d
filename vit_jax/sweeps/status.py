"""The state of a sweep, as a table."""

import collections

from vit_jax.sweeps import state as state_lib, sweep as sweep_lib

_STAGES = {"start": "before: ", "first": "", "final": "final: "}


def text(sweep: sweep_lib.Sweep, workdir: str) -> tuple[str, bool]:
  """A line for each run, counts, errors; and whether every run has ended."""
  known = state_lib.statuses(sweep, workdir)
  rows = []
  for run, status in known:
    score = status.scores.get(sweep.metric)
    result = f"{sweep.metric} {score:.4f}" if score is not None else ""
    setting = _STAGES[run.stage] + sweep_lib.setting_text(run.setting)
    rows.append((run.name, status.state, status.progress or result, setting))
  a, b, c, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
  lines = [f"{w:{a}}  {x:{b}}  {y:{c}}  {z}" for w, x, y, z in rows]
  counts = collections.Counter(status.state for _, status in known)
  summary = ", ".join(f"{n} {state}" for state, n in counts.items())
  lines.append(f"{len(known)} runs: {summary}")
  if sweep.final and all(run.stage != "final" for run, _ in known):
    lines.append("final runs follow once those above have ended")
  lines += [
    f"failed {run.name}: {status.error} (log:"
    f" {state_lib.folder(workdir, run)}/log.txt)"
    for run, status in known
    if status.state == "failed"
  ]
  others = state_lib.unknown_folders(workdir, known)
  if others:
    lines.append(
      "folders of runs that are not in this sweep, left alone:"
      f" {', '.join(others)}"
    )
  return "\n".join(lines), all(status.ended for _, status in known)
