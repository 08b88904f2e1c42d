"""Trains on a TPU slice: creates it, installs, runs, resumes and deletes it.

    python launch/tpu_vm.py train --name=vit --zone=europe-west4-a \\
      --type=v3-32 --spot -- --config=configs/x.py --workdir=gs://bucket/run

A slice that is preempted is created again, and the same command resumes from
the last checkpoint, so the workdir has to outlive the machines: gs:// or a
network disk. The last commit of this checkout is sent to the workers.

`--dry_run` prints every command and runs none. It needs gcloud, git and
Python's standard library; the commands were checked against gcloud's reference
(docs/launch.md), but never run on Google Cloud.
"""

import argparse
import dataclasses
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
from typing import NoReturn

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = "vit_jax"
WORKER = f"{FOLDER}/launch/tpu_worker.sh"
# Runtime version of each generation: cloud.google.com/tpu/docs/runtimes.
RUNTIMES = {
  "v2": "tpu-ubuntu2204-base",
  "v3": "tpu-ubuntu2204-base",
  "v4": "tpu-ubuntu2204-base",
  "v5litepod": "v2-alpha-tpuv5-lite",
  "v5p": "v2-alpha-tpuv5",
  "v6e": "v2-alpha-tpuv6e",
}
# States of a queued resource and of a node, by what to do; in all others, wait.
READY = {"ACTIVE", "READY"}
GONE = {"SUSPENDED", "PREEMPTED", "TERMINATED"}
BROKEN = {"FAILED", "STOPPED", "HIDDEN", "UNKNOWN"}
# Exit codes of `vit_jax train` (see docs/launch.md).
USAGE, SAVED, INTERRUPTED = 2, 143, 130


class Failure(Exception):
  """An error that ends the command with one line."""

  def __init__(self, message: str, code: int = 1):
    super().__init__(message)
    self.code = code


def usage(message: str) -> Failure:
  """The error for an impossible command line."""
  return Failure(f"{message} (see --help)", USAGE)


@dataclasses.dataclass
class Slice:
  """One TPU slice, controlled through gcloud.

  Attributes:
    args: the command line.
    exists: whether a dry run assumes that the slice exists.
  """

  args: argparse.Namespace
  exists: bool = False

  def gcloud(self, group: str, *words: str) -> list[str]:
    """`gcloud compute tpus GROUP WORDS...` in this slice's zone."""
    command = ["gcloud", "compute", "tpus", group, *words]
    command.append(f"--zone={self.args.zone}")
    if self.args.project:
      command.append(f"--project={self.args.project}")
    return [*command, "--quiet"]

  @property
  def group(self) -> str:
    return "tpu-vm" if self.args.direct else "queued-resources"

  def call(self, command: list[str]) -> None:
    """Runs a command, or only prints it."""
    print(f"$ {shlex.join(command)}", flush=True)
    if not self.args.dry_run:
      done = subprocess.run(command, cwd=ROOT, check=False)
      if done.returncode:
        raise Failure(f"{command[0]} failed with exit code {done.returncode}")

  def state(self) -> str:
    """Google's name of the slice's state; "" if there is no slice."""
    field = "state" if self.args.direct else "state.state"
    command = self.gcloud(self.group, "describe", self.args.name)
    command.append(f"--format=value({field})")
    if self.args.dry_run:
      print(f"$ {shlex.join(command)}")
      return "ACTIVE" if self.exists else ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      if "NOT_FOUND" in done.stderr:
        return ""
      lines = done.stderr.strip().splitlines() or ["no reason given"]
      raise Failure(f"gcloud describe: {lines[-1]}")
    return done.stdout.strip()

  def create(self) -> None:
    args = self.args
    runtime = args.runtime or RUNTIMES[args.type.partition("-")[0]]
    words = ["create", args.name, f"--accelerator-type={args.type}"]
    if args.direct:
      words.append(f"--version={runtime}")
    else:
      words += [f"--node-id={args.name}", f"--runtime-version={runtime}"]
      if args.valid_until:
        words.append(f"--valid-until-duration={args.valid_until}")
    words += ["--spot"] * args.spot + ["--internal-ips"] * args.internal_ip
    self.call(self.gcloud(self.group, *words))
    self.exists = True

  def delete(self) -> None:
    force = [] if self.args.direct else ["--force"]
    self.call(self.gcloud(self.group, "delete", self.args.name, *force))

  def wait(self) -> None:
    """Creates the slice if there is none, and waits until it is ready."""
    told = ""
    while (state := self.state()) not in READY:
      if state in BROKEN:
        raise Failure(
          f"{self.args.name} is {state}: see `gcloud compute tpus {self.group}"
          f" describe {self.args.name}`, then delete it"
        )
      if state in GONE:
        self.delete()
      elif not state:
        self.create()
      else:
        if state != told:
          print(f"{self.args.name} is {state}", flush=True)
        told = state
        time.sleep(self.args.poll_s)

  def ssh(self, *words: str) -> list[str]:
    """A command for all workers at once."""
    return self.gcloud(
      "tpu-vm",
      "ssh",
      self.args.name,
      "--worker=all",
      # A lost machine is noticed within two minutes.
      "--ssh-flag=-oServerAliveInterval=30",
      "--ssh-flag=-oServerAliveCountMax=4",
      *["--internal-ip"] * self.args.internal_ip,
      f"--command={shlex.join(words)}",
    )

  def install(self) -> None:
    """Sends the last commit and installs it on every worker."""
    if not self.args.dry_run and changed():
      print("uncommitted changes are not sent", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
      bundle = f"{'TMP' if self.args.dry_run else folder}/{FOLDER}.bundle"
      self.call(["git", "bundle", "create", "--quiet", bundle, "HEAD"])
      self.call(
        self.gcloud(
          "tpu-vm",
          "scp",
          bundle,
          f"{self.args.name}:",
          "--worker=all",
          *["--internal-ip"] * self.args.internal_ip,
        )
      )
    steps = (
      f"git init --quiet {FOLDER}",
      f"git -C {FOLDER} fetch --quiet ../{FOLDER}.bundle HEAD",
      f"git -C {FOLDER} checkout --quiet FETCH_HEAD",
      f"{WORKER} install",
    )
    self.call(self.ssh("bash", "-c", " && ".join(steps)))

  def train(self, arguments: list[str]) -> list[int]:
    """Trains on all workers and shows their logs; returns their exit codes."""
    command = self.ssh(WORKER, "train", *arguments)
    print(f"$ {shlex.join(command)}", flush=True)
    if self.args.dry_run:
      return [0]
    codes = []
    with subprocess.Popen(
      command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
      assert process.stdout is not None
      for line in process.stdout:
        print(line, end="", flush=True)
        match = re.search(r"vit_jax on \S+: exit code (\d+)$", line.strip())
        if match:
          codes.append(int(match[1]))
    # If ssh was cut off, its worker's exit code is missing.
    return [*codes, process.returncode]


def changed() -> bool:
  """Whether this checkout has uncommitted changes."""
  command = ["git", "status", "--porcelain", "--untracked-files=no"]
  return bool(subprocess.check_output(command, cwd=ROOT))


def attempt(tpu: Slice) -> list[int]:
  """Installs and trains on a slice that may disappear at any moment."""
  try:
    tpu.install()
  except Failure as e:
    print(e, file=sys.stderr)
    return [e.code]
  return tpu.train(tpu.args.arguments)


def train(tpu: Slice) -> None:
  """Trains to the end, on as many slices as that takes."""
  failures = 0
  while True:
    tpu.wait()
    codes = attempt(tpu)
    if not any(codes):
      break
    if USAGE in codes:
      raise Failure("the run refused its config or arguments; see above", USAGE)
    if SAVED in codes or tpu.state() not in READY:
      print(f"{tpu.args.name}: preempted; the same command resumes", flush=True)
      continue
    failures += 1
    if failures > tpu.args.max_failures:
      raise Failure(
        f"the run failed {failures} times although the slice was there (exit"
        f" codes {sorted(set(codes))}); {tpu.args.name} still exists, delete it"
      )
    # Google reports lost machines only after a while.
    time.sleep(tpu.args.poll_s)
  if not tpu.args.keep:
    tpu.delete()


def create(tpu: Slice) -> None:
  """Creates the slice and installs, without training."""
  tpu.wait()
  tpu.install()


def status(tpu: Slice) -> None:
  """Prints the state of the slice."""
  print(tpu.state() or "there is no slice", flush=True)


def stop(tpu: Slice) -> None:
  """Makes a run save and end."""
  tpu.call(tpu.ssh(WORKER, "stop"))


COMMANDS = {
  "train": train,
  "create": create,
  "status": status,
  "stop": stop,
  "delete": Slice.delete,
}
# Rules for values that gcloud would refuse after minutes, or a shell could take
# for a command.
PATTERNS = {
  "name": (r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "letters, digits and dashes"),
  "zone": (r"[a-z]+-[a-z]+\d+-[a-z]", "a zone such as europe-west4-a"),
  "project": (r"|[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project id"),
  "type": (
    rf"({'|'.join(RUNTIMES)})-[1-9]\d*",
    f"one of {', '.join(RUNTIMES)}, a dash and a number, such as v3-32",
  ),
  "runtime": (r"|[a-z0-9][a-z0-9.-]*", "a runtime version"),
  "valid_until": (r"|\d+[smhd]", "a duration such as 6h"),
}


class _Parser(argparse.ArgumentParser):
  def error(self, message: str) -> NoReturn:
    raise usage(message)


def parser() -> argparse.ArgumentParser:
  """The parser of the command line."""
  top = _Parser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = top.add_argument
  add("command", choices=COMMANDS)
  add("--name", required=True, help="name of the slice and of its request")
  add("--zone", required=True)
  add("--project", default="", help="(gcloud's default)")
  add("--type", default="v3-8", help="accelerator type, such as v3-32 (v3-8)")
  add("--runtime", default="", help="(the usual one of the generation)")
  add("--spot", action="store_true", help="cheaper, may be preempted")
  add("--direct", action="store_true", help="a VM now or an error; no queue")
  add("--valid_until", default="", help="how long to queue, such as 6h")
  add("--internal_ip", action="store_true", help="no external addresses")
  add("--keep", action="store_true", help="do not delete after the run")
  add("--max_failures", type=int, default=3, help="except preemptions (3)")
  add("--poll_s", type=float, default=60.0, help="between checks (60)")
  add("--dry_run", action="store_true", help="only print commands")
  return top


def check(args: argparse.Namespace) -> None:
  """Refuses what cannot work, before anything costs money."""
  for name, (pattern, rule) in PATTERNS.items():
    if not re.fullmatch(pattern, getattr(args, name)):
      raise usage(f"--{name}={getattr(args, name)} must be {rule}")
  if args.direct and args.valid_until:
    raise usage("--valid_until is for the queue, not for --direct")
  if (args.command == "train") != bool(args.arguments):
    raise usage(
      "train needs arguments for `vit_jax train` after --; the other commands"
      " take none"
    )
  workdirs = [a for a in args.arguments if a.startswith("--workdir=")]
  if args.command == "train" and not re.match(
    r"--workdir=(gs://|/)\w", "".join(workdirs)
  ):
    raise usage(
      "the workdir has to outlive the machines: --workdir=gs://BUCKET/RUN, or"
      " an absolute path on a disk that all workers mount"
    )


def main(argv: list[str]) -> int:
  """Runs one command; returns the exit code."""
  try:
    cut = argv.index("--") if "--" in argv else len(argv)
    args = parser().parse_args(argv[:cut])
    args.arguments = argv[cut + 1 :]
    check(args)
    COMMANDS[args.command](Slice(args))
  except Failure as e:
    print(f"tpu_vm.py: {e}", file=sys.stderr)
    return e.code
  except FileNotFoundError as e:
    print(f"tpu_vm.py: {e.filename} is not installed", file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print(
      "\ntpu_vm.py: the run continues; the same command joins it, stop ends it,"
      " delete deletes the slice",
      file=sys.stderr,
    )
    return INTERRUPTED
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
