"""Loads our own runs, and what was converted to their format."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vit_jax.checkpoints import adapt, inputs, manifest
from vit_jax.checkpoints.loaded import (
  FIRST,
  MODELS,
  STATS,
  Loaded,
  Report,
  model_shapes,
  nested,
)
from vit_jax.core import config as config_lib, errors, parts, tree
from vit_jax.core.storage import AnyPath


def load_run(place: AnyPath, model: Any, change: dict[str, Any]) -> Loaded:
  """A step of a run.

  Args:
    place: a workdir, its checkpoints or one step of them.
    model: what it is for, or None.
    change: fields of the model's config that are to have other values.

  Raises:
    CheckpointError: see `loading.load`.
  """
  step, meta, module, have = _opened(place)
  if model is not None and type(model) is not module.Model:
    kind = module.__name__.rpartition(".")[-1]
    raise errors.CheckpointError(
      f"{step} holds a {kind}, the model is a"
      f" {type(model).__module__.rpartition('.')[-1]}"
    )
  arrays, target, ignored, averaged = _read(step)
  want = adapt.changed(have if model is None else model.config, change)
  channels = next(
    value.shape[2]
    for first in FIRST
    for name, value in arrays.items()
    if f"/{name}".endswith(f"/{first}")
  )
  wanted = model_shapes(module.Model(want), channels)
  arrays, changes = adapt.adapt(arrays, have, want, wanted, "linear")
  params, stats = nested(arrays)
  preprocess, assumptions = _preprocess(meta, have, want)
  if averaged:
    assumptions.append("the averaged parameters, which the run kept")
  return Loaded(
    model=module.Model(want) if model is None else model.clone(config=want),
    params=params,
    batch_stats=stats,
    source_format="orbax",
    report=Report(
      used=target,
      resized=tuple(changes.resized),
      reset=tuple(changes.reset),
      dropped=tuple(changes.dropped),
      ignored=ignored,
      assumptions=tuple(assumptions),
    ),
    preprocess=preprocess,
    labels=tuple(meta.get("labels", ())) if not changes.reset else (),
    metadata=meta,
  )


def _opened(
  place: AnyPath,
) -> tuple[AnyPath, Mapping[str, Any], Any, Any]:
  """The step, what is beside its state, and its model's module and config."""
  # Orbax takes seconds to import, which loading a file need not wait for.
  from vit_jax.checkpoints import native

  inner = place / "checkpoints"
  step = native.open_step(inner if inner.is_dir() else place)
  meta = manifest.read(step)["meta"]
  said = meta.get("config", {}).get("model")
  if not isinstance(said, dict) or not isinstance(said.get("name"), str):
    raise errors.CheckpointError(
      f"{step} does not say of what model it is; it was not saved by a run"
    )
  fields = {k: v for k, v in said.items() if k != "name"}
  module = parts.find(MODELS, said["name"])
  return step, meta, module, config_lib.build(module.Config, fields)


def _read(
  step: AnyPath,
) -> tuple[adapt.Arrays, tuple[str, ...], tuple[str, ...], bool]:
  """Arrays by our names, names read, names not read, whether averaged."""
  from vit_jax.checkpoints import native

  saved = native.read_arrays(step)
  averaged = any(name.startswith("ema/") for name in saved)
  which = "ema" if averaged else "params"
  prefixes = {f"{which}/": "", f"task_state/{STATS}/": f"{STATS}/"}
  one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  target = {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=one)
    for name, (dtype, shape) in saved.items()
    if name.startswith(tuple(prefixes))
  }
  state, _ = native.restore_step(step, tree.unflatten(target), partial=True)
  arrays = {}
  for name, value in tree.flatten(state).items():
    prefix = next(p for p in prefixes if name.startswith(p))
    ours = prefixes[prefix] + name.removeprefix(prefix)
    arrays[ours] = np.asarray(value)
  ignored = tuple(name for name in saved if name not in target)
  return arrays, tuple(target), ignored, averaged


def _preprocess(
  meta: Mapping[str, Any], have: Any, want: Any
) -> tuple[str, list[str]]:
  """As the run evaluated, unless the images have another size now."""
  evaluators = meta["config"].get("evals", {}).values()
  said = [evaluator["data"]["preprocess"] for evaluator in evaluators]
  if "preprocess" in meta:
    said.insert(0, meta["preprocess"])
  if said and have.image_size == want.image_size:
    return inputs.checked(said[0]), []
  text = inputs.checked(inputs.jax_default(want.image_size, "orbax"))
  return text, [f"preprocessing: {text}, as the run does not say"]
