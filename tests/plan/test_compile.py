"""The collective operations of a compiled program."""

import jax
import pytest

from tests.plan import small
from vit_jax.plan import compile as compile_lib
from vit_jax.plan.topology import Topology

# As the TPU compiler writes it, shortened.
HLO = """\
HloModule jit_step, is_scheduled=true

%sum (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %add = f32[]{:T(128)} add(%x, %y)
}

%body (state: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %state = (s32[], bf16[8,128]{1,0}) parameter(0)
  %w = bf16[8,128]{1,0:T(8,128)(2,1)} get-tuple-element(%state), index=1
  %all-gather.1 = bf16[32,128]{1,0:T(8,128)(2,1)} all-gather(%w), \
channel_id=1, replica_groups=[2,4]<=[8], dimensions={0}
  ROOT %next = (s32[], bf16[8,128]{1,0}) tuple(%state)
}

%condition (state: (s32[], bf16[8,128])) -> pred[] {
  %i = s32[]{:T(256)} get-tuple-element(%state), index=0
  %turns = s32[]{:T(256)} constant(12)
  ROOT %less = pred[]{:T(1024)} compare(%i, %turns), direction=LT
}

ENTRY %main (p: bf16[8,128]) -> f32[] {
  %loop = (s32[], bf16[8,128]{1,0}) while(%start), condition=%condition, \
body=%body, metadata={op_name="jit(step)/while"}
  %all-reduce.2 = (f32[100]{0}, f32[10,10]{1,0}) all-reduce(%a, %b), \
replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%sum
  %all-reduce.3 = bf16[64]{0} all-reduce(%c), \
replica_groups=mesh['data'=2,'fsdp'=4] {'fsdp'}, to_apply=%sum
  %collective-permute-start = (bf16[16]{0}, bf16[16]{0}) \
collective-permute-start(%d), source_target_pairs={{0,1}}
  ROOT %out = f32[] constant(0)
}
"""


def test_collectives_are_counted_with_their_loops():
  found = compile_lib.collectives(HLO, 8)
  gathered = 32 * 128 * 2
  assert found == {
    "all-gather": compile_lib.Collective(
      12, 12 * gathered, 12 * gathered * 3 // 4
    ),
    "all-reduce": compile_lib.Collective(
      2, 800 + 128, 2 * 800 * 7 // 8 + 2 * 128 * 3 // 4
    ),
    "collective-permute": compile_lib.Collective(1, 32, 32),
  }


@pytest.mark.parametrize(
  ("message", "problem"),
  [
    (
      "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.1G"
      " of 15.5G hbm.\n More text.",
      "Ran out of memory in memory space hbm",
    ),
    ("INTERNAL: the compiler broke", None),
  ],
)
def test_a_step_that_does_not_fit_is_no_error(monkeypatch, message, problem):
  def compile_(self):
    raise jax.errors.JaxRuntimeError(message)

  monkeypatch.setattr(jax.stages.Lowered, "compile", compile_)
  made_up = small.planned()
  args = (made_up.experiment, made_up.inputs, Topology.parse("v3:2x2"))
  if problem is None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="broke"):
      compile_lib.compile_step(*args)
  else:
    assert compile_lib.compile_step(*args).problem == problem
