"""The train step lowers for CUDA on a machine without a GPU."""

import jax
from jax import export
import jax.numpy as jnp

from tests.e2e import tiny
from vit_jax.core import config as config_lib, mesh as mesh_lib
from vit_jax.train import experiment as experiment_lib, setup


def test_step_lowers_for_cuda():
  synthetic = {
    "name": "synthetic:64x8x8x1x10",
    "preprocess": "value_range(-1, 1)",
  }
  config = config_lib.load(
    tiny.__file__,
    "",
    {
      **{f"data.train.{k}": v for k, v in synthetic.items()},
      **{f"evals.test.data.{k}": v for k, v in synthetic.items()},
      "runtime.mesh": "data=2,fsdp=2,tensor=2",
      "model.dtype": "bfloat16",
    },
  )
  experiment = config_lib.build(experiment_lib.Experiment, config)
  run = setup.build(experiment, experiment_lib.open_inputs(experiment))
  size, shape = experiment.data.batch_size, run.inputs.image_shape
  rows = mesh_lib.batch_sharding(run.mesh)
  batch = {
    "image": jax.ShapeDtypeStruct((size, *shape), jnp.uint8, sharding=rows),
    "label": jax.ShapeDtypeStruct((size,), jnp.int32, sharding=rows),
  }
  exported = export.export(run.step, platforms=["cuda"])(run.state, batch)
  assert exported.platforms == ("cuda",)
  text = exported.mlir_module()
  assert 'sdy.mesh @mesh = <["data"=2, "fsdp"=2, "tensor"=2]>' in text
  assert "stablehlo.dot_general" in text
  assert "xbf16>" in text
