"""Configs: Python files -> ConfigDict -> validated frozen dataclasses.

A config file defines `get_config(arg="") -> ConfigDict`. It starts from the
defaults of the frozen dataclasses that stand next to the code they configure
(`to_config_dict`), so every field exists and can be overridden. `build` turns
the ConfigDict back into those dataclasses; their `__post_init__` is where
values are checked.

Where values follow from other files, such as a checkpoint or a data set,
`get_config` returns a function without arguments that reads those files and
returns the ConfigDict. A run calls it once, on its first process; a resume
takes the values that were recorded then (`train/inferred.py`).

A component is a group of fields that belongs to a part (a model, a task, ...,
see `core/parts.py`), whose name is kept under the key `name`; the part's module
holds a frozen dataclass called `Config`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import difflib
import json
import re
import sys
import types
import typing
from typing import Any, TypeAlias, TypeVar

import ml_collections

from vit_jax.core import errors, parts, python_files

ConfigDict = ml_collections.ConfigDict
Group: TypeAlias = Mapping[str, Any] | ConfigDict
T = TypeVar("T")
PACKAGE = "package"
MANY = "many"
ADDED = "added"
# The part of a config that may differ when a run is resumed.
RUNTIME = "runtime"


def component(package: str, default: str) -> Any:
  """A dataclass field that holds the `Config` of one module of `package`."""
  return dataclasses.field(
    default_factory=lambda: parts.find(package, default).Config(),
    metadata={PACKAGE: package},
  )


def components(package: str) -> Any:
  """A dataclass field that holds any number of named components."""
  return dataclasses.field(
    default_factory=dict, metadata={PACKAGE: package, MANY: True}
  )


def added(default: Any) -> Any:
  """A field that earlier versions lack; their runs have its default."""
  return dataclasses.field(default=default, metadata={ADDED: True})


def module_for(config: Any) -> types.ModuleType:
  """The module that defines a component's `Config`."""
  return sys.modules[type(config).__module__]


def to_config_dict(obj: Any) -> ConfigDict:
  """The unlocked ConfigDict with every field of a config dataclass."""
  return ConfigDict(_plain(obj))


def _plain(obj: Any) -> dict[str, Any]:
  out = {}
  for field in dataclasses.fields(obj):
    value = getattr(obj, field.name)
    if field.metadata.get(MANY):
      package = field.metadata[PACKAGE]
      out[field.name] = {
        k: _plain_component(v, package) for k, v in value.items()
      }
    elif PACKAGE in field.metadata:
      out[field.name] = _plain_component(value, field.metadata[PACKAGE])
    elif hasattr(type(value), "parse"):
      out[field.name] = str(value)
    elif dataclasses.is_dataclass(value):
      out[field.name] = _plain(value)
    else:
      out[field.name] = value
  return out


def _plain_component(obj: Any, package: str) -> dict[str, Any]:
  name = parts.name_of(obj, package)
  return {"name": name, **_plain(obj)}


def load(
  path: str,
  arg: str = "",
  overrides: Mapping[str, Any] | None = None,
  cls: type | None = None,
  inferred: Group | None = None,
) -> ConfigDict:
  """Runs a config file and applies overrides; the result is locked.

  Args:
    path: the Python file.
    arg: the argument of its `get_config`.
    overrides: values by dotted path; each path must exist. The name of another
      part, such as "model.name", comes first: it replaces the whole group by
      that part's defaults.
    cls: the dataclass that the config is for; knows which groups are parts.
    inferred: what `infer` returned for the same file and argument, if it was
      called before.

  Raises:
    ConfigError: no such file, no `get_config`, or an override that does not
      fit a field.
  """
  config = _run(path, arg)
  if not isinstance(config, ConfigDict):
    config = ConfigDict(_tuples(inferred)) if inferred else config()
  overrides = dict(overrides or {})
  for key in sorted(overrides, key=lambda key: key.count(".")):
    *groups, leaf = key.split(".")
    if cls and groups and leaf == "name":
      _replace_part(cls, config, groups, overrides[key])
  config.lock()
  for key, value in overrides.items():
    parent = parent_of(config, key)
    leaf = key.rsplit(".", 1)[-1]
    try:
      parent[leaf] = value
    except (TypeError, ValueError) as e:
      kind = type(parent[leaf]).__name__
      raise errors.ConfigError(
        f"{key}={value} is a {type(value).__name__}, not a {kind}"
      ) from e
  return config


def infer(path: str, arg: str = "") -> dict[str, Any] | None:
  """The values that a config file infers from other files, before overrides.

  None if it infers nothing. Arguments and errors as those of `load`, and what
  the files that are read raise.
  """
  config = _run(path, arg)
  return None if isinstance(config, ConfigDict) else config().to_dict()


def _tuples(value: Any) -> Any:
  """JSON as values of a config, whose leaves are no lists."""
  if isinstance(value, Mapping):
    return {k: _tuples(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return tuple(map(_tuples, value))
  return value


def _replace_part(cls: Any, config: Any, path: list[str], name: str) -> None:
  """Puts the defaults of the part `name` in the place of the group at `path`.

  Leaves it as it is if it is no part, or has that name already.
  """
  key, *rest = path
  field = next((f for f in dataclasses.fields(cls) if f.name == key), None)
  package = field.metadata.get(PACKAGE) if field else None
  if field and field.metadata.get(MANY) and rest:
    config = config[key]
    key, *rest = rest
  group: Any = config.get(key)
  if field is None or not isinstance(group, ConfigDict):
    return
  if rest:
    inner = typing.get_type_hints(cls)[field.name]
    if package:
      inner = parts.find(package, group.name).Config
    if dataclasses.is_dataclass(inner):
      _replace_part(inner, group, rest, name)
  elif package and group.get("name") != name:
    with errors.located(key):
      defaults = parts.find(package, name).Config()
    config[key] = ConfigDict(_plain_component(defaults, package))


def parent_of(config: ConfigDict, key: str) -> ConfigDict:
  """The ConfigDict that holds the last part of a dotted path."""
  node = parent = config
  seen: list[str] = []
  for part in key.split("."):
    parent = node
    if not isinstance(parent, ConfigDict) or part not in parent:
      fields = list(parent) if isinstance(parent, ConfigDict) else []
      error = _unknown(part, fields)
      raise error.under(".".join(seen)) if seen else error
    node = parent[part]
    seen.append(part)
  if isinstance(node, ConfigDict):
    raise errors.ConfigError(
      f"{key} is a group of fields; set one of them"
      f" ({', '.join(f'{key}.{k}' for k in node)})"
    )
  return parent


def _unknown(key: str, fields: list[str]) -> errors.ConfigError:
  close = difflib.get_close_matches(key, fields, n=1)
  hint = f"; did you mean {{{close[0]}}}?" if close else ""
  return errors.ConfigError(
    f"unknown field {{{key}}}{hint} (fields: {', '.join(sorted(fields))})",
    dict.fromkeys([key, *close], errors.PATH_ONLY),
  )


def _missing(key: str) -> errors.ConfigError:
  return errors.ConfigError(f"missing field {{{key}}}", {key: errors.PATH_ONLY})


def _run(path: str, arg: str) -> ConfigDict | Callable[[], ConfigDict]:
  module = python_files.load_module(path)
  if not hasattr(module, "get_config"):
    raise errors.ConfigError(f"config={path} defines no get_config(arg)")
  try:
    config: Any = module.get_config(arg)
  except (AttributeError, KeyError) as e:
    raise errors.ConfigError(f"config={path}: {e.args[0]}") from e
  if not isinstance(config, ConfigDict) and not callable(config):
    raise errors.ConfigError(
      f"config={path}: get_config returned a {type(config).__name__},"
      " not a ConfigDict"
    )
  return typing.cast(Any, config)


def parse_arg(arg: str, **defaults: Any) -> types.SimpleNamespace:
  """Parses `key=value,...` with the types of the given defaults.

  `model=vit,variant=B/16,res=384` -> namespace with these attributes; keys
  that are not given keep their default, unknown ones are a ConfigError. A comma
  that no `key=` follows belongs to the value, which may be a path.
  """
  values = dict(defaults)
  for item in filter(None, re.split(r",(?=\w+=|$)", arg)):
    key, equals, text = item.partition("=")
    if key not in defaults or not equals:
      raise errors.ConfigError(
        f"unknown config argument {item}"
        f"{errors.did_you_mean(key, defaults)}"
        f" (arguments: {', '.join(f'{k}={v}' for k, v in defaults.items())})"
      )
    kind = type(defaults[key])
    try:
      if kind is bool:
        values[key] = {"true": True, "false": False}[text.lower()]
      else:
        values[key] = kind(text)
    except (ValueError, KeyError) as e:
      raise errors.ConfigError(
        f"config argument {item}: {text!r} is not a {kind.__name__}"
      ) from e
  return types.SimpleNamespace(**values)


def build(cls: type[T], config: Group) -> T:
  """The dataclass `cls` with the values of `config`, checked.

  Raises:
    ConfigError: an unknown or missing field, a value of another type, or a
      rule that one of the dataclasses states about its fields.
  """
  hints = typing.get_type_hints(cls)
  fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
  for key in config:
    if key not in fields:
      raise _unknown(key, list(fields))
  values = {}
  for name, field in fields.items():
    if name not in config:
      if ADDED in field.metadata:
        continue
      raise _missing(name)
    values[name] = _field(name, field.metadata, hints[name], config[name])
  return cls(**values)


def variant(
  cls: type[T], variants: Mapping[str, Group], name: str, overrides: Group
) -> T:
  """The config of a named variant: defaults, what the variant says, overrides.

  Raises:
    ConfigError: no such variant, or overrides that do not fit.
  """
  if name not in variants:
    raise errors.ConfigError(
      f"unknown variant {name}{errors.did_you_mean(name, variants)}"
      f" (there are: {', '.join(variants)})"
    )
  return build(cls, {**to_config_dict(cls()), **variants[name], **overrides})


def _field(name: str, metadata: Mapping[str, Any], hint: Any, value: Any):
  """One field's value: components, a component, a dataclass or a leaf."""
  package: Any = metadata.get(PACKAGE)
  nested = dataclasses.is_dataclass(hint) and not hasattr(hint, "parse")
  if not package and not nested:
    return _leaf(name, hint, value)
  group = _group(name, value)
  with errors.located(name):
    if metadata.get(MANY):
      many = {}
      for key, value in group.items():
        part = _group(key, value)
        with errors.located(key):
          many[key] = _build_component(package, part)
      return many
    if package:
      return _build_component(package, group)
    return build(typing.cast(Any, hint), group)


def _group(name: str, value: Any) -> Group:
  if not isinstance(value, Mapping | ConfigDict):
    raise errors.ConfigError(
      f"{{{name}}} is a {type(value).__name__}, not a group of fields",
      {name: value},
    )
  return value


def _build_component(package: Any, config: Group) -> Any:
  rest = {k: v for k, v in config.items() if k != "name"}
  if "name" not in config:
    raise _missing("name")
  name = _leaf("name", str, config["name"])
  return build(parts.find(package, name).Config, rest)


def _leaf(name: str, hint: Any, value: Any) -> Any:
  """Checks one value against its annotation; parses text where it says so."""
  if hasattr(hint, "parse"):
    try:
      return hint.parse(value)
    except errors.ConfigError as e:
      raise errors.ConfigError(f"{{{name}}}: {e}", {name: value}) from None
  origin, args = typing.get_origin(hint), typing.get_args(hint)
  if origin is typing.Literal:
    errors.check_one_of(name, value, args)
    return value
  if origin is tuple:
    if not isinstance(value, tuple | list):
      raise errors.ConfigError(f"{{{name}}} is not a tuple", {name: value})
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
    if len(kinds) != len(value):
      raise errors.ConfigError(
        f"{{{name}}} has {len(value)} entries, not {len(kinds)}", {name: value}
      )
    return tuple(
      _leaf(name, kind, v) for kind, v in zip(kinds, value, strict=True)
    )
  if hint is float and type(value) is int:
    return float(value)
  # bool is an int in Python, but not in a config.
  if type(value) is not hint:
    raise errors.ConfigError(
      f"{{{name}}} is a {type(value).__name__}, not a {hint.__name__}",
      {name: value},
    )
  return value


def to_json(config: ConfigDict) -> str:
  """Stable text of a config: sorted keys, one line a leaf."""
  return json.dumps(config.to_dict(), indent=2, sort_keys=True)
