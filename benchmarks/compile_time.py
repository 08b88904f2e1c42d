"""Seconds to compile each recipe's real train step, and by depth.

The command `plan` compiles each row for a TPU v3 slice, in its own process,
with the compiler's usual effort and with the least (JAX's option
`jax_exec_time_optimization_effort`); rows that are already in the file are not
compiled again. The rows by depth are ViT-B/16 with 6 to 48 layers, whose blocks
are one scan.

usage: python -m benchmarks.compile_time [--only=WORD] [--out=FILE]
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "results/benchmarks/compile_time.jsonl"
TOPOLOGY = "v3:8x8"
# The compiled step does not depend on it, but schedules need a long enough run.
EXAMPLES = 303_000_000
RECIPES = (
  "vit_i1k",
  "vit_s16_i1k",
  "vit_i21k",
  "augreg",
  "vit_jft",
  "bit_i1k",
  "bit_i21k",
  "swin_i1k",
  "mobilevit_i1k",
  "transfer",
  "masked_patch_b16",
)
POD = "benchmarks/vit_pods.py:variant=B/16"
# The largest models, with the settings that make them fit.
LARGE = {
  "vit_jft.py:variant=H/14": "mesh=fsdp=8 remat=dots",
  "vit_jft.py:variant=R152x2": "remat=full",
  "vit_jft.py:variant=R50+L/16": "",
  "swin_i1k.py:variant=B": "",
}
ROWS = (
  *((f"configs/{recipe}.py", ()) for recipe in RECIPES),
  *(
    (
      f"configs/{recipe}",
      tuple(f"--config.runtime.{word}" for word in runtime.split()),
    )
    for recipe, runtime in LARGE.items()
  ),
  *((POD, (f"--config.model.depth={depth}",)) for depth in (6, 12, 24, 48)),
)
EFFORTS = (0, -1)


def compiled(config: str, overrides: tuple[str, ...], effort: int) -> dict:
  argv = [
    *(sys.executable, "-m", "vit_jax", "plan", f"--config={config}"),
    *(f"--topology={TOPOLOGY}", f"--examples={EXAMPLES}", "--format=json"),
    *overrides,
  ]
  done = subprocess.run(
    argv,
    cwd=ROOT,
    env={**os.environ, "JAX_EXEC_TIME_OPTIMIZATION_EFFORT": str(effort)},
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    return {"failed": done.stderr.strip().splitlines()[-1]}
  found = json.loads(done.stdout)["compiled"]
  if found["problem"]:
    return {"failed": found["problem"]}
  return {
    "compile_s": round(found["compile_s"], 1),
    "code_mib": round(found["code_bytes"] / 2**20, 1),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--only", default="")
  parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
  args = parser.parse_args()
  lines = args.out.read_text().splitlines() if args.out.exists() else []
  done = {
    (row["config"], row["overrides"], row["effort"])
    for row in map(json.loads, lines)
  }
  for effort, (config, overrides) in itertools.product(EFFORTS, ROWS):
    key = config, " ".join(overrides), effort
    if args.only not in config or key in done:
      continue
    row = {"config": config, "overrides": key[1], "effort": effort}
    row |= {"topology": TOPOLOGY} | compiled(config, overrides, effort)
    row["load"] = round(os.getloadavg()[0], 1)
    with args.out.open("a") as f:
      f.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
  main()
