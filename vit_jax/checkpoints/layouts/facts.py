"""What timm and transformers define their models by, as facts.json has it.

It is written by tests/parity/make_facts.py from their own definitions. A file
of weights does not tell all of it: the number of heads in a fused qkv, the form
of GELU, the kind of pooling, the epsilon of norms.
"""

from collections.abc import Mapping
import functools
import json
import pathlib
from typing import Any, NamedTuple

from vit_jax.checkpoints.base import CONFIG, Source
from vit_jax.core import errors

_FILE = pathlib.Path(__file__).with_name("facts.json")
# Entries of config.json beside those of timm's pretrained_cfg.
_TOP = ("architecture", "num_features", "global_pool", "model_args", "labels")
_TOP += ("pretrained_cfg", "vit_jax")


@functools.cache
def _read() -> dict[str, Any]:
  return json.loads(_FILE.read_text())


def defaults(constructor: str) -> dict[str, Any]:
  """The default arguments of one of timm's classes."""
  return dict(_read()["timm"]["defaults"][constructor])


def architectures(constructor: str) -> dict[str, dict[str, Any]]:
  """All arguments of timm's architectures of a class, by their names."""
  return {
    name: {**defaults(cls), **args}
    for name, (cls, args) in _read()["timm"]["architectures"].items()
    if cls == constructor
  }


class Arguments(NamedTuple):
  """The arguments that timm would make a file's model with.

  Attributes:
    values: all of them, with the defaults of the architecture or, where there
      is none, those of the class.
    written: those that stand in the file's config.json.
    architecture: its name there, or "".
  """

  values: dict[str, Any]
  written: Mapping[str, Any]
  architecture: str

  def changed(self, **args: Any) -> "Arguments":
    """The same with other arguments, as if they stood in config.json."""
    values, written = {**self.values, **args}, {**self.written, **args}
    return self._replace(values=values, written=written)


def timm_arguments(source: Source, constructor: str) -> Arguments:
  """What the config.json of timm tells about a model.

  Raises:
    CheckpointError: the architecture is not known, is of another class, or
      there are entries that are not understood.
  """
  top = source.config
  table = _read()["timm"]
  hub = top.get("pretrained_cfg", {})
  for place, content in (("", top), ("pretrained_cfg.", hub)):
    _check_keys(source, place, content, (*_TOP, *table["pretrained_cfg"]))
  name = top.get("architecture") or ""
  short = name.partition(".")[0]
  short = table["renamed"].get(name, table["renamed"].get(short, short))
  values = defaults(constructor)
  values.pop("img_size", None)
  if name:
    cls, args = table["architectures"].get(short, ("", {}))
    if cls != constructor:
      raise errors.CheckpointError(
        f"{source.path}: architecture={name} of its {CONFIG} is no"
        f" {constructor} of timm {table['version']}, as the names of its"
        " tensors are; correct it there"
      )
    values |= args
  if hub.get("input_size"):
    values["img_size"] = hub["input_size"][1:]
  written = top.get("model_args") or {}
  return Arguments({**values, **written}, written, name)


def transformers_config(source: Source, model_type: str) -> dict[str, Any]:
  """config.json with the defaults of its class, or else of `model_type`.

  Raises:
    CheckpointError: it is of a class that is not known, or has entries that
      are not understood.
  """
  table = _read()["transformers"]
  written = source.config.get("model_type", model_type)
  if written not in table["configs"]:
    raise errors.CheckpointError(
      f"{source.path}: model_type={written} of its {CONFIG} is not supported"
      f" (there are: {', '.join(table['configs'])})"
    )
  values = table["configs"][written]
  keys = (*table["common"], *values, "vit_jax")
  _check_keys(source, "", source.config, keys)
  return {**values, **source.config}


def _check_keys(
  source: Source, place: str, content: Mapping[str, Any], known: tuple[str, ...]
) -> None:
  unknown = sorted(set(content) - set(known))
  if unknown:
    raise errors.CheckpointError(
      f"{source.path}: {', '.join(place + x for x in unknown)} in its {CONFIG}:"
      " not understood; remove what does not change the model's outputs"
    )
