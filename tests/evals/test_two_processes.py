"""Every evaluator in two processes: the scores of one, on both of them.

Run as a script it is one of the processes:
test_two_processes.py ADDRESS PROCESSES PROCESS CLASS_MAP
"""

import json
import sys

import jax
import pytest

from tests.e2e import run as cli
from tests.evals import test_every_evaluator as every
from tests.models import small_models
from vit_jax.cluster import lifeline
from vit_jax.core import mesh as mesh_lib
from vit_jax.train import experiment as experiment_lib, setup

# What needs a real model is `classification` at other image sizes.
NAMES = sorted(set(every.modules()) - {"resolution"})


def scores(name, class_map):
  """On all devices of all processes."""
  fields = {**every.FIELDS.get(name, {}), "data": every.split(37, "test")}
  if name == "objectnet":
    fields["class_map"] = class_map
  config = every.modules()[name].Config(**fields, batch_size=7)
  experiment = experiment_lib.Experiment(
    model=every.MODEL, evals={name: config}
  )
  opened, _ = experiment_lib.open_evals(experiment)
  mesh = mesh_lib.make(mesh_lib.MeshShape())
  model = every.Linear()
  images = small_models.images((8, 8), channels=1)
  variables = jax.device_put(
    jax.device_get(small_models.noisy_variables(model, images)),
    mesh_lib.replicated(mesh),
  )
  return setup.make_evaluators(experiment, opened, model, mesh)[name](variables)


@pytest.mark.slow
def test_the_same_scores_as_one_process(tmp_path):
  class_map = tmp_path / "map.json"
  class_map.write_text(json.dumps(every.MAP))
  found = []
  for count in (1, 2):
    address = cli.free_address()
    done = cli.wait(
      cli.popen(
        [sys.executable, __file__, address, str(count), str(i), str(class_map)],
        2 // count,
      )
      for i in range(count)
    )
    assert [p.returncode for p in done] == [0] * count, done[0].stderr
    found += [json.loads(p.stdout.splitlines()[-1]) for p in done]
  assert [f.pop("devices") for f in found] == [[2, 2], [1, 2], [1, 2]]
  one, first, second = found
  assert first == second and set(one) == set(NAMES)
  for name in NAMES:
    assert first[name] == pytest.approx(one[name], rel=1e-5, abs=1e-6), name


if __name__ == "__main__":
  address, count, index, path = sys.argv[1:]
  if int(count) > 1:
    lifeline.connect(address, int(count), int(index))
  found = {name: scores(name, path) for name in NAMES}
  found["devices"] = [jax.local_device_count(), jax.device_count()]
  print(json.dumps(found))
