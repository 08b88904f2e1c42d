"""Training steps of published code bases, taken again by our real step.

`python -m tests.invariants.trajectories` prints how far ours are from theirs,
the table of results/trajectories/README.md. With `--record` it writes
fixtures/key_biases.json instead.
"""

import dataclasses
import json
import pathlib
import sys

import jax
import numpy as np

from tests.invariants import hand_names, published, stock
from tests.parity import rule
from vit_jax.core import mesh as mesh_lib, tree
from vit_jax.train import experiment as experiment_lib, setup

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
# Norms of the updates of the keys' biases in the published code, from `stock`
# where its norms of all updates agreed with theirs to 3e-6. They are on record
# because another processor, or compiler, rounds otherwise.
KEY_BIASES = FIXTURES / "key_biases.json"
CURVES = ("loss", "l2_grads", "l2_updates")


def names():
  return sorted(path.stem for path in FIXTURES.glob("train_*.json"))


def load(name):
  return json.loads((FIXTURES / f"{name}.json").read_text())


def batch(fixture, step):
  """Images and labels of a step, as the input pipeline would give them."""
  spec, salt = fixture["batch"], fixture["salt"]
  size, side, classes = spec["size"], spec["resolution"], spec["classes"]
  n = rule.draw(f"{salt}:labels{step}", (size, classes))
  labels = n.argmax(-1)
  if "several labels" in spec["labels"]:
    labels = np.where(n > 0.8, np.arange(classes)[None], -1)
  shape = (size, side, side, 3)
  image = rule.image({"salt": f"{salt}:step{step}", "image_shape": shape})
  return {"image": image, "label": labels.astype(np.int32)}


def batches(fixture):
  return [batch(fixture, step) for step in range(fixture["steps"])]


@dataclasses.dataclass(frozen=True)
class Trajectory:
  """Ours. Curves by name, [steps]; logits after the last step.

  `key_biases` [steps] is the norm of what was added to the keys' biases, a
  part of l2_updates.
  """

  curves: dict[str, np.ndarray]
  key_biases: np.ndarray
  logits: np.ndarray


def run(fixture, num_devices=1, **runtime):
  """Takes the fixture's steps with the jitted step of a run."""
  experiment = published.experiment(fixture, **runtime)
  inputs = experiment_lib.open_inputs(experiment)
  run = setup.build(experiment, inputs, jax.devices()[:num_devices])
  state = run.init()
  params = jax.tree.map(
    lambda new, old: jax.device_put(new, old.sharding),
    hand_names.our_tree(rule.params(fixture)),
    state.params,
  )
  state = state.replace(params=params)
  rows, biases = [], []
  for one in batches(fixture):
    before = key_biases(state.params)
    state, metrics = run.step(state, mesh_lib.put_batch(run.mesh, one))
    rows.append([float(metrics[name]) for name in CURVES])
    biases.append(np.linalg.norm(key_biases(state.params) - before))
  images = batch(fixture, fixture["steps"])["image"]
  out = jax.jit(run.model.apply)(run.task.evaluated(state.variables()), images)
  curves = dict(zip(CURVES, np.array(rows).T, strict=True))
  return Trajectory(curves, np.array(biases), np.asarray(out["logits"]))


def key_biases(params):
  flat = tree.flatten(params)
  return np.concatenate(
    [np.ravel(flat[name]) for name in flat if name.endswith("key/bias")]
  )


def gap(ours, theirs):
  """|ours - theirs| / theirs, beyond the rounding of theirs; 0 if both are 0.

  Theirs are written with seven decimals.
  """
  off = np.maximum(np.abs(ours - theirs) - 5e-8, 0)
  return off / np.maximum(np.abs(theirs), 1e-12)


def errors(fixture, ours):
  """By name, the relative error of each step."""
  theirs = fixture["outputs"]
  return {
    name: gap(curve, np.asarray(theirs[name]))
    for name, curve in ours.curves.items()
  }


def without(norm, part):
  """The norm of the rest."""
  return np.sqrt(norm**2 - part**2)


def rest_error(fixture, ours):
  """As `errors`, of the norm of all updates but those of the keys' biases.

  None where nothing is on record of theirs, see `stock`.
  """
  record = json.loads(KEY_BIASES.read_text())
  if fixture["name"] not in record:
    return None
  theirs = np.asarray(fixture["outputs"]["l2_updates"])
  return gap(
    without(ours.curves["l2_updates"], ours.key_biases),
    without(theirs, np.asarray(record[fixture["name"]])),
  )


def logits_errors(fixture, ours):
  """(L2, largest): norms of ours - theirs over those of theirs."""
  theirs = np.asarray(fixture["outputs"]["final_logits"])
  assert ours.logits.shape == theirs.shape
  off = ours.logits - theirs
  l2 = np.linalg.norm(off) / np.linalg.norm(theirs)
  return l2, np.abs(off).max() / np.abs(theirs).max()


def _rows(fixture, ours):
  """Lines of the table for a fixture."""
  name = fixture["name"]

  def row(key, error):
    return f"| {name} | {key} | {error[:5].max():.1e} | {error.max():.1e} |"

  for key, error in errors(fixture, ours).items():
    yield row(key, error)
  if name in json.loads(KEY_BIASES.read_text()):
    yield row("l2_updates without key biases", rest_error(fixture, ours))
    theirs = np.asarray(fixture["outputs"]["l2_updates"])
    for apart, how in ((False, "as one"), (True, "in two parts")):
      whole, _ = stock.run(fixture, batches(fixture), apart)
      key = f"l2_updates, stock model compiled {how}"
      yield row(key, gap(whole, theirs))
  for key, error in zip(
    ("L2", "largest"), logits_errors(fixture, ours), strict=True
  ):
    yield f"| {name} | final logits, {key} | | {error:.1e} |"


def record():
  """Writes the norms of the keys' biases, where `stock` fits the published."""
  name = "train_adafactor_rsqrt"
  fixture = load(name)
  whole, biases = stock.run(fixture, batches(fixture))
  assert gap(whole, np.asarray(fixture["outputs"]["l2_updates"])).max() < 3e-6
  norms = {name: [float(f"{norm:.7g}") for norm in biases]}
  KEY_BIASES.write_text(json.dumps(norms) + "\n")


def main():
  """Prints the table."""
  print("| recipe | relative error of | first five steps | thirty steps |")
  print("| --- | --- | --- | --- |")
  for name in names():
    fixture = load(name)
    for line in _rows(fixture, run(fixture)):
      print(line, flush=True)


if __name__ == "__main__":
  jax.config.update("jax_platforms", "cpu")
  record() if "--record" in sys.argv else main()
