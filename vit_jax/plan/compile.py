"""Compiles the real train step for a slice, without the slice."""

import collections
from collections.abc import Iterator
import dataclasses
import math
import re
import time
from typing import Any

import jax

from vit_jax.core import memory as memory_lib, mesh as mesh_lib
from vit_jax.plan import estimate, topology as topology_lib
from vit_jax.train import experiment as experiment_lib, setup

_COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)


@dataclasses.dataclass(frozen=True)
class Collective:
  """The collective operations of one kind in a step.

  Attributes:
    count: how many are run; one in a loop counts once per iteration.
    result_bytes: size of their results on one device.
    sent_bytes: what one device sends if each goes around a ring.
  """

  count: int
  result_bytes: int
  sent_bytes: int


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What the compiler says about one device.

  Attributes:
    problem: why the step does not fit, with zeros below; "" if it fits.
    peak_bytes: the most memory in use at one time, arguments included.
    arguments_bytes: size of the step's arguments.
    temporaries_bytes: memory for everything else, gaps included.
    code_bytes: size of the program.
    compile_s: seconds that compiling took here.
    optimal_s: the compiler's own estimate of a step's time. It counts the body
      of a loop once, and is meaningful on v3 only.
    collectives: collective operations by kind.
  """

  problem: str = ""
  peak_bytes: int = 0
  arguments_bytes: int = 0
  temporaries_bytes: int = 0
  code_bytes: int = 0
  compile_s: float = 0.0
  optimal_s: float = 0.0
  collectives: dict[str, Collective] = dataclasses.field(default_factory=dict)

  @property
  def fits(self) -> bool:
    """Whether everything has room in the memory."""
    return not self.problem


def compile_step(
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
  topology: topology_lib.Topology,
) -> Compiled:
  """Compiles the config's train step for every device of the slice.

  Raises:
    ConfigError: there is no such slice, or the batch or a parameter cannot be
      split over it.
  """
  run = setup.build(experiment, inputs, topology.devices())
  shapes = estimate.batch_shapes(experiment, inputs)
  split = mesh_lib.batch_sharding(run.mesh)
  batch = mesh_lib.with_shardings(shapes, dict.fromkeys(shapes, split))
  step: Any = run.step
  lowered = step.lower(run.state, batch)
  start = time.perf_counter()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as e:
    problem = memory_lib.exhausted(e)
    if not problem:
      raise
    return Compiled(problem=problem)
  compile_s = time.perf_counter() - start
  memory = compiled.memory_analysis()
  return Compiled(
    peak_bytes=memory.peak_memory_in_bytes,
    arguments_bytes=memory.argument_size_in_bytes,
    temporaries_bytes=memory.temp_size_in_bytes,
    code_bytes=memory.generated_code_size_in_bytes,
    compile_s=compile_s,
    optimal_s=compiled.cost_analysis().get("optimal_seconds", 0.0),
    collectives=collectives(compiled.as_text(), topology.num_devices),
  )


def collectives(hlo: str, num_devices: int) -> dict[str, Collective]:
  """The collective operations, by kind, of a program that devices run."""
  bodies: dict[str, str] = {}
  for block in re.split(r"\n\}", hlo):
    head = re.search(r"(?m)^(?:ENTRY )?%?([\w.\-]+) .*\{$", block)
    if head:
      bodies[head[1]] = block[head.end() :]
  entry = re.search(r"(?m)^ENTRY %?([\w.\-]+)", hlo)
  runs = _runs(bodies, entry[1] if entry else "")
  totals: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
  for name, times in runs.items():
    for kind, result, group in _collectives(bodies[name], num_devices):
      total = totals[kind]
      total[0] += times
      total[1] += times * result
      total[2] += times * _sent(kind, result, group)
  return {k: Collective(*total) for k, total in sorted(totals.items())}


def _runs(bodies: dict[str, str], entry: str) -> dict[str, int]:
  """How often each computation of the program is run."""
  runs: dict[str, int] = collections.defaultdict(int)
  todo = [(entry, 1)]
  while todo:
    name, times = todo.pop()
    if name not in bodies:
      continue
    runs[name] += times
    for line in bodies[name].splitlines():
      called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
      loop = re.search(
        r" while\(.* condition=%?([\w.\-]+), body=%?([\w.\-]+)", line
      )
      if loop:
        # Loops that JAX writes count from 0 to a constant.
        limit = re.findall(r"s32\[\]\S* constant\((\d+)\)", bodies[loop[1]])
        todo.append((loop[2], times * int(limit[0] if limit else 1)))
      todo += [(c, times) for c in called]
  return runs


def _collectives(body: str, num_devices: int) -> Iterator[tuple[str, int, int]]:
  """(kind, bytes of the result, size of the group) of each collective."""
  for line in body.splitlines():
    match = re.search(rf"= (.*?) ({'|'.join(_COLLECTIVES)})(-start)?\(", line)
    if not match:
      continue
    shapes = [
      _shape_bytes(*s) for s in re.findall(r"(\w+)\[([\d,]*)\]", match[1])
    ]
    # An asynchronous start returns the operands as well.
    result = max(shapes, default=0) if match[3] else sum(shapes)
    yield match[2], result, _group_size(line, num_devices)


def _shape_bytes(dtype: str, dims: str) -> int:
  bits = re.search(r"\d+", dtype)
  size = int(bits[0]) // 8 if bits else 1
  return max(size, 1) * math.prod(int(d) for d in dims.split(",") if d)


def _group_size(line: str, num_devices: int) -> int:
  mesh = re.search(r"replica_groups=mesh\[(.*?)\]\s*\{(.*?)\}", line)
  if mesh:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    axes = re.findall(r"'(\w+)'", mesh[2])
    return math.prod(int(sizes[a]) for a in axes)
  iota = re.search(r"replica_groups=\[\d+,(\d+)\]", line)
  listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
  if iota:
    return int(iota[1])
  return len(listed[1].split(",")) if listed else num_devices


def _sent(kind: str, result: int, group: int) -> int:
  """Bytes that each device of a group sends around the group's ring."""
  if kind == "collective-permute":
    return result
  if kind == "reduce-scatter":
    return result * (group - 1)
  share = result * (group - 1) // max(group, 1)
  return 2 * share if kind == "all-reduce" else share
