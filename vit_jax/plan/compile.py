"""The real train step, compiled for a slice that nobody needs to own."""

import collections
import dataclasses
import math
import re
import time

import jax

from vit_jax.core import mesh as mesh_lib
from vit_jax.plan import estimate, topology as topology_lib
from vit_jax.train import experiment as experiment_lib, setup

_COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
_BITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class Collective:
  """Exchanges of one kind in a step.

  Attributes:
    count: how many are run; one in a loop counts once a turn.
    result_bytes: of their results on one device.
    sent_bytes: what one device sends, if each goes around a ring.
  """

  count: int
  result_bytes: int
  sent_bytes: int


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What the compiler says of one device.

  Attributes:
    problem: why the step does not fit; the rest is 0 then.
    peak_bytes: the most that is alive at one time, arguments included.
    arguments_bytes: what a step is given.
    temporaries_bytes: room for all else, gaps included.
    code_bytes: of the program.
    compile_s: seconds that compiling took here.
    optimal_s: the compiler's own estimate of a step, which counts the body of
      a loop once and means something on v3 alone.
    collectives: by kind.
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
    """Whether the compiler found room for everything."""
    return not self.problem


def compile_step(
  experiment: experiment_lib.Experiment,
  inputs: experiment_lib.Inputs,
  topology: topology_lib.Topology,
) -> Compiled:
  """Compiles the config's train step for every device of the slice.

  Raises:
    ConfigError: no such slice, or a batch or parameter that cannot be split.
  """
  run = setup.build(experiment, inputs, topology.devices())
  shapes = estimate.batch_shapes(experiment, inputs)
  split = mesh_lib.batch_sharding(run.mesh)
  batch = mesh_lib.with_shardings(shapes, dict.fromkeys(shapes, split))
  lowered = run.step.lower(run.state, batch)
  start = time.perf_counter()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as e:
    if "RESOURCE_EXHAUSTED" not in str(e):
      raise
    return Compiled(problem=_first_sentence(str(e)))
  took = time.perf_counter() - start
  found = compiled.memory_analysis()
  return Compiled(
    peak_bytes=found.peak_memory_in_bytes,
    arguments_bytes=found.argument_size_in_bytes,
    temporaries_bytes=found.temp_size_in_bytes,
    code_bytes=found.generated_code_size_in_bytes,
    compile_s=took,
    optimal_s=compiled.cost_analysis().get("optimal_seconds", 0.0),
    collectives=collectives(compiled.as_text(), topology.num_devices),
  )


def _first_sentence(text: str) -> str:
  text = " ".join(text.split()).removeprefix("RESOURCE_EXHAUSTED: ")
  return re.split(r"\.(?:\s|$)", text)[0]


def collectives(hlo: str, num_devices: int) -> dict[str, Collective]:
  """Exchanges in a compiled program, by kind.

  Args:
    hlo: its text; loops say how often they turn.
    num_devices: that run it.
  """
  bodies: dict[str, str] = {}
  for block in re.split(r"\n\}", hlo):
    head = re.search(r"(?m)^(?:ENTRY )?%?([\w.\-]+) .*\{$", block)
    if head:
      bodies[head[1]] = block[head.end() :]
  entry = re.search(r"(?m)^ENTRY %?([\w.\-]+)", hlo)
  turns = _turns(bodies, entry[1] if entry else "")
  totals: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
  for name, times in turns.items():
    for kind, result, group in _exchanges(bodies[name], num_devices):
      total = totals[kind]
      total[0] += times
      total[1] += times * result
      total[2] += times * _sent(kind, result, group)
  return {k: Collective(*total) for k, total in sorted(totals.items())}


def _turns(bodies: dict[str, str], entry: str) -> dict[str, int]:
  """How often each computation is run that the program reaches."""
  turns: dict[str, int] = collections.defaultdict(int)
  todo = [(entry, 1)]
  while todo:
    name, times = todo.pop()
    if name not in bodies:
      continue
    turns[name] += times
    for line in bodies[name].splitlines():
      called = re.findall(r"(?:calls|to_apply)=%?([\w.\-]+)", line)
      loop = re.search(
        r" while\(.* condition=%?([\w.\-]+), body=%?([\w.\-]+)", line
      )
      if loop:
        # JAX's loops over a stack count from 0 to a constant.
        limit = re.findall(r"s32\[\]\S* constant\((\d+)\)", bodies[loop[1]])
        todo.append((loop[2], times * int(limit[0] if limit else 1)))
      todo += [(c, times) for c in called]
  return turns


def _exchanges(body: str, num_devices: int) -> list[tuple[str, int, int]]:
  """(kind, bytes of the result, devices that take part) of each exchange."""
  found = []
  for line in body.splitlines():
    match = re.search(rf"= (.*?) ({'|'.join(_COLLECTIVES)})(-start)?\(", line)
    if not match:
      continue
    shapes = [
      _shape_bytes(*s) for s in re.findall(r"(\w+)\[([\d,]*)\]", match[1])
    ]
    # What starts an exchange returns its operands as well.
    result = max(shapes, default=0) if match[3] else sum(shapes)
    found.append((match[2], result, _group_size(line, num_devices)))
  return found


def _shape_bytes(dtype: str, dims: str) -> int:
  bits = _BITS.search(dtype)
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
  """Bytes that a device sends around a ring of so many."""
  if kind == "collective-permute":
    return result
  share = result * (group - 1) // max(group, 1)
  return {"all-reduce": 2 * share, "reduce-scatter": result * (group - 1)}.get(
    kind, share
  )
