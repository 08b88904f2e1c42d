"""Every config in configs/ starts, and its resolved text is on record."""

import pathlib
import re

import jax
import numpy as np
import pytest

from tests.e2e import run as cli, shrink
from vit_jax.core import (
  config as config_lib,
  errors,
  identity,
  mesh as mesh_lib,
)
from vit_jax.data import pipeline
from vit_jax.train import experiment as experiment_lib, recording, setup

CONFIGS = sorted((cli.ROOT / "configs").glob("*.py"))
GOLDEN = pathlib.Path(__file__).parents[1] / "golden/configs"
# Beside the default: arguments that choose another model or another recipe.
ARGUMENTS = {
  "augreg": ("variant=R26+S/32,data=i1k", "variant=S/16,aug=none,reg=0.1"),
  "bit_i1k": ("recipe=big_vision",),
  "bit_i21k": ("recipe=big_vision",),
  "masked_patch_b16": ("target=small_patch", "target=pixels,corrupted=0.15"),
  "mini": ("model=hybrid,stage=transfer,selecting=true",),
  "mobilevit_i1k": ("variant=XXS",),
  "swin_i1k": ("variant=B",),
  "transfer": (
    "model=hybrid,variant=R50+B/16,dataset=imagenet2012,protocol=augreg",
    "model=bit,variant=R50x1,dataset=cifar10,protocol=bit,selecting=true",
    "dataset=vtab:clevr_count,probe=true",
  ),
  "vit_i1k": ("variant=L/32,res=160",),
  "vit_i21k": ("variant=R50+B/16,epochs=30",),
  "vit_jft": ("variant=H/14", "variant=R50x1", "variant=R50+L/32,epochs=14"),
  "vit_s16_i1k": ("epochs=300,mlp_head=false",),
}
# The default, and those that compile something that no default does.
STARTED = (
  "",
  "variant=R26+S/32,data=i1k",
  "recipe=big_vision",
  "variant=R50x1",
)
CASES = [
  pytest.param(path, arg, id=f"{path.stem}:{arg}" if arg else path.stem)
  for path in CONFIGS
  for arg in ("", *ARGUMENTS.get(path.stem, ()))
]


@pytest.fixture
def quick_compile():
  """Most of a tiny run is compilation."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize(("path", "arg"), CASES)
def test_resolved_text(path, arg, golden):
  config = config_lib.load(str(path), arg)
  name = re.sub(r"[^\w=+]+", "_", f"{path.stem}_{arg}" if arg else path.stem)
  golden(GOLDEN / f"{name}.json", config_lib.to_json(config) + "\n")


@pytest.mark.parametrize(("path", "arg"), CASES)
def test_round_trip(path, arg):
  """Dataclasses -> ConfigDict -> dataclasses is the identity."""
  config = config_lib.load(str(path), arg)
  experiment = config_lib.build(experiment_lib.Experiment, config)
  again = config_lib.to_config_dict(experiment)
  assert config_lib.build(experiment_lib.Experiment, again) == experiment


@pytest.mark.parametrize(("path", "arg"), CASES)
def test_a_small_run_changes_sizes_alone(path, arg, tmp_path):
  whole = config_lib.load(str(path), arg)
  small = config_lib.load(str(path), arg, shrink.overrides(whole, tmp_path))
  whole, small = identity.leaves(whole), identity.leaves(small)
  assert whole.keys() == small.keys()
  for key in [k for k in whole if whole[k] != small[k]]:
    assert any(re.fullmatch(p, key) for p in shrink.MAY_CHANGE), key
    if key.endswith("preprocess"):
      assert shrink.same_ops(whole[key], small[key]), key
    else:
      # What is on stays on.
      assert whole[key] or key == "runtime.data_dir", key


def prepare(path, arg, folder):
  """The small run on one device, which compiles faster than eight."""
  config = config_lib.load(str(path), arg)
  config = config_lib.load(str(path), arg, shrink.overrides(config, folder))
  experiment = config_lib.build(experiment_lib.Experiment, config)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs, jax.devices()[:1])
  batches = pipeline.train_batches(
    inputs.train,
    experiment.data.train.preprocess,
    batch_size=shrink.BATCH,
    seed=0,
    num_steps=2,
  )
  return run, [
    {k: v for k, v in batches[i].items() if k != "id"} for i in range(2)
  ]


@pytest.mark.parametrize(
  ("path", "arg"), [c for c in CASES if c.values[1] in STARTED]
)
def test_two_steps(path, arg, tmp_path, quick_compile):
  """The recipe as it is, with a small model and small images."""
  run, batches = prepare(path, arg, tmp_path)
  state = run.init()
  for batch in batches:
    state, metrics = run.step(state, mesh_lib.put_batch(run.mesh, batch))
    assert all(map(np.isfinite, recording.fetch(metrics).values())), metrics
  assert metrics["l2_updates"] > 0
  # Evaluators that differ in their split alone would compile the same again.
  evaluators = {
    str({**vars(c), "data": c.data.preprocess}): run.evaluators[name]
    for name, c in run.experiment.evals.items()
  }
  for evaluator in evaluators.values():
    score = evaluator(run.task.evaluated(state.variables()))
    assert score["examples"] == shrink.EXAMPLES
    assert all(np.isfinite(value) for value in score.values())


@pytest.mark.parametrize(
  ("path", "arg"), [c for c in CASES if c.values[1] not in STARTED]
)
def test_the_step_is_traced(path, arg, tmp_path):
  """What compiles like a default is not compiled again."""
  run, batches = prepare(path, arg, tmp_path)
  state, metrics = jax.eval_shape(run.step, run.state, batches[0])
  assert jax.tree.structure(state) == jax.tree.structure(run.state)
  assert metrics["loss"].shape == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_an_unknown_argument_is_refused(path):
  with pytest.raises(errors.ConfigError, match="unknown config argument"):
    config_lib.load(str(path), "sede=1")


@pytest.mark.parametrize(
  ("name", "arg", "says"),
  [
    ("augreg", "data=i22k", "data=i22k is not one of: i21k, i1k"),
    ("augreg", "variant=H/14", "variant=H/14 is not one of: L/16"),
    ("augreg", "aug=medium3", "unknown augmentation preset medium3"),
    ("bit_i1k", "recipe=papr", "did you mean paper"),
    ("bit_i21k", "recipe=papr", "did you mean paper"),
    (
      "masked_patch_b16",
      "target=colour",
      "target=colour is not one of: mean_colour, small_patch, pixels",
    ),
    ("mobilevit_i1k", "variant=M", "variant=M is not one of: S, XS, XXS"),
    ("swin_i1k", "variant=L", "variant=L is not one of: T, S, B"),
    ("vit_i1k", "variant=Q/16", "unknown variant Q/16"),
    ("vit_i21k", "variant=R51+B/16", "unknown variant R51"),
    ("vit_jft", "variant=B/8", "variant=B/8 is not one of: B/32"),
    ("vit_s16_i1k", "epochs=many", "'many' is not a int"),
  ],
)
def test_what_a_recipe_does_not_have_is_refused(name, arg, says):
  with pytest.raises(errors.ConfigError) as e:
    config_lib.load(str(cli.ROOT / f"configs/{name}.py"), arg)
  assert says in str(e.value)
