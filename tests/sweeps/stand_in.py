"""Stands in for `train` where what matters is who starts, ends and waits.

A process that takes the train command's arguments, counts its starts, notes its
working directory, and scores a run by its learning rate. It fails where what it
starts from is not done. `PLAN` in the environment maps a learning rate to what
happens at its first start: "kill" (by itself, -9), "fail", "busy" (exit 75),
"wait" (until it gets SIGTERM: exit 143).
"""

import json
import os
import pathlib
import signal
import sys
import time


def main() -> int:
  flags = dict(arg[2:].split("=", 1) for arg in sys.argv[1:])
  home = pathlib.Path(flags["workdir"])
  rate = flags["config.optim.peak_lr"]
  with (home / "starts").open("a") as f:
    f.write(f"{sorted(os.sched_getaffinity(0))}\n")
  (home / "place").write_text(os.getcwd())
  fds = pathlib.Path("/proc/self/fd").iterdir()
  if any(os.path.realpath(fd) == str(home.resolve() / ".sweep") for fd in fds):
    (home / "holds").touch()
  before = flags.get("config.start.checkpoint", "")
  if before and not (pathlib.Path(before) / "evals.jsonl").exists():
    print("CheckpointError: it is not there yet", file=sys.stderr)
    return 1
  starts = len((home / "starts").read_text().splitlines())
  plan = json.loads(os.environ.get("PLAN", "{}")).get(rate, "")
  print("step 3/10 (30%)", flush=True)
  if plan == "fail":
    print("ConfigError: optim.peak_lr is odd", file=sys.stderr)
    return 2
  if starts == 1 and plan == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
  if starts == 1 and plan == "busy":
    return 75
  if starts == 1 and plan == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (home / "waits").touch()
    time.sleep(60)
  score = 1 - abs(float(rate) - 0.003)
  row = {"step": 10, "name": "test", "top_1": score, "examples": 5}
  (home / "evals.jsonl").write_text(json.dumps(row) + "\n")
  return 0


if __name__ == "__main__":
  sys.exit(main())
