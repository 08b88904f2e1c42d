"""Writes the JobSet of a run on GKE, for TPUs or GPUs.

    python launch/gke/render.py --name=vit --image=IMAGE --tpu=v5e \\
      --topology=4x8 -- --config=configs/x.py --workdir=gs://bucket/run \\
      | kubectl apply -f -
    python launch/gke/render.py --name=vit --image=IMAGE --hosts=2 \\
      --gpu=nvidia-h100-80gb -- --config=... --workdir=... | kubectl apply -f -

The cluster needs the JobSet controller (kubernetes-sigs/jobset), and the image
this checkout with its environment. Where the labels and sizes come from is in
docs/launch.md; the manifests never met a cluster.
"""

import argparse
import json
import math
import pathlib
import re
import string
import sys
from typing import NoReturn

TEMPLATE = pathlib.Path(__file__).with_name("jobset.yaml")
# Value of cloud.google.com/gke-tpu-accelerator, and axes of a topology, for
# slices of several hosts with four chips each.
TPUS = {
  "v3": ("tpu-v3-slice", 2),
  "v4": ("tpu-v4-podslice", 3),
  "v5e": ("tpu-v5-lite-podslice", 2),
  "v5p": ("tpu-v5p-slice", 3),
  "v6e": ("tpu-v6e-slice", 2),
}
CHIPS_PER_HOST = 4
# Where JAX's coordinator listens: on TPUs JAX chooses, on GPUs we do.
TPU_PORT, GPU_PORT = 8482, 8476


class UsageError(Exception):
  """A command line that cannot be; ends the command with exit code 2."""


class _Parser(argparse.ArgumentParser):
  def error(self, message: str) -> NoReturn:
    raise UsageError(message)


def parser() -> argparse.ArgumentParser:
  """The command line's parser."""
  top = _Parser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = top.add_argument
  add("--name", required=True, help="of the JobSet")
  add("--image", required=True, help="container image")
  add("--tpu", default="", choices=("", *TPUS), help="generation")
  add("--topology", default="", help="of the slice, such as 4x8 or 2x2x4")
  add("--gpu", default="", help="cloud.google.com/gke-accelerator of the nodes")
  add("--hosts", type=int, default=1, help="GPU nodes (1)")
  add("--gpus_per_host", type=int, default=8, help="and processes (8)")
  add("--spot", action="store_true", help="Spot VMs")
  add("--max_restarts", type=int, default=5, help="that are no preemption (5)")
  add("--directory", default="/vit_jax", help="this checkout in the image")
  add("--python", default=".venv/bin/python", help="from there")
  return top


def check(args: argparse.Namespace) -> None:
  """Refuses what the cluster would."""
  # Pods are called NAME-train-0-INDEX, and a host's name has 63 characters.
  if not re.fullmatch(r"[a-z]([a-z0-9-]{0,44}[a-z0-9])?", args.name):
    raise UsageError(
      f"--name={args.name} must be at most 46 lower-case letters, digits and"
      " dashes"
    )
  if not re.fullmatch(r"[\w./:@-]+", args.image):
    raise UsageError(f"--image={args.image} is no image")
  if bool(args.tpu) == bool(args.gpu):
    raise UsageError("say either --tpu or --gpu")
  if not re.fullmatch(r"[a-z0-9-]*", args.gpu):
    raise UsageError(f"--gpu={args.gpu} must be a label's value")
  if min(args.hosts, args.gpus_per_host) < 1 or args.max_restarts < 0:
    raise UsageError("--hosts and --gpus_per_host must be at least 1")
  if not args.arguments:
    raise UsageError(
      "what follows -- goes to `vit_jax train`; there is nothing"
    )
  if args.tpu:
    axes = TPUS[args.tpu][1]
    if not re.fullmatch(r"\d+(x\d+)" + f"{{{axes - 1}}}", args.topology):
      raise UsageError(
        f"--topology={args.topology} of {args.tpu} must have {axes} axes, such"
        f" as {'x'.join('4' * axes)}"
      )
    if tpu_hosts(args) < 1 or chips(args) % CHIPS_PER_HOST:
      raise UsageError(
        f"--topology={args.topology} has {chips(args)} chips, no multiple of"
        f" the {CHIPS_PER_HOST} of a host"
      )


def chips(args: argparse.Namespace) -> int:
  """Chips of the slice."""
  return math.prod(map(int, args.topology.split("x")))


def tpu_hosts(args: argparse.Namespace) -> int:
  """Hosts of the slice; each is one pod and one process."""
  return chips(args) // CHIPS_PER_HOST


def render(args: argparse.Namespace) -> str:
  """The manifest as YAML."""
  train = [args.python, "-m", "vit_jax", "train"]
  if args.tpu:
    nodes = {
      "cloud.google.com/gke-tpu-accelerator": TPUS[args.tpu][0],
      "cloud.google.com/gke-tpu-topology": args.topology,
    }
    hosts, per_host = tpu_hosts(args), CHIPS_PER_HOST
    resource, port, command = "google.com/tpu", TPU_PORT, train
    # All pods of the run on one node pool, which is one slice.
    annotations = {
      "alpha.jobset.sigs.k8s.io/exclusive-topology": (
        "cloud.google.com/gke-nodepool"
      )
    }
    # GKE tells each pod of a slice who the others are.
    environment = {}
  else:
    nodes = {"cloud.google.com/gke-accelerator": args.gpu}
    hosts, per_host = args.hosts, args.gpus_per_host
    resource, port, annotations = "nvidia.com/gpu", GPU_PORT, {}
    # One process a GPU: local.sh starts them in the pod.
    command = ["launch/local.sh", str(per_host), *train]
    environment = {
      "NODES": str(hosts),
      "COORDINATOR": f"{args.name}-train-0-0.{args.name}:{port}",
      "LOG_DIR": "/tmp/logs",
      "GRACE": "60",
    }
  if args.spot:
    nodes["cloud.google.com/gke-spot"] = "true"
  values = dict(
    name=args.name,
    max_restarts=args.max_restarts,
    hosts=hosts,
    resource=resource,
    per_host=per_host,
    port=port,
    image=args.image,
    directory=args.directory,
    command=command,
    arguments=args.arguments,
    node_selector=nodes,
    annotations=annotations,
    environment=[{"name": k, "value": v} for k, v in environment.items()],
  )
  # JSON is YAML that needs no further quoting.
  text = {k: json.dumps(v) for k, v in values.items()}
  for name in ("name", "resource"):
    text[name] = values[name]
  return string.Template(TEMPLATE.read_text()).substitute(text)


def main(argv: list[str]) -> int:
  """Prints the manifest; returns the exit code."""
  cut = argv.index("--") if "--" in argv else len(argv)
  try:
    args = parser().parse_args(argv[:cut])
    args.arguments = argv[cut + 1 :]
    check(args)
  except UsageError as e:
    print(f"render.py: {e} (see --help)", file=sys.stderr)
    return 2
  sys.stdout.write(render(args))
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
