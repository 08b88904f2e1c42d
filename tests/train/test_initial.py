"""Training that starts from a checkpoint: features, head, frozen parameters."""

import jax
import numpy as np
import pytest

from tests.e2e import tiny
from vit_jax import checkpoints
from vit_jax.core import config as config_lib, errors, tree
from vit_jax.models import vit
from vit_jax.nn import posemb_resize
from vit_jax.train import experiment as experiment_lib, initial, loop, setup

OLD = vit.Config(
  num_classes=7,
  image_size=(8, 8),
  patch_size=(4, 4),
  width=16,
  depth=2,
  num_heads=2,
  mlp_dim=32,
  posemb="learned_1d",
)
# How each format's own code resizes positions.
FORMATS = {
  "orbax": "linear",
  "npz": "linear",
  "timm": "bicubic",
  "hf": "bicubic_no_antialias",
}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
  """Parameters away from zero, and files of them by format."""
  model = vit.Model(OLD)
  x = jax.random.uniform(jax.random.key(1), (2, 8, 8, 1))
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: 0.2 * rng.standard_normal(leaf.shape).astype("f4"), shapes
  )
  folder = tmp_path_factory.mktemp("old")
  files = {}
  for name in FORMATS:
    files[name] = str(folder / name) + (".npz" if name == "npz" else "")
    save(files[name], model, params, name)
  return params, files


def save(file, model, params, to):
  loaded = checkpoints.Loaded(
    model, params, {}, "orbax", checkpoints.Report(()), "value_range(-1, 1)"
  )
  checkpoints.save(loaded, to, file)


def run_of(checkpoint, data_dir, **changes):
  """A run at twice the resolution and with ten classes."""
  c = tiny.get_config("steps=3,dropout=0")
  for key in ("data.train", "evals.test.data"):
    split = config_lib.parent_of(c, f"{key}.preprocess")
    split.preprocess = "decode(1)|resize(16)|value_range(-1, 1)"
  c.model.image_size = (16, 16)
  c.optim.schedule.warmup = "1 steps"
  c.start.checkpoint = checkpoint
  c.runtime.data_dir = str(data_dir)
  c.runtime.mesh = "data=2,fsdp=2,tensor=2"
  for key, value in changes.items():
    config_lib.parent_of(c, key.replace("__", "."))[key.split("__")[-1]] = value
  experiment = config_lib.build(experiment_lib.Experiment, c)
  inputs = experiment_lib.open_inputs(experiment)
  return c, setup.build(experiment, inputs)


def first_state(run):
  return initial.state(run, initial.load(run.experiment, run.inputs))


@pytest.mark.parametrize("name", FORMATS)
def test_features_are_those_of_resizing_by_hand(old, data_dir, name):
  params, files = old
  _, run = run_of(files[name], data_dir)
  state = first_state(run)
  table = params["posemb"]["table"]
  by_hand = {
    **{k: v for k, v in params.items() if k != "head"},
    "posemb": {
      "table": np.concatenate(
        [
          table[:1],
          posemb_resize.resize(table[1:], (2, 2), (4, 4), FORMATS[name]),
        ]
      )
    },
  }
  large = vit.Model(
    vit.Config(**{**vars(OLD), "image_size": (16, 16), "num_classes": 0})
  )
  x = jax.random.uniform(jax.random.key(2), (4, 16, 16, 1))
  expected = large.apply({"params": by_hand}, x)["pre_logits"]
  found = run.model.apply({"params": state.params}, x)
  np.testing.assert_allclose(
    found["pre_logits"], expected, rtol=1e-5, atol=1e-5
  )
  assert not np.asarray(state.params["head"]["kernel"]).any()
  assert not np.asarray(state.params["head"]["bias"]).any()
  # Averages begin with the same parameters, in arrays of their own.
  for ours, average in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(state.ema), strict=True
  ):
    np.testing.assert_array_equal(ours, average)
    assert ours is not average
  wanted = jax.tree.map(lambda x: x.sharding, run.state)
  assert jax.tree.map(lambda x: x.sharding, state) == wanted


def test_the_head_is_kept_on_request(old, data_dir):
  params, files = old
  fields = dict(start__new_head=False, model__num_classes=10)
  _, run = run_of(files["npz"], data_dir, **fields)
  assert not np.asarray(first_state(run).params["head"]["kernel"]).any()
  ten = vit.Model(vit.Config(**{**vars(OLD), "num_classes": 10}))
  head = {"kernel": np.ones((16, 10), "f4"), "bias": np.ones(10, "f4")}
  file = files["npz"] + "10.npz"
  save(file, ten, {**params, "head": head}, "npz")
  _, run = run_of(file, data_dir, **fields)
  kept = first_state(run).params["head"]
  np.testing.assert_array_equal(kept["kernel"], head["kernel"])
  _, run = run_of(file, data_dir)
  assert not np.asarray(first_state(run).params["head"]["kernel"]).any()


def test_frozen_parameters_stay_bit_identical(old, data_dir, tmp_path):
  """A linear probe: three steps move the head alone."""
  _, files = old
  c, run = run_of(
    files["timm"],
    data_dir,
    optim__frozen=(r"(?!head/).*",),
    optim__clip_norm=0.0,
  )
  before = tree.flatten(jax.tree.map(np.asarray, first_state(run).params))
  loop.train(c, str(tmp_path))
  after = checkpoints.load(tmp_path)
  for name, value in tree.flatten(after.params).items():
    same = np.array_equal(value, before[name])
    assert same != name.startswith("head/"), name


def test_the_layout_is_taken_where_it_is_named(old, data_dir):
  _, files = old
  _, run = run_of(files["npz"], data_dir, start__layout="vision_transformer")
  assert first_state(run).params["posemb"]["table"].shape == (17, 16)
  _, run = run_of(files["npz"], data_dir, start__layout="bit")
  with pytest.raises(errors.CheckpointError, match=r"not of bit \(bit\)"):
    first_state(run)


def test_wrong_starts(old, data_dir):
  with pytest.raises(errors.ConfigError, match="new_head=False has no effect"):
    experiment_lib.Start(new_head=False)
  with pytest.raises(errors.ConfigError, match="layout=timm has no effect"):
    experiment_lib.Start(layout="timm")
  with pytest.raises(errors.ConfigError, match="did you mean timm"):
    experiment_lib.Start(checkpoint="x", layout="tim")
  _, run = run_of("/nowhere.npz", data_dir)
  with pytest.raises(
    errors.CheckpointError, match=r"/nowhere\.npz does not ex"
  ):
    first_state(run)
  _, files = old
  _, run = run_of(files["npz"], data_dir, model__width=32)
  with pytest.raises(errors.CheckpointError, match=r"\(2, 16, 32\)|shape"):
    first_state(run)


def masked_patch(data_dir, checkpoint=""):
  """The config of a run without labels, and the run."""
  c = tiny.get_config("steps=2,dropout=0,task=masked_patch")
  c.model.patch_size = (4, 4)
  c.optim.schedule.warmup = "1 steps"
  c.start.checkpoint = checkpoint
  c.runtime.data_dir = str(data_dir)
  experiment = config_lib.build(experiment_lib.Experiment, c)
  return c, setup.build(experiment, experiment_lib.open_inputs(experiment))


TASKS_OWN = ["task/mask", "task/prediction/bias", "task/prediction/kernel"]


def test_a_run_of_masked_patches_is_fine_tuned(data_dir, tmp_path, capsys):
  """Its encoder is taken, what predicted the patches is left and named."""
  c, _ = masked_patch(data_dir)
  loop.train(c, str(tmp_path))
  loaded = checkpoints.load(tmp_path)
  assert sorted(loaded.report.dropped) == TASKS_OWN
  _, run = run_of(str(tmp_path), data_dir)
  capsys.readouterr()
  state = first_state(run)
  said = f"dropped {', '.join(TASKS_OWN)}, head of zeros"
  assert said in capsys.readouterr().err
  ours, theirs = tree.flatten(state.params), tree.flatten(loaded.params)
  assert ours.keys() - theirs.keys() == {"head/bias", "head/kernel"}
  assert not np.asarray(ours["head/kernel"]).any()
  for name in theirs.keys() - {"posemb/table"}:
    np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_masked_patches_may_start_from_any_weights(old, data_dir):
  """What the task adds to the model is drawn."""
  params, files = old
  _, run = masked_patch(data_dir, files["timm"])
  state, drawn = first_state(run), run.init()
  for params_of in ("params", "ema"):
    ours = tree.flatten(getattr(state, params_of))
    for name, value in tree.flatten(params).items():
      if not name.startswith("head/"):
        np.testing.assert_allclose(ours.pop(name), value, atol=1e-7)
    assert sorted(ours) == TASKS_OWN
    fresh = tree.flatten(getattr(drawn, params_of))
    for name, value in ours.items():
      np.testing.assert_array_equal(value, fresh[name])
