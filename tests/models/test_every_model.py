"""What every model holds to: precision, gradients, speed knobs, devices.

A model is found by its file; without a case below it fails.
"""

import dataclasses
import functools
import typing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import small_models, vit_cases
from tests.models.small_models import apply, images, noisy_variables
from tests.models.test_axial_resnet import SMALL as AXIAL_RESNET
from tests.models.test_axial_vit import SMALL as AXIAL_VIT
from tests.models.test_bit import SMALL as BIT
from tests.models.test_hybrid import SMALL as HYBRID
from tests.models.test_mobilevit import SMALL as MOBILEVIT
from tests.models.test_swin import SMALL as SWIN
from vit_jax import models
from vit_jax.core import config as config_lib, mesh as mesh_lib, parts, tree
from vit_jax.models import base, segmenter
from vit_jax.optim import layers

VIT = vit_cases.small(posemb_at="every_layer")


@dataclasses.dataclass(frozen=True)
class Case:
  """A small form of a model.

  Attributes:
    config: as it is trained, with every random part there is.
    mesh: that its sharding rules split it over.
    knobs: speed knobs to turn.
    others: fields that make other parameters.
    tolerance: of another order of sums, in each array's scale.
  """

  config: Any
  mesh: dict[str, int]
  knobs: tuple[dict[str, Any], ...]
  others: tuple[dict[str, Any], ...] = ()
  tolerance: float = 1e-5


ALL_AXES = dict(data=2, fsdp=2, tensor=2)
NO_TENSOR = dict(data=4, fsdp=2)
DROP = dict(dropout=0.2, stochastic_depth=0.3)
BOTH = (dict(unroll=2, remat="dots"), dict(unroll=0, remat="full"))
REMAT = (dict(remat="dots"), dict(remat="full"))
CASES = {
  "axial_resnet": Case(AXIAL_RESNET, NO_TENSOR, REMAT, tolerance=3e-5),
  "axial_vit": Case(
    dataclasses.replace(AXIAL_VIT, dropout=0.2), ALL_AXES, BOTH
  ),
  "bit": Case(
    dataclasses.replace(BIT, depths=(4, 2)), NO_TENSOR, BOTH, tolerance=3e-5
  ),
  "hybrid": Case(
    dataclasses.replace(HYBRID, **DROP, resnet_depths=(3, 1)),
    ALL_AXES,
    BOTH,
    (dict(resnet_depths=()), dict(pool="map")),
    tolerance=3e-5,
  ),
  "mobilevit": Case(
    dataclasses.replace(MOBILEVIT, dropout=0.2),
    ALL_AXES,
    REMAT,
    tolerance=3e-5,
  ),
  "segmenter": Case(
    segmenter.Config(dataclasses.replace(VIT, num_classes=0), num_classes=5),
    ALL_AXES,
    (dict(unroll=0, remat="full"),),
  ),
  "swin": Case(
    dataclasses.replace(SWIN, stochastic_depth=0.3),
    ALL_AXES,
    BOTH,
    (dict(depths=(1, 1)), dict(depths=(4,), num_heads=(2,))),
  ),
  "vit": Case(
    dataclasses.replace(VIT, **DROP, attention_dropout=0.2),
    ALL_AXES,
    BOTH,
    (dict(pool="gap"), dict(pool="map", pre_logits_dim=8)),
  ),
}
KNOBS = [(name, knobs) for name, case in CASES.items() for knobs in case.knobs]
FORMS = [
  (name, fields)
  for name, case in CASES.items()
  for fields in ({}, dict(num_classes=0), *case.others)
  if not (name == "segmenter" and "num_classes" in fields)
]


def make(name, **fields):
  config = dataclasses.replace(CASES[name].config, **fields)
  return config_lib.module_for(config).Model(config)


@functools.cache
def training(name):
  """A model, its variables and images, and a training step's results."""
  model = make(name)
  x = images(model.config.image_size, batch=8)
  variables = noisy_variables(model, x)
  step = small_models.losses_and_gradients(model, variables, x)
  return model, variables, x, step


def sharded(name, model, params):
  mesh = mesh_lib.make(mesh_lib.MeshShape(**CASES[name].mesh))
  rules = config_lib.module_for(model.config).sharding_rules(model.config)
  return mesh, mesh_lib.shardings(mesh, params, rules)


def test_every_model_has_a_case():
  assert sorted(CASES) == sorted(models.list_variants())


def contract_faults(module):
  """What a module lacks of `base.ModelModule`."""
  names = (
    *typing.get_type_hints(base.ModelModule),
    "variant",
    "sharding_rules",
  )
  missing = [name for name in names if not hasattr(module, name)]
  if missing:
    return missing
  config = module.Config()
  common = {f.name for f in dataclasses.fields(base.CommonConfig)}
  faults = [name for name in common if not hasattr(config, name)]
  if not config.__dataclass_params__.frozen:
    faults.append("Config is not frozen")
  fields = {f.name for f in dataclasses.fields(module.Model)}
  # Flax adds these two.
  fields -= {"parent", "name"}
  if not {"config"} <= fields <= {"config", "unroll", "remat", "split_tokens"}:
    faults.append(f"Model has {fields}")
  faults += [
    f"variant {name} sets {field}"
    for name, values in module.VARIANTS.items()
    for field in values
    if not hasattr(config, field)
  ]
  return faults


@pytest.mark.parametrize("name", models.list_variants())
def test_every_model_keeps_the_contract(name):
  assert not contract_faults(parts.find("vit_jax.models", name))


def test_a_module_that_is_no_model_is_found():
  assert set(contract_faults(base)) == {
    *("Config", "Model", "VARIANTS", "STACKED", "STEM", "variant"),
    "sharding_rules",
  }


@pytest.mark.parametrize("name", CASES)
def test_stacked_parameters_have_the_length_of_a_loop(name):
  model = make(name)
  stacked = config_lib.module_for(model.config).STACKED
  params = small_models.shapes(model, images(model.config.image_size))["params"]
  lengths = {}
  for leaf, value in tree.flatten(params).items():
    start = layers.prefix(leaf, stacked)
    if start:
      lengths.setdefault(start, set()).add(value.shape[0])
  assert bool(lengths) == bool(stacked)
  assert all(len(found) == 1 for found in lengths.values())


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_computes_in_it_and_ends_in_float32(name):
  exact, variables, x, _ = training(name)
  fields = dict(dtype="bfloat16")
  if name == "segmenter":
    backbone = dataclasses.replace(exact.config.backbone, **fields)
    fields = dict(backbone=backbone)
  model = make(name, **fields)
  shapes = small_models.shapes(model, x)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("f4")}
  out = apply(model, variables, x)
  ends = {"pre_logits", "logits"}
  assert {k: str(v.dtype) for k, v in out.items()} == {
    k: "float32" if k in ends else "bfloat16" for k in out
  }
  expected = np.asarray(apply(exact, variables, x)["logits"])
  error = np.abs(out["logits"] - expected).max()
  assert 1e-5 < error < 0.2 * expected.std()


@pytest.mark.parametrize("name", CASES)
def test_gradient_reaches_every_parameter(name):
  *_, step = training(name)
  assert not small_models.unreached(step)


@pytest.mark.parametrize(("name", "knobs"), KNOBS)
def test_speed_knobs_change_nothing(name, knobs):
  model, variables, x, expected = training(name)
  other = model.clone(**knobs)
  assert small_models.shapes(other, x) == small_models.shapes(model, x)
  found = small_models.losses_and_gradients(other, variables, x)
  small_models.assert_close(found, expected, CASES[name].tolerance)


@pytest.mark.parametrize("name", CASES)
def test_one_device_equals_eight(name):
  """Also where it normalises by the batch: by the global one."""
  model, variables, x, expected = training(name)
  mesh, shardings = sharded(name, model, variables["params"])
  params = jax.device_put(variables["params"], shardings)
  found = small_models.losses_and_gradients(
    model,
    {**variables, "params": params},
    jax.device_put(x, mesh_lib.batch_sharding(mesh)),
    mesh,
  )
  small_models.assert_close(found, expected, CASES[name].tolerance)


@pytest.mark.parametrize(("name", "fields"), FORMS)
def test_sharding_rules_fit_and_split_every_kernel(name, fields):
  model = make(name, **fields)
  shapes = small_models.shapes(model, images(model.config.image_size))
  _, shardings = sharded(name, model, shapes["params"])
  specs = {k: v.spec for k, v in tree.flatten(shardings).items()}
  whole = {k for k, s in specs.items() if k.endswith("kernel") and not any(s)}
  # A segmenter's head has a column for each class, which are few.
  assert whole == ({"head/kernel"} if name == "segmenter" else set())


@pytest.mark.parametrize("name", sorted(set(CASES) - {"segmenter"}))
def test_no_head_no_logits_and_any_number_of_channels(name):
  model = make(name, num_classes=0)
  x = images(model.config.image_size, channels=1)
  variables = small_models.shapes(model, x)
  assert "head" not in variables["params"]
  out = jax.eval_shape(model.apply, variables, x)
  assert sorted(out) == ["grid", "pre_logits", "tokens"]
