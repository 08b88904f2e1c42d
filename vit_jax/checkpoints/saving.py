"""Writes a loaded checkpoint in any format that has such a model."""

import dataclasses
import json
import os
import pathlib
import re
from typing import Any

from vit_jax.checkpoints import adapt, keys, layouts, loading, runs
from vit_jax.checkpoints.base import CONFIG, OWN, Layout
from vit_jax.checkpoints.loaded import Arrays, Loaded, flat, image_channels
from vit_jax.checkpoints.tensors import Tensors
from vit_jax.core import errors, files, owners, parts, storage

_RUN = "orbax"


@dataclasses.dataclass(frozen=True)
class Saved:
  """What was written.

  Attributes:
    path: the file, or the run's folder.
    format: its layout, such as "big_vision" for "npz".
    notes: what had to be written in another form or differs slightly.
  """

  path: storage.AnyPath
  format: str
  notes: tuple[str, ...] = ()


def save(checkpoint: Loaded, to: str, out: str | os.PathLike) -> Saved:
  """Writes a checkpoint; replaces an old one once all is written.

  Args:
    checkpoint: what `load` gave, with the parameters that are to be saved.
    to: "npz" is the layout of google-research's code for this model; "timm"
      and "hf" are model.safetensors and config.json in a folder, or a file
      that ends in .safetensors, with config.json beside it; "orbax" is a
      workdir with one step, like that of a run. A name with a dot is a
      module with your own layouts, see base.py.
    out: the file or folder; gs:// only for "orbax".

  Raises:
    ConfigError: no such format.
    CheckpointError: the format has no such model; says why.
    StorageError: it cannot be written.
  """
  candidates, path = _checked_place(to, out)
  if to == _RUN:
    runs.save_run(checkpoint, path)
    return Saved(path, _RUN)
  layout, config, arrays, notes = _fitting(checkpoint, to, candidates)
  rules = layout.rules(config)
  if lost := set(arrays) - {n for rule in rules for n, _ in rule.our_names()}:
    raise errors.CheckpointError(
      f"{layout.format} has no place for {', '.join(sorted(lost))}"
    )
  theirs = _named(layout, checkpoint, keys.save(rules, arrays))
  notes += layout.notes(config)
  preprocess, channels = checkpoint.preprocess, image_channels(arrays, config)
  notes += layout.pixel_notes(config, preprocess, channels)
  labels = checkpoint.labels
  beside = layout.side_files(config, preprocess, labels, channels)
  # Not in a bucket, which `_checked_place` refuses.
  file = layout.place(pathlib.Path(path))
  # Other programs pass our entry over; with it, our outputs are the same again.
  own = {"model": runs.plain(config), "preprocess": preprocess}
  content = beside.setdefault(layout.own_file(file).name, {})
  content[OWN] = own if CONFIG in beside else {**own, "labels": list(labels)}
  layout.container.write(file, theirs)
  for name, content in beside.items():
    files.write(file.with_name(name), json.dumps(content, indent=2) + "\n")
  return Saved(file, layout.format, tuple(notes))


def _named(layout: Layout, checkpoint: Loaded, theirs: Tensors) -> Tensors:
  """The tensors under the names of the layout's most readable version."""
  came = checkpoint.source_format == layout.format
  if came and set(theirs) <= set(checkpoint.report.used):
    return theirs
  out = {}
  for name, tensor in theirs.items():
    for pattern, replacement in layout.written_names:
      name = re.sub(pattern, replacement, name)
    out[name] = tensor
  return out


def convert(
  source: str | os.PathLike, to: str, out: str | os.PathLike, **kwargs: Any
) -> tuple[Loaded, Saved]:
  """Loads a checkpoint, with the arguments of `load`, and saves it."""
  candidates, path = _checked_place(to, out)
  for layout in candidates:
    ours, theirs = layout.place(pathlib.Path(path)), loading.weights(source)
    if ours.is_file() and theirs.is_file() and os.path.samefile(ours, theirs):
      raise errors.ConfigError(
        f"out={path} is the checkpoint itself, which would be lost; name"
        " another place"
      )
  checkpoint = loading.load(source, **kwargs)
  return checkpoint, save(checkpoint, to, out)


def formats(config: Any) -> list[str]:
  """The formats that can hold the model of a config, as `save` knows them."""
  kind, forms = parts.name_of(config), [config]
  if kind in ("vit", "hybrid"):
    plain = dict(posemb="learned_1d", class_token_position=config.class_token)
    if config.posemb_at == "stem" and config.posemb not in ("none", "relative"):
      forms.append(dataclasses.replace(config, **plain))
  return sorted(
    {
      x.export or x.format
      for x in layouts.find_all()
      if x.model == kind and not all(map(x.objections, forms))
    }
  )


def _checked_place(
  to: str, out: str | os.PathLike
) -> tuple[tuple[Layout, ...], storage.AnyPath]:
  """The layouts of a format, and the path of `out`, which may be written."""
  if "." not in to:
    formats = {x.export or x.format for x in layouts.find_all()}
    errors.check_one_of("to", to, (*sorted(formats), _RUN))
  path = storage.path(out)
  if to == _RUN:
    owners.check_folder("out", path, but=owners.RUN)
    return (), path
  candidates = layouts.named(to)
  if isinstance(path, storage.BucketPath):
    raise errors.ConfigError(
      f"out={out}: {to} can only be written to a disk; name a file of this"
      " machine, then copy it (gcloud storage cp)"
    )
  if path.is_dir() or not path.exists():
    owners.check_folder("out", path)
  for layout in candidates:
    file, kind = layout.place(path), layout.container
    own = layout.own_file(file)
    if not layout.side_names:
      what = f"an {kind.SUFFIX[1:]} file"
      owners.check_file("out", file, lambda x, k=kind: k.begins(x[:9]), what)
    for name in {own.name, *layout.side_names}:
      owners.check_file(
        "out",
        file.with_name(name),
        lambda _, own=own: _is_converted_here(own),
        "of a converted checkpoint",
      )
  return candidates, path


def _is_converted_here(config: pathlib.Path) -> bool:
  """Whether this config.json was written beside weights by `save`."""
  try:
    return OWN in json.loads(config.read_bytes())
  except (OSError, ValueError, TypeError):
    return False


def _fitting(
  checkpoint: Loaded, to: str, candidates: tuple[Layout, ...]
) -> tuple[Layout, Any, Arrays, list[str]]:
  """The layout, and config, arrays and notes in a form that it can hold."""
  config = checkpoint.model.config  # type: ignore[attr-defined]
  arrays = flat(checkpoint.variables)
  kind = parts.name_of(config)
  # The layout that it came from is first, which gives back the same names.
  fitting = sorted(
    (x for x in candidates if x.model == kind),
    key=lambda x: x.format != checkpoint.source_format,
  )
  for layout in fitting:
    if not layout.objections(config):
      return layout, config, arrays, []
  objections = [
    f"{x.format}: {', '.join(x.objections(config))}" for x in fitting
  ]
  if kind in ("vit", "hybrid"):
    config, arrays = adapt.learned_positions(config, arrays)
    for layout in fitting:
      if not layout.objections(config):
        note = "position embeddings are written as one learned table"
        return layout, config, arrays, [note]
  raise errors.CheckpointError(
    f"{to} has no such {kind}"
    + (f" ({'; '.join(objections)})" if objections else "")
  )
