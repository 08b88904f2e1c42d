"""Plans of the paper's models on TPU slices, by the command `plan`.

Each row of `ROWS` is compiled in its own process, on any machine, and saved in
results/benchmarks/plans.jsonl; rows that are already there are not compiled
again. Then docs/pod_plans.md is written from the file.

usage: python -m benchmarks.plan_table [--only=WORD] [--write_only]
"""

import argparse
import json
import pathlib
import subprocess
import sys

from benchmarks import compile_time

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "results/benchmarks/plans.jsonl"
PAGE = ROOT / "docs/pod_plans.md"
# Config of ViTs; hybrids and ResNets use configs/vit_jft.py.
PODS = "benchmarks/vit_pods.py"
JFT = ("--config=configs/vit_jft.py:variant={}", "--examples=303_000_000")
MIB, GIB = 2**20, 2**30
_MEASURED = ("compile_s", "code_mib", "load")

# Model, slice, runtime.
ROWS = (
  ("B/16", "v3:4x4", "remat=dots microbatches=2"),
  ("L/16", "v3:16x16", "remat=dots mesh=fsdp=8"),
  ("H/14", "v3:16x32", "remat=dots mesh=fsdp=8"),
  ("G/14", "v3:16x32", "remat=dots"),
  ("B/16", "v4:2x4x4", "remat=dots"),
  ("B/16", "v5e:4x8", "remat=dots"),
  ("L/16", "v4:4x4x8", "remat=dots mesh=fsdp=8"),
  ("L/16", "v5e:16x16", "remat=dots mesh=fsdp=8"),
  ("H/14", "v4:8x8x8", "remat=dots mesh=fsdp=8"),
  ("H/14", "v5e:16x16", "remat=dots mesh=fsdp=8"),
  ("B/16", "v3:4x4", "remat=dots"),
  ("B/16", "v3:4x4", "remat=dots mesh=fsdp=8"),
  ("H/14", "v3:16x32", "remat=dots"),
  ("L/16", "v3:16x16", "remat=dots"),
  ("B/16", "v3:4x4", "remat=none"),
  ("B/16", "v5p:2x4x4", "remat=dots"),
  ("B/16", "v6e:4x8", "remat=dots"),
  ("B/16", "v3:4x4", "remat=dots unroll=0"),
  ("B/16", "v3:4x4", "remat=none unroll=0"),
  ("L/16", "v3:16x16", "remat=none unroll=0 mesh=fsdp=8"),
  ("B/32", "v3:8x8", "remat=none"),
  ("L/32", "v3:8x8", "remat=dots"),
  ("R50+B/16", "v3:8x8", "remat=dots"),
  ("R50+L/16", "v3:8x8", "remat=dots mesh=fsdp=8"),
  ("R50x1", "v3:8x8", "remat=none"),
  ("R152x2", "v3:8x8", "remat=full"),
)
# big_vision's step of the same models, compiled by the same compiler.
PEERS = {
  ("B/16", "v3:4x4"): dict(peak_mib=8107, tflop=13.602, optimal_s=0.320),
  ("L/16", "v3:16x16"): dict(peak_mib=4340, tflop=2.983, optimal_s=0.0816),
}


def command(model: str, topology: str, runtime: str) -> list[str]:
  config = (f"--config={PODS}:variant={model}",)
  if model.startswith("R"):
    config = (JFT[0].format(model), JFT[1])
  fields = [f"--config.runtime.{item}" for item in runtime.split()]
  plan = ("python", "-m", "vit_jax", "plan")
  return [*plan, *config, f"--topology={topology}", *fields]


def run(key: tuple[str, str, str]) -> dict:
  argv = [sys.executable, *command(*key)[1:], "--format=json"]
  done = subprocess.run(
    argv, cwd=ROOT, capture_output=True, text=True, check=False
  )
  if done.returncode:
    sys.exit(f"{' '.join(argv)}\n{done.stderr}")
  return {"key": key, "plan": json.loads(done.stdout)}


def read() -> dict[tuple[str, str, str], dict]:
  lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
  rows = [json.loads(line) for line in lines]
  return {tuple(row["key"]): row["plan"] for row in rows}


def peak(plan: dict) -> int:
  """Peak memory by the closed form."""
  return sum(
    value
    for name, value in plan["needs"].items()
    if name.endswith("_bytes") and name not in ("moved_bytes", "sent_bytes")
  )


def cells(key: tuple[str, str, str], plan: dict) -> list[str]:
  model, topology, runtime = key
  found, estimate = plan["compiled"], peak(plan)
  out = [model, topology, runtime, f"{plan['hbm_bytes'] / GIB:.1f}"]
  if found["problem"]:
    out += [f"{estimate / MIB:,.0f}", f"does not fit: {found['problem']}", ""]
  else:
    by = found["peak_bytes"]
    out += [
      f"{estimate / MIB:,.0f}",
      f"{by / MIB:,.0f}",
      f"{estimate / by:.2f}",
    ]
  sent = sum(c["sent_bytes"] for c in found["collectives"].values())
  return [
    *out,
    f"{plan['needs']['flops'] / 1e12:.2f}",
    f"{sent / 1e9:.2f}",
    f"{plan['step_s'] * 1e3:.1f}",
    f"{plan['images_per_s']:,.0f}",
    f"{plan['core_days']:,.0f}",
  ]


def table(head: list[str], rows: list[list[str]]) -> str:
  lines = [head, ["---"] * len(head), *rows]
  return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(plans: dict) -> str:
  head = [
    *("model", "slice", "runtime", "HBM GiB", "closed form MiB"),
    *("compiler MiB", "ratio", "TFLOP", "GB sent", "step ms", "images/s"),
    "core-days",
  ]
  known = [(key, plans[key]) for key in ROWS if key in plans]
  rows = [cells(key, plan) for key, plan in known]
  fits = [
    f"- {k[0]} on {k[1]}, {k[2]}: {p['fit']['runtime']}, peak"
    f" {p['fit']['compiled']['peak_bytes'] / MIB:,.0f} MiB by the compiler"
    for k, p in known
    if p["fit"]
  ]
  paper = sorted({f"- {k[0]}: {e}" for k, p in known for e in p["paper"]})
  example = " ".join(command(*ROWS[0]))
  return TEXT.format(
    table=table(head, rows),
    peers=table(*beside_peers(known)),
    fits="\n".join(fits),
    paper="\n".join(paper),
    seconds=table(*seconds()),
    example=example,
  )


def beside_peers(known: list) -> tuple[list[str], list[list[str]]]:
  head = [
    *("model", "slice", "runtime", "peak MiB", "of big_vision's"),
    *("TFLOP", "of big_vision's", "compiler's seconds", "big_vision's"),
  ]
  rows = []
  for (model, topology, runtime), plan in known:
    peer, found = PEERS.get((model, topology)), plan["compiled"]
    if not peer or found["problem"]:
      continue
    peak_mib = found["peak_bytes"] / MIB
    tflop = plan["needs"]["flops"] / 1e12
    # The compiler counts the body of a loop once.
    seconds = f"{found['optimal_s']:.4f}" if "unroll=0" in runtime else ""
    rows.append(
      [
        *(model, topology, runtime, f"{peak_mib:,.0f}"),
        f"{peak_mib / peer['peak_mib']:.2f}",
        f"{tflop:.2f}",
        f"{tflop / peer['tflop']:.3f}",
        *(seconds, str(peer["optimal_s"])),
      ]
    )
  return head, rows


def seconds() -> tuple[list[str], list[list[str]]]:
  """Header and rows from the file that `benchmarks.compile_time` writes."""
  lines = compile_time.RESULTS.read_text().splitlines()
  found = {
    (row["config"], row["overrides"], row["effort"]): row
    for row in map(json.loads, lines)
  }
  rows = []
  for config, fields in compile_time.ROWS:
    overrides = " ".join(fields)
    line = [config, overrides.replace("--config.", "")]
    for effort in compile_time.EFFORTS:
      row = found.get((config, overrides, effort))
      line += [f"{row[n]:.1f}" for n in _MEASURED] if row else [""] * 3
    rows.append(line)
  head = ["config", ""]
  for effort in compile_time.EFFORTS:
    head += [f"seconds, effort {effort}", "code MiB", "load"]
  return head, rows


TEXT = """\
# Plans for pods

Written by `python -m benchmarks.plan_table` from
[plans.jsonl](../results/benchmarks/plans.jsonl); each row is the command

    {example}

with another model, slice and runtime: the real train step (global batch 4096,
224 px, class token, pre-logits, 21,843 sigmoid outputs, Adam with a bfloat16
first moment, bfloat16 computation; hybrids and ResNets as in
configs/vit_jft.py), compiled by libtpu 0.0.42 without the slice. Nothing was
run on a TPU: bytes are the compiler's, times are the best that the chip's
published peaks allow. Figures are for one device as JAX counts them (a v3 chip
has two). "ratio" is the closed form's peak over the compiler's; the search
allows for 10 %. The closed form assumes loops: for unrolled steps without
recomputation it is too high, because it counts what the compiler recomputes on
its own.

{table}

Rows that do not fit, and the nearest change that fits, verified by compiling:

{fits}

## Compared with big_vision

big_vision's step with the same model, batch, heads and optimiser, unrolled and
with replicated parameters, takes with the same compiler 8,107 MiB and 13.6
TFLOP for B/16, 4,340 MiB and 2.98 TFLOP for L/16. TFLOP are counted from
shapes, including recomputation; the compiler's own seconds are meaningful only
for unrolled steps.

{peers}

## Compared with the paper

{paper}

## Seconds to compile

Each recipe's step for v3:8x8 on two CPU cores, by `python -m
benchmarks.compile_time`; the load is that of the machine, including the
compiler. The blocks of a ViT are one scan, so the time does not grow with
depth; for ResNets it does (docs/log.md). Effort is
`JAX_EXEC_TIME_OPTIMIZATION_EFFORT` in the environment, 0 when it is not set; -1
takes a sixth to three quarters of the time, which is useful for trying things
out. The compiler's own estimate of a step hardly changes with it; what it costs
on a chip was not measured.

{seconds}
"""


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--only", default="", help="rows that contain this")
  parser.add_argument("--write_only", action="store_true")
  args = parser.parse_args()
  plans = read()
  for key in ROWS:
    chosen = args.only in " ".join(key) and not args.write_only
    if chosen and key not in plans:
      row = run(key)
      with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
      print(" ".join(key), flush=True)
  PAGE.write_text(page(read()))


if __name__ == "__main__":
  main()
