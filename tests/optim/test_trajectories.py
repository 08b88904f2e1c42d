"""Thirty steps of published code bases, reproduced by our chains."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.optim import reference_vit
from vit_jax.core import tree
from vit_jax.core.duration import Duration
from vit_jax.optim import adafactor, adamw, base, schedule, sgd

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
TRAINS = sorted(p.stem for p in FIXTURES.glob("train_*.json"))


def _big_vision(config):
  """Our config of a big_vision `config.optax`."""
  sched = dict(config["schedule"])
  ours = {"decay": sched.pop("decay_type")}
  for name in ("warmup", "cooldown"):
    ours[name] = Duration(sched.pop(f"{name}_steps", 0), "steps")
  if "timescale" in sched:
    ours["timescale"] = Duration(sched.pop("timescale"), "steps")
  ours["end_value"] = sched.pop("linear_end", 0.0)
  assert not sched
  kinds = {
    "scale_by_adam": adamw.Config,
    "big_vision.scale_by_adafactor": adafactor.Config,
  }
  return kinds[config["optax_name"]](
    peak_lr=config["lr"],
    schedule=schedule.Schedule(**ours),
    clip_norm=config["grad_clip_norm"],
    weight_decay=config["wd"],
    weight_decay_scaling="schedule",
    **config["optax"],
  )


def _vision_transformer(config):
  """Our config of vision_transformer's fine-tuning."""
  end = 1e-5 / config["base_lr"] if config["decay"] == "linear" else 0.0
  return sgd.Config(
    peak_lr=config["base_lr"],
    schedule=schedule.Schedule(
      decay=config["decay"],
      warmup=Duration(config["warmup_steps"], "steps"),
      end_value=end,
    ),
    clip_norm=config["clip"],
    momentum=config["momentum"],
    accumulator_dtype=config["accumulator_dtype"],
  )


@pytest.fixture(scope="module", params=TRAINS)
def run(request):
  """(fixture, the same outputs of ours)."""
  fixture = json.loads((FIXTURES / f"{request.param}.json").read_text())
  theirs = fixture["config"]
  if "optax" in theirs:
    config = _big_vision(theirs["optax"])
  else:
    config = _vision_transformer(theirs["optim"])
  params = reference_vit.init(fixture)
  lr = schedule.make(
    config.schedule,
    total_steps=fixture["steps"],
    batch_size=fixture["batch"]["size"],
    epoch_examples=fixture["batch"]["size"] * fixture["steps"],
  )
  tx = base.make(config, lr, params, stacked=reference_vit.STACKED)
  model = {
    "sincos": theirs["model"].get("posemb") == "sincos2d",
    "gap": theirs["model"].get("pool_type") == "gap",
  }

  sigmoid = "sigmoid" in theirs.get("loss", "softmax")

  @jax.jit
  def step(params, state, images, labels):
    def loss(params):
      logits = reference_vit.apply(params, images, **model)
      return reference_vit.loss(logits, labels, sigmoid=sigmoid), logits

    (value, logits), grads = jax.value_and_grad(loss, has_aux=True)(params)
    updates, state = tx.update(grads, state, params)
    noise = [u for k, u in tree.flatten(updates).items() if "key/bias" in k]
    norms = map(optax.tree.norm, (grads, updates, noise))
    return optax.apply_updates(params, updates), state, (value, *norms), logits

  rows, state = [], tx.init(params)
  # One more step shows the logits after the last.
  for s in range(fixture["steps"] + 1):
    images, labels = map(jnp.asarray, reference_vit.batch(fixture, s))
    params, state, row, logits = step(params, state, images, labels)
    rows.append(row)
  ours = np.asarray(rows[:-1]).T
  names = ("loss", "l2_grads", "l2_updates", "l2_noise")
  return fixture, dict(zip(names, ours, strict=True), final_logits=logits)


def _agree(ours, theirs, slack=0.0):
  # Published numbers have seven decimals.
  error = np.abs(ours - theirs) - 1e-7
  assert (error[:5] <= (1e-5 + slack)[:5] * theirs[:5]).all(), error / theirs
  assert (error <= (1e-4 + slack) * theirs).all(), error / theirs


@pytest.mark.parametrize("name", ["loss", "l2_grads"])
def test_losses_and_gradients_are_the_published_ones(run, name):
  fixture, ours = run
  _agree(ours[name], np.asarray(fixture["outputs"][name]), np.zeros(30))


def test_updates_are_the_published_ones(run):
  fixture, ours = run
  theirs = np.asarray(fixture["outputs"]["l2_updates"])
  # The true gradient of a key bias is 0. Adam and above all Adafactor scale
  # its rounding errors up, so their share of the square cannot agree.
  share = (ours["l2_noise"] / np.maximum(ours["l2_updates"], 1e-9)) ** 2
  assert share.max() < 5e-3
  _agree(ours["l2_updates"], theirs, share)


def test_final_logits_are_the_published_ones(run):
  fixture, ours = run
  theirs = np.asarray(fixture["outputs"]["final_logits"])
  error = np.linalg.norm(ours["final_logits"] - theirs)
  assert error < 1e-4 * np.linalg.norm(theirs)
