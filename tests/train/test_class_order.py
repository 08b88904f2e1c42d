"""A class is the same class whatever its number: names say which it is."""

import itertools

import jax
import numpy as np
import pytest

from tests.data import trees
from tests.e2e import run as cli
from vit_jax import checkpoints
from vit_jax.core import config as config_lib, errors
from vit_jax.data import class_names
from vit_jax.models import vit
from vit_jax.train import evaluate, experiment, initial, loop, setup

NAMES = ("ant", "bee", "cat")
ORDERS = tuple(itertools.permutations(NAMES))
RGB = "decode|value_range(-1.0, 1.0)"


def write(path, order, count=4, names=NAMES):
  """Images of each class, listed so that the classes have this order."""
  made = {
    f"{n}{i}": trees.png(k, i)
    for k, n in enumerate(names)
    for i in range(count)
  }
  trees.write(path, {f"{name}.png": data for name, data in made.items()})
  rows = "".join(f"{name}.png,{name[:3]}\n" for name in made)
  (path / "list.csv").write_text(f"path,label\n{rows}")
  (path / "classes.txt").write_text("\n".join(order) + "\n")
  return f"folder:{path / 'list.csv'}"


def config(data, classes=3, preprocess=RGB, **fields):
  """A run of two steps that is trained and scored on the same images."""
  return config_lib.load(
    cli.TINY,
    "steps=2,dropout=0",
    {
      "model.num_classes": classes,
      "data.batch_size": 8,
      "data.train.name": data,
      "data.train.preprocess": preprocess,
      "optim.schedule.warmup": "1 steps",
      "evals.test.data.name": data,
      "evals.test.data.split": "train",
      "evals.test.data.preprocess": preprocess,
      "runtime.mesh": "data=8",
      **fields,
    },
  )


def loaded(labels=NAMES, channels=3, preprocess=RGB):
  """A model whose logits differ much, with names for its classes."""
  model = vit.Model(
    vit.Config(
      num_classes=3,
      image_size=(8, 8),
      patch_size=(4, 4),
      width=16,
      depth=2,
      num_heads=2,
      mlp_dim=32,
    )
  )
  images = jax.ShapeDtypeStruct((1, 8, 8, channels), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: rng.standard_normal(x.shape).astype("f4"), shapes
  )
  report = checkpoints.Report(())
  return checkpoints.Loaded(
    model, params, {}, "orbax", report, preprocess, labels
  )


def save(path, to, **fields):
  checkpoints.save(loaded(**fields), to, path)
  return str(path)


@pytest.fixture(scope="module", autouse=True)
def _quick():
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("to", ["orbax", "timm", "hf"])
def test_any_order_of_classes_has_the_same_score(tmp_path, to):
  saved = save(tmp_path / to, to)
  scores = {}
  for order in ORDERS:
    data = write(tmp_path / "-".join(order), order)
    scores[order] = evaluate.evaluate(saved, config(data))["test"]
  assert scores[NAMES]["examples"] == 12
  assert all(score == scores[NAMES] for score in scores.values())
  # It is the names that tell: by number alone the scores differ.
  alone = save(tmp_path / "nameless", "orbax", labels=())
  by_number = [
    evaluate.evaluate(alone, config(f"folder:{path}"))["test"]["loss"]
    for path in sorted(tmp_path.glob("*-*-*/list.csv"))
  ]
  assert len(set(by_number)) == len(ORDERS)


def test_a_run_is_scored_in_any_order(tmp_path):
  """Also by an evaluator that runs while it is trained."""
  data = write(tmp_path / "data", NAMES)
  inside = loop.train(config(data), str(tmp_path / "run"))["test"]
  for order in ORDERS[1::2]:
    other = write(tmp_path / "-".join(order), order)
    found = evaluate.evaluate(str(tmp_path / "run"), config(other))["test"]
    assert found == pytest.approx(inside, 1e-6)
    fields = {"evals.test.data.name": other}
    again = loop.train(config(data, **fields), str(tmp_path / order[0]))["test"]
    assert again == inside


@pytest.mark.parametrize("to", ["orbax", "timm"])
def test_other_classes_are_not_scored(tmp_path, to):
  saved = save(tmp_path / to, to)
  names = ("ant", "bee", "gnu")
  data = write(tmp_path / "data", names, names=names)
  with pytest.raises(errors.ConfigError) as caught:
    evaluate.evaluate(saved, config(data))
  assert str(caught.value) == (
    f"evals.test.data.name={data} has other classes than checkpoint={saved}: it"
    " alone has 'gnu' (1 of 3 names) and it lacks 'cat' (1 of 3 names);"
    f" {class_names.REMEDY}"
  )


def test_without_names_labels_are_numbers_which_is_said(tmp_path, capsys):
  saved = save(tmp_path / "run", "orbax", labels=())
  evaluate.evaluate(saved, config(write(tmp_path / "data", NAMES)))
  assert capsys.readouterr().err.count("are not known") == 1


def first_params(c):
  built = config_lib.build(experiment.Experiment, c)
  inputs = experiment.open_inputs(built)
  run = setup.build(built, inputs)
  return initial.state(run, initial.load(built, inputs)).params


def start(saved, data, **fields):
  fields = {f"start.{k}": v for k, v in fields.items()}
  return config(data, **{"start.checkpoint": saved, **fields})


@pytest.mark.parametrize("to", ["orbax", "hf"])
def test_a_head_that_is_kept_follows_the_names(tmp_path, to):
  saved = save(tmp_path / to, to)
  head = loaded().params["head"]
  for order in ORDERS[2:4]:
    data = write(tmp_path / "-".join(order), order)
    params = first_params(start(saved, data, new_head=False))
    columns = [NAMES.index(name) for name in order]
    for name in ("kernel", "bias"):
      kept = np.asarray(params["head"][name])
      np.testing.assert_array_equal(kept, head[name][..., columns])


def test_a_head_of_other_classes_is_not_kept(tmp_path):
  saved = save(tmp_path / "run", "orbax")
  names = ("ant", "bee", "gnu")
  data = write(tmp_path / "data", names, names=names)
  message = r"than start\.checkpoint=.*lacks 'cat'.*leave start\.new_head=True"
  with pytest.raises(errors.ConfigError, match=message):
    first_params(start(saved, data, new_head=False))
  head = first_params(start(saved, data))["head"]
  assert not np.asarray(head["kernel"]).any()


def command(name, data, *args):
  flags = {
    "model.num_classes": len(NAMES),
    "data.batch_size": 8,
    "data.train.name": data,
    "data.train.preprocess": RGB,
    "optim.schedule.warmup": "1 steps",
    "evals.test.data.name": data,
    "evals.test.data.split": "train",
    "evals.test.data.preprocess": RGB,
  }
  values = [f"--config.{k}={v}" for k, v in flags.items()]
  head = (name, f"--config={cli.TINY}:steps=2", *values)
  return cli.run(*head, *args, devices=1)


def test_the_commands(tmp_path):
  """Folders of classes sort as their names do, a manifest's do not."""
  files = {
    f"{name}/{i}.png": trees.png(k, i)
    for k, name in enumerate(NAMES)
    for i in range(4)
  }
  folder = f"folder:{trees.write(tmp_path / 'folder', files)}"
  workdir = tmp_path / "run"
  done = command("train", folder, f"--workdir={workdir}")
  assert done.returncode == 0, done.stderr
  *_, inside = cli.rows(workdir / "evals.jsonl")
  listed = write(tmp_path / "listed", ("cat", "ant", "bee"))
  done = command("evaluate", listed, f"--checkpoint={workdir}")
  assert done.returncode == 0, done.stderr
  assert f"loss {inside['loss']:.4f}" in done.stdout
  assert f"top_1 {inside['top_1']:.6f}" in done.stdout
  others = write(
    tmp_path / "others", ("cow", "gnu", "ewe"), 4, names=("cow", "gnu", "ewe")
  )
  done = command("evaluate", others, f"--checkpoint={workdir}")
  assert done.returncode == 2
  assert "alone has 'cow', 'gnu', 'ewe' (3 of 3 names)" in done.stderr
  assert done.stderr.count("\n") == 1
