"""What evaluators share."""

import jax

from tests.evals import test_classification as logits
from vit_jax.core import mesh as mesh_lib
from vit_jax.data import config as data_config
from vit_jax.evals import base
from vit_jax.preprocess.pipeline import Pipeline


def test_a_model_knows_the_mesh_it_is_scored_on():
  """Else what it says of its activations would be ignored."""
  seen = []

  def f(_, batch):
    seen.append(jax.sharding.get_abstract_mesh())
    return {"label": batch["label"]}

  mesh = mesh_lib.make(mesh_lib.MeshShape(data=4, tensor=2))
  split = data_config.Split(preprocess=Pipeline.parse("value_range(0, 10)"))
  rows = base.Rows(split, logits.Source(10), 4, mesh, f)
  values = rows({}, base.never)
  assert values["label"].tolist() == [i % logits.CLASSES for i in range(10)]
  assert set(seen) == {mesh.abstract_mesh}
