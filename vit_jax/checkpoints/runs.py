"""Runs as models: loads one, and writes a model as if a run had saved it."""

from collections.abc import Mapping
import json
import os
import pathlib
import tempfile
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from vit_jax.checkpoints import adapt, manifest, preprocessing, steps
from vit_jax.checkpoints.loaded import (
  MODELS,
  STATS,
  Arrays,
  Loaded,
  Report,
  given_config,
  image_channels,
  model_shapes,
  nested,
)
from vit_jax.core import (
  config as config_lib,
  errors,
  files,
  parts,
  storage,
  tree,
)
from vit_jax.core.storage import AnyPath


def load_run(
  place: AnyPath, model: nn.Module | None, change: dict[str, Any]
) -> Loaded:
  """A step of a run; see `loading.load`.

  The place is a workdir, its checkpoints or one step of them; `change` has
  other values for fields of the model's config.
  """
  # Orbax takes seconds to import, which loading a file need not wait for.
  from vit_jax.checkpoints import run_checkpoints

  step = run_checkpoints.open_step(_steps(place))
  meta, name = _meta(step)
  given = given_config(step, name, name, model)
  module: Any = (
    parts.find(MODELS, name) if given is None else config_lib.module_for(given)
  )
  saved = module.Model(config_lib.build(module.Config, _fields(meta)))
  arrays, used, ignored, assumptions = _read(step)
  # The other groups are parameters of the task that the run was trained for.
  channels = image_channels(arrays, saved.config)
  shapes = model_shapes(saved, channels)
  groups = {x.partition("/")[0] for x in shapes}
  dropped = [x for x in arrays if x.partition("/")[0] not in groups]
  params, stats = nested({k: v for k, v in arrays.items() if k not in dropped})
  want = adapt.changed(given or saved.config, change)
  preprocess, assumed = _preprocess(meta, saved.config, want, channels)
  loaded = Loaded(
    model=saved,
    params=params,
    batch_stats=stats,
    source_format="orbax",
    report=Report(
      used=used,
      dropped=tuple(dropped),
      ignored=ignored,
      assumptions=(*assumed, *assumptions),
    ),
    preprocess=preprocess,
    labels=tuple(meta.get("labels", ())),
    metadata=meta,
  )
  return adapt.adapt(loaded, want, "linear", model)


def describe_run(place: AnyPath) -> tuple[Any, str, int]:
  """The model's config, preprocessing and channels of a run; loads no array.

  The place is as in `load_run`. Other processes need not take part.

  Raises:
    CheckpointError: there is no good step, or it is not of a run.
  """
  step = steps.find(_steps(place).absolute())
  meta, name = _meta(step)
  module = parts.find(MODELS, name)
  config = config_lib.build(module.Config, _fields(meta))
  content = manifest.read(step)["arrays"]
  stem = f"{manifest.model_paths(step)['params']}/{module.STEM}"
  if stem not in content:
    raise errors.CheckpointError(f"{step} has no {stem}, as a {name} has")
  channels = content[stem][1][2]
  text, _ = _preprocess(meta, config, config, channels)
  return config, adapt.decoding(text, channels), channels


def _steps(place: AnyPath) -> AnyPath:
  inner = place / "checkpoints"
  return inner if inner.is_dir() else place


def _meta(step: AnyPath) -> tuple[dict[str, Any], str]:
  """What was saved beside a step, and its model's name."""
  meta = manifest.read(step)["meta"]
  group = meta.get("config", {}).get("model")
  if not isinstance(group, dict) or not isinstance(group.get("name"), str):
    raise errors.CheckpointError(
      f"{step} does not say of what model it is; it was not saved by a run"
    )
  return meta, group["name"]


def _fields(meta: Mapping[str, Any]) -> dict[str, Any]:
  """The fields of the model's config."""
  return {k: v for k, v in meta["config"]["model"].items() if k != "name"}


def _read(
  step: AnyPath,
) -> tuple[Arrays, tuple[str, ...], tuple[str, ...], list[str]]:
  """Arrays by our names, the names read and not read, and assumptions."""
  from vit_jax.checkpoints import run_checkpoints

  saved = run_checkpoints.read_arrays(step)
  paths = manifest.model_paths(step)
  averaged = paths["params"] == "ema"
  prefixes = {
    f"{paths[name]}/": prefix
    for name, prefix in (("params", ""), (STATS, f"{STATS}/"))
    if name in paths
  }
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  target = {
    name: jax.ShapeDtypeStruct(shape, dtype, sharding=device)
    for name, (dtype, shape) in saved.items()
    if name.startswith(tuple(prefixes))
  }
  state, _ = run_checkpoints.restore_step(
    step, tree.unflatten(target), partial=True
  )
  arrays = {}
  for name, value in tree.flatten(state).items():
    prefix = next(p for p in prefixes if name.startswith(p))
    arrays[prefixes[prefix] + name.removeprefix(prefix)] = np.asarray(value)
  ignored = tuple(name for name in saved if name not in target)
  assumptions = ["the averaged parameters, which the run kept"]
  return arrays, tuple(target), ignored, assumptions if averaged else []


def _preprocess(
  meta: Mapping[str, Any], have: Any, want: Any, channels: int
) -> tuple[str, list[str]]:
  """The pipeline of the run's evaluators, if the image size is the same."""
  evaluators = meta["config"].get("evals", {}).values()
  texts = [evaluator["data"]["preprocess"] for evaluator in evaluators]
  if "preprocess" in meta:
    texts.insert(0, meta["preprocess"])
  if texts and have.image_size == want.image_size:
    return preprocessing.checked(texts[0]), []
  text = preprocessing.checked(preprocessing.default(want.image_size, channels))
  return text, [f"preprocessing: {text}, as the run does not say"]


def save_run(checkpoint: Loaded, path: AnyPath) -> None:
  """Writes a workdir with one step; replaces one that was converted before.

  Raises:
    ConfigError: the folder is in use, or holds a run that was trained.
    StorageError: it cannot be written.
  """
  config = checkpoint.model.config  # type: ignore[attr-defined]
  stats = checkpoint.batch_stats
  state = {
    "params": checkpoint.params,
    "task_state": {STATS: stats} if stats else {},
  }
  meta = {
    "config": {"model": {"name": parts.name_of(config), **plain(config)}},
    "preprocess": checkpoint.preprocess,
    "labels": list(checkpoint.labels),
    "converted_from": checkpoint.source_format,
  }
  if isinstance(path, storage.BucketPath):
    if path.is_dir():
      raise errors.ConfigError(
        f"out={path} is not empty, and nothing can be renamed in a bucket; name"
        " another folder"
      )
    _write_step(path / "checkpoints", state, meta)
    return
  with files.locked(path / ".lock") as lock:
    if lock is None:
      raise errors.ConfigError(
        f"out={path} is in use by another process; name another folder"
      )
    home = path / "checkpoints"
    if home.exists() and not _is_converted(home):
      raise errors.ConfigError(
        f"out={path} is a run that was trained, which is not replaced; name"
        " another folder"
      )
    with tempfile.TemporaryDirectory(dir=path, prefix=".converted-") as work:
      new = pathlib.Path(work) / "new"
      _write_step(new, state, meta)
      if home.exists():
        home.rename(pathlib.Path(work) / "old")
      new.rename(home)


def _is_converted(home: pathlib.Path) -> bool:
  """Whether there is only a step that a conversion has written."""
  if any(name.isdigit() and name != "0" for name in os.listdir(home)):
    return False
  try:
    meta = manifest.read(home / "0")["meta"]
  except errors.CheckpointError:
    return False
  return "converted_from" in meta


def _write_step(
  folder: AnyPath, state: dict[str, Any], meta: dict[str, Any]
) -> None:
  # Orbax takes seconds to import, which the other formats need not wait for.
  from vit_jax.checkpoints import run_checkpoints

  with run_checkpoints.Checkpointer(folder, keep=1) as saved:
    saved.save(0, jax.device_put(state), meta)


def plain(config: Any) -> dict[str, Any]:
  """A model's config as JSON."""
  fields = config_lib.to_config_dict(config)
  return json.loads(config_lib.to_json(fields))
