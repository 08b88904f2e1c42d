"""Writes the JobSet of a run on GKE, for TPUs or GPUs.

    python launch/gke/render.py --name=vit --image=IMAGE --tpu=v5e \\
      --topology=4x8 -- --config=configs/x.py --workdir=gs://bucket/run \\
      | kubectl apply -f -
    python launch/gke/render.py --name=vit --image=IMAGE --hosts=2 \\
      --gpu=nvidia-h100-80gb -- --config=... --workdir=... | kubectl apply -f -

The cluster needs the JobSet controller (kubernetes-sigs/jobset), and the image
must contain this checkout with its environment. docs/launch.md has the sources
of the labels and sizes; the manifests were never tried on a cluster.
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
# The label cloud.google.com/gke-tpu-accelerator, and the number of axes of a
# topology, for slices of several hosts with four chips each.
TPUS = {
  "v3": ("tpu-v3-slice", 2),
  "v4": ("tpu-v4-podslice", 3),
  "v5e": ("tpu-v5-lite-podslice", 2),
  "v5p": ("tpu-v5p-slice", 3),
  "v6e": ("tpu-v6e-slice", 2),
}
CHIPS_PER_HOST = 4
# Port of JAX's coordinator: on TPUs JAX chooses it, on GPUs we do.
TPU_PORT, GPU_PORT = 8482, 8476


class UsageError(Exception):
  """An impossible command line; ends the command with exit code 2."""


class _Parser(argparse.ArgumentParser):
  def error(self, message: str) -> NoReturn:
    raise UsageError(message)


def parser() -> argparse.ArgumentParser:
  """The parser of the command line."""
  top = _Parser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = top.add_argument
  add("--name", required=True, help="name of the JobSet")
  add("--image", required=True, help="container image")
  add("--tpu", default="", choices=("", *TPUS), help="generation")
  add("--topology", default="", help="chips of the slice, such as 4x8")
  add("--gpu", default="", help="cloud.google.com/gke-accelerator of the nodes")
  add("--hosts", type=int, default=1, help="GPU nodes (1)")
  add("--gpus_per_host", type=int, default=8, help="GPUs and processes (8)")
  add("--spot", action="store_true", help="Spot VMs")
  add("--max_restarts", type=int, default=5, help="except preemptions (5)")
  add("--directory", default="/vit_jax", help="path of the checkout")
  add("--python", default=".venv/bin/python", help="path in the checkout")
  return top


def check(args: argparse.Namespace) -> None:
  """Refuses what the cluster would refuse."""
  # Pods are called NAME-train-0-INDEX, and host names have at most 63
  # characters.
  if not re.fullmatch(r"[a-z]([a-z0-9-]{0,44}[a-z0-9])?", args.name):
    raise UsageError(
      f"--name={args.name} must be at most 46 lower-case letters, digits and"
      " dashes"
    )
  if not re.fullmatch(r"[\w./:@-]+", args.image):
    raise UsageError(f"--image={args.image} is not the name of an image")
  if bool(args.tpu) == bool(args.gpu):
    raise UsageError("give either --tpu or --gpu")
  if not re.fullmatch(r"[a-z0-9-]*", args.gpu):
    raise UsageError(f"--gpu={args.gpu} must be a label's value")
  if min(args.hosts, args.gpus_per_host) < 1 or args.max_restarts < 0:
    raise UsageError("--hosts and --gpus_per_host must be at least 1")
  if not args.arguments:
    raise UsageError("the arguments of `vit_jax train` are missing after --")
  if args.tpu:
    axes = TPUS[args.tpu][1]
    if not re.fullmatch(r"\d+(x\d+)" + f"{{{axes - 1}}}", args.topology):
      raise UsageError(
        f"--topology={args.topology} of {args.tpu} must have {axes} axes, such"
        f" as {'x'.join('4' * axes)}"
      )
    if tpu_hosts(args) < 1 or chips(args) % CHIPS_PER_HOST:
      raise UsageError(
        f"--topology={args.topology} has {chips(args)} chips, which is not"
        f" a multiple of the {CHIPS_PER_HOST} of a host"
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
    # All pods of the run are on one node pool, which is one slice.
    annotations = {
      "alpha.jobset.sigs.k8s.io/exclusive-topology": (
        "cloud.google.com/gke-nodepool"
      )
    }
    # GKE tells each pod of a slice which the others are.
    environment = {}
  else:
    nodes = {"cloud.google.com/gke-accelerator": args.gpu}
    hosts, per_host = args.hosts, args.gpus_per_host
    resource, port, annotations = "nvidia.com/gpu", GPU_PORT, {}
    # One process per GPU: local.sh starts them in the pod.
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
