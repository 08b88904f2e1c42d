"""The table of how far a sweep is."""

from tests.sweeps import digits
from vit_jax.sweeps import state, status, sweep as sweep_lib


def test_a_line_for_each_run_and_what_is_left(tmp_path):
  sweep = digits.sweep()
  runs = sweep.runs
  place = str(tmp_path)
  for run in runs[:3]:
    state.folder(place, run).mkdir(parents=True)
  done, failed, interrupted = (state.folder(place, run) for run in runs[:3])
  row = '{"step": 1, "name": "test", "top_1": 0.5}\n'
  (done / "evals.jsonl").write_text(row)
  state.write_end(done, 0)
  (failed / "log.txt").write_text("DataError: gone\n")
  state.write_end(failed, 1)
  (interrupted / "log.txt").write_text("step 3/10 (30%)\n")
  (tmp_path / "runs/older").mkdir()
  text, ended = status.text(sweep, place)
  lines = text.splitlines()
  assert not ended
  # States and scores begin at the same column of every line.
  assert lines[0] == (
    f"{runs[0].name}  done         test/top_1 0.5000 "
    f" {sweep_lib.setting_text(runs[0].setting)}"
  )
  assert lines[1].startswith(f"{runs[1].name}  failed{' ' * 26}data.")
  assert lines[2].startswith(f"{runs[2].name}  interrupted  3/10    ")
  assert lines[6:] == [
    "6 runs: 1 done, 1 failed, 1 interrupted, 3 waiting",
    "final runs follow once those above have ended",
    f"failed {runs[1].name}: DataError: gone (log: {failed}/log.txt)",
    "folders of runs that are not in this sweep, left alone: older",
  ]
