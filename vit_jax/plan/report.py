"""Plans: what a run needs on a slice, as a record and as text."""

from collections.abc import Iterator
import dataclasses
import textwrap
from typing import Any

from vit_jax.core import config as config_lib
from vit_jax.plan import (
  compile as compile_lib,
  estimate,
  flops,
  inputs as inputs_lib,
  search,
  topology as topology_lib,
)
from vit_jax.train import setup

_GIB = 2**30
# At most this many settings that should fit are compiled.
_TRIES = 3
# TPUv3-core-days, images seen and data set, by (width, depth, patch) of a ViT:
# Tables 2 and 3 of arXiv:2010.11929. JFT-300M has 303 million images, and
# ImageNet-21k 14.2 million.
_PAPER = {
  (1280, 32, 14): ((2500, 14 * 303e6, "JFT-300M, 14 epochs"),),
  (1024, 24, 16): (
    (680, 14 * 303e6, "JFT-300M, 14 epochs"),
    (230, 90 * 14.2e6, "ImageNet-21k, 90 epochs"),
  ),
}
_V3_FLOPS_PER_S = topology_lib.Topology("v3", (1, 1)).chip.flops_per_s
_DAY_S = 86400


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a run needs on a slice.

  Attributes:
    topology, devices, batch_size, runtime: what was planned.
    parameters: number of parameters, over all devices.
    flops_per_image: operations of the forward pass.
    hbm_bytes: memory of a device that a program may use.
    needs: what one device needs, in closed form.
    compiled: what the compiler says; None if there is no compiler.
    limits_s: seconds of a step if only one thing limits it, by that thing.
    step_s: the largest of them, a lower bound of a step's time.
    images_per_s: images per second at `step_s`.
    steps: length of the run; 0 if unknown.
    core_days: devices x days at `step_s`; 0 if unknown.
    paper: what the paper's runs took, and their share of the peak rate.
    source: where the chip's figures are from.
    fit: the plan with the fewest changes that fits, if this one does not.
    notes: what is missing in the plan, and why.
  """

  topology: str
  devices: int
  batch_size: int
  runtime: str
  parameters: int
  flops_per_image: float
  hbm_bytes: int
  needs: estimate.Estimate
  compiled: compile_lib.Compiled | None
  limits_s: dict[str, float]
  step_s: float
  images_per_s: float
  steps: int
  core_days: float
  paper: tuple[str, ...]
  source: str
  fit: "Plan | None"
  notes: tuple[str, ...]

  @property
  def fits(self) -> bool:
    """By the compiler if there is one, else by the estimate."""
    if self.compiled:
      return self.compiled.fits
    return self.needs.peak_bytes * search.MARGIN < self.hbm_bytes


class Planner:
  """Plans one config for any number of slices."""

  def __init__(self, planned: inputs_lib.Planned):
    self.planned = planned
    self.estimator = estimate.Estimator(planned.experiment, planned.inputs)

  def __call__(self, topology: topology_lib.Topology) -> Plan:
    """The plan for a slice; if it does not fit, with the nearest that does.

    Raises:
      ConfigError: there is no such slice, or the batch or a parameter cannot be
        split over it.
    """
    experiment = self.planned.experiment
    devices = topology.num_devices
    if experiment.runtime.mesh.auto:
      mesh = search.auto_mesh(self.estimator, devices, topology.chip.hbm_bytes)
      experiment = search.with_runtime(experiment, mesh=mesh)
    plan = self._plan(experiment, topology)
    if plan.fits:
      return plan
    ways = search.nearest(self.estimator, devices, topology.chip)
    for way in ways[:_TRIES]:
      fit = self._plan(way.experiment, topology)
      if fit.fits:
        return dataclasses.replace(plan, fit=fit)
    note = "no values of mesh, remat and microbatches were found that fit"
    return dataclasses.replace(plan, notes=(*plan.notes, note))

  def _plan(self, experiment: Any, topology: topology_lib.Topology) -> Plan:
    chip, devices = topology.chip, topology.num_devices
    inputs = self.planned.inputs
    needs = self.estimator(experiment, devices)
    compiled, notes = None, []
    if topology_lib.compiler_available():
      compiled = compile_lib.compile_step(experiment, inputs, topology)
    else:
      notes.append(
        "closed forms only: the TPU compiler is not installed"
        " (pip install vit_jax[plan])"
      )
    limits = needs.times(chip)
    if compiled and compiled.fits:
      sent = sum(c.sent_bytes for c in compiled.collectives.values())
      limits["communication"] = sent / chip.ici_bytes_per_s
    step_s = max(limits.values())
    steps = self.planned.steps
    if not steps:
      notes.append(
        "core-days unknown: the data set is not here and its size is not"
        " published; give it with --examples=N"
      )
    model = setup.make_model(experiment)
    flops_per_image = flops.of_model(model, inputs.image_shape)
    return Plan(
      topology=str(topology),
      devices=devices,
      batch_size=experiment.data.batch_size,
      runtime=_runtime_text(experiment),
      parameters=self.estimator.parameters,
      flops_per_image=flops_per_image,
      hbm_bytes=chip.hbm_bytes,
      needs=needs,
      compiled=compiled,
      limits_s=limits,
      step_s=step_s,
      images_per_s=experiment.data.batch_size / step_s,
      steps=steps,
      core_days=devices * steps * step_s / _DAY_S,
      paper=tuple(_paper(experiment.model, flops_per_image)),
      source=chip.source,
      fit=None,
      notes=tuple(notes),
    )


def _runtime_text(experiment: Any) -> str:
  """The values of `runtime` that a plan depends on."""
  r = experiment.runtime
  return (
    f"mesh={r.mesh} remat={r.remat} microbatches={r.microbatches}"
    f" unroll={r.unroll}"
  )


def _paper(model: Any, flops_per_image: float) -> Iterator[str]:
  """What the paper's runs of this model took."""
  fields: Any = config_lib.to_config_dict(model)
  if not {"width", "depth", "patch_size"} <= set(fields):
    return
  key = (fields["width"], fields["depth"], fields["patch_size"][0])
  for days, images, what in _PAPER.get(key, ()):
    # The backward pass costs twice the forward pass.
    least = 3 * flops_per_image * images / _V3_FLOPS_PER_S / _DAY_S
    yield (
      f"{days:,} TPUv3-core-days for {what} (Table 2, arXiv:2010.11929);"
      f" {least:,.0f} at the peak, so it used {least / days:.2f} of it"
    )


def text(plan: Plan) -> str:
  """A plan as text."""
  verdict = "fits" if plan.fits else "does not fit"
  needs, chip_gib = plan.needs, plan.hbm_bytes / _GIB
  lines = [
    f"{plan.topology}: {verdict}",
    f"  {plan.devices:,} devices, batch {plan.batch_size:,}, {plan.runtime}",
    f"  parameters         {plan.parameters:,}",
    f"  FLOPs              {plan.flops_per_image / 1e9:,.2f} G per image"
    f" (forward), {needs.flops / 1e12:,.3f} T per device and step",
    f"  bytes per device   of {chip_gib:.2f} GiB, closed form:",
    *(
      f"    {name:<16} {_mib(value)}"
      for name, value in (
        ("parameters", needs.parameters_bytes),
        ("optimiser", needs.optimizer_bytes),
        ("other state", needs.other_bytes),
        ("batch", needs.batch_bytes),
        ("activations", needs.activations_bytes),
        ("peak", needs.peak_bytes),
      )
    ),
    *_compiled_lines(plan.compiled),
    *_time_lines(plan),
    *(f"  paper              {entry}" for entry in plan.paper),
    *(f"  note               {note}" for note in plan.notes),
  ]
  if plan.fit:
    lines.append("  the nearest plan that fits:")
    lines.append(textwrap.indent(text(plan.fit), "  "))
  return "\n".join(lines)


def _mib(size: float) -> str:
  return f"{size / 2**20:10,.0f} MiB"


def _compiled_lines(compiled: compile_lib.Compiled | None) -> Iterator[str]:
  if not compiled:
    return
  if not compiled.fits:
    yield f"    compiler: {compiled.problem}"
    return
  yield f"    compiler, in {compiled.compile_s:.0f} s:"
  for name, value in (
    ("arguments", compiled.arguments_bytes),
    ("temporaries", compiled.temporaries_bytes),
    ("code", compiled.code_bytes),
    ("peak", compiled.peak_bytes),
  ):
    yield f"    {name:<16} {_mib(value)}"
  for kind, total in compiled.collectives.items():
    yield (
      f"  {kind:<18} {total.count:,} per step, results of"
      f" {_mib(total.result_bytes).strip()}, {_mib(total.sent_bytes).strip()}"
      " sent per device"
    )
  if compiled.optimal_s > 0:
    yield (
      f"  compiler's time    {compiled.optimal_s * 1e3:.2f} ms, bodies of loops"
      " counted once"
    )


def _time_lines(plan: Plan) -> Iterator[str]:
  limits = ", ".join(f"{k} {v * 1e3:.2f} ms" for k, v in plan.limits_s.items())
  yield f"  step, at least     {plan.step_s * 1e3:.2f} ms ({limits})"
  yield f"  images/s, at most  {plan.images_per_s:,.0f}"
  if plan.steps:
    yield (
      f"  core-days, least   {plan.core_days:,.1f} for {plan.steps:,} steps"
      " (devices x days)"
    )
  yield f"  chip's figures     {plan.source}"


def record(plan: Plan) -> dict[str, Any]:
  """A plan as a record for JSON."""
  fit = record(plan.fit) if plan.fit else None
  fields = dataclasses.asdict(dataclasses.replace(plan, fit=None))
  return {**fields, "fits": plan.fits, "fit": fit}
