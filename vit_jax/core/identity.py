"""What makes a run the run it is: the fields of its config but `runtime`.

A run is resumed with the same identity only; sweeps name runs by it.
"""

from collections.abc import Mapping
import dataclasses
import hashlib
import json
import types
import typing
from typing import Any

from vit_jax.core import config as config_lib, parts


def leaves(config: config_lib.Group) -> dict[str, Any]:
  """Leaf values by dotted path."""
  flat: dict[str, Any] = {}

  def visit(node: config_lib.Group, prefix: str) -> None:
    for key, value in node.items():
      if isinstance(value, Mapping | config_lib.ConfigDict):
        visit(value, f"{prefix}{key}.")
      else:
        flat[prefix + key] = value

  visit(config, "")
  # As it is read back from a file: tuples, also nested ones, are lists.
  return json.loads(json.dumps(flat, sort_keys=True))


def added_fields(cls: Any, config: Any) -> dict[str, Any]:
  """The defaults by dotted path of all `added` fields of a config of `cls`."""
  defaults: dict[str, Any] = {}
  hints = typing.get_type_hints(cls)
  for field in dataclasses.fields(cls):
    name, package = field.name, field.metadata.get(config_lib.PACKAGE)
    if config_lib.ADDED in field.metadata:
      defaults[name] = field.default
    groups: dict[str, Any] = {"": config.get(name)}
    if field.metadata.get(config_lib.MANY):
      groups = {f".{k}": v for k, v in config.get(name, {}).items()}
    for key, part in groups.items():
      if isinstance(part, Mapping | config_lib.ConfigDict):
        kind: Any = part.get("name")
        inner = parts.find(package, kind).Config if package else None
        below = added_fields(inner or hints[name], part)
        defaults |= {f"{name}{key}.{k}": v for k, v in below.items()}
  return leaves(defaults)


def of_run(
  config: config_lib.ConfigDict, added: Mapping = types.MappingProxyType({})
) -> dict[str, Any]:
  """Leaf values by dotted path of what makes a run, but for `added_fields`."""
  flat = leaves({k: v for k, v in config.items() if k != config_lib.RUNTIME})
  return {k: v for k, v in flat.items() if k not in added or added[k] != v}


def fingerprint(
  config: config_lib.ConfigDict, added: Mapping = types.MappingProxyType({})
) -> str:
  """SHA-256 of what makes a run."""
  text = json.dumps(of_run(config, added))
  return hashlib.sha256(text.encode()).hexdigest()


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
  """`path: theirs -> ours` for every leaf that differs between identities."""
  absent = "(absent)"
  return [
    f"{key}: {theirs.get(key, absent)!r} -> {ours.get(key, absent)!r}"
    for key in sorted({*ours, *theirs})
    if ours.get(key, absent) != theirs.get(key, absent)
  ]
