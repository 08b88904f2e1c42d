"""Configs: Python files -> ConfigDict -> validated frozen dataclasses.

A config file defines `get_config(arg="") -> ConfigDict`. It starts from the
defaults of the frozen dataclasses that stand next to the code they configure
(`to_config_dict`), so every field exists and can be overridden. `build` turns
the ConfigDict back into those dataclasses; their `__post_init__` is where
values are checked.

A component is a part of a config that can be of several kinds (a model, a
task, ...). Its kind is the file name of the module that defines it, kept under
the key `name`; the module holds a frozen dataclass called `Config`.
"""

from collections.abc import Mapping
import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import json
import pathlib
import pkgutil
import sys
import types
import typing
from typing import Any, TypeAlias, TypeVar

import ml_collections

from vit_jax.core import errors

ConfigDict = ml_collections.ConfigDict
Group: TypeAlias = Mapping[str, Any] | ConfigDict
T = TypeVar("T")
_PACKAGE = "package"
_MANY = "many"
_ADDED = "added"
_NONE: Mapping[str, Any] = types.MappingProxyType({})
# The part of a config that may differ when a run is resumed.
RUNTIME = "runtime"


def component(package: str, default: str) -> Any:
  """A dataclass field that holds the `Config` of one module of `package`."""
  return dataclasses.field(
    default_factory=lambda: module_of(package, default).Config(),
    metadata={_PACKAGE: package},
  )


def components(package: str) -> Any:
  """A dataclass field that holds any number of named components."""
  return dataclasses.field(
    default_factory=dict, metadata={_PACKAGE: package, _MANY: True}
  )


def added(default: Any) -> Any:
  """A field that earlier versions lack; their runs have its default."""
  return dataclasses.field(default=default, metadata={_ADDED: True})


def module_of(package: str, name: str) -> types.ModuleType:
  """The module `package.name`, or a ConfigError that lists what there is."""
  path = importlib.import_module(package).__path__
  files = {m.name for m in pkgutil.iter_modules(path)}
  if name in files:
    module = importlib.import_module(f"{package}.{name}")
    if hasattr(module, "Config"):
      return module
  modules = {f: importlib.import_module(f"{package}.{f}") for f in files}
  known = sorted(
    f for f, module in modules.items() if hasattr(module, "Config")
  )
  raise errors.ConfigError(
    f"unknown {{name}}{errors.did_you_mean(name, known)}"
    f" (there are: {', '.join(known)})",
    {"name": name},
  )


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
    if field.metadata.get(_MANY):
      out[field.name] = {k: _plain_component(v) for k, v in value.items()}
    elif _PACKAGE in field.metadata:
      out[field.name] = _plain_component(value)
    elif hasattr(type(value), "parse"):
      out[field.name] = str(value)
    elif dataclasses.is_dataclass(value):
      out[field.name] = _plain(value)
    else:
      out[field.name] = value
  return out


def _plain_component(obj: Any) -> dict[str, Any]:
  return {"name": type(obj).__module__.rsplit(".", 1)[-1], **_plain(obj)}


def load(
  path: str, arg: str = "", overrides: Mapping[str, Any] | None = None
) -> ConfigDict:
  """Runs a config file and applies overrides; the result is locked.

  Args:
    path: the Python file.
    arg: what is handed to its `get_config`.
    overrides: values by dotted path; each path must exist.

  Raises:
    ConfigError: no such file, no `get_config`, or an override that does not
      fit a field.
  """
  config = _run(path, arg)
  config.lock()
  for key, value in (overrides or {}).items():
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


def _run(path: str, arg: str) -> ConfigDict:
  file = pathlib.Path(path)
  if not file.is_file():
    near = [str(p) for p in sorted(file.parent.glob("*.py"))]
    raise errors.ConfigError(
      f"config={path} is no file{errors.did_you_mean(path, near)}"
    )
  spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
  if spec is None or spec.loader is None:
    raise errors.ConfigError(f"config={path} is not a Python file (*.py)")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except SyntaxError as e:
    raise errors.ConfigError(f"config={path}, line {e.lineno}: {e.msg}") from e
  if not hasattr(module, "get_config"):
    raise errors.ConfigError(f"config={path} defines no get_config(arg)")
  try:
    config = module.get_config(arg)
  except (AttributeError, KeyError) as e:
    raise errors.ConfigError(f"config={path}: {e.args[0]}") from e
  if not isinstance(config, ConfigDict):
    raise errors.ConfigError(
      f"config={path}: get_config returned a {type(config).__name__},"
      " not a ConfigDict"
    )
  return config


def parse_arg(arg: str, **defaults: Any) -> types.SimpleNamespace:
  """Parses `key=value,...` with the types of the given defaults.

  `model=vit,variant=B/16,res=384` -> namespace with these attributes; keys
  that are not given keep their default, unknown ones are a ConfigError.
  """
  values = dict(defaults)
  for item in filter(None, arg.split(",")):
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
      if _ADDED in field.metadata:
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
  package: Any = metadata.get(_PACKAGE)
  nested = dataclasses.is_dataclass(hint) and not hasattr(hint, "parse")
  if not package and not nested:
    return _leaf(name, hint, value)
  group = _group(name, value)
  with errors.located(name):
    if metadata.get(_MANY):
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
  return build(module_of(package, name).Config, rest)


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


def leaves(config: Group) -> dict[str, Any]:
  """Leaf values by dotted path."""
  flat: dict[str, Any] = {}

  def visit(node: Group, prefix: str) -> None:
    for key, value in node.items():
      if isinstance(value, Mapping | ConfigDict):
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
    name, package = field.name, field.metadata.get(_PACKAGE)
    if _ADDED in field.metadata:
      defaults[name] = field.default
    parts: dict[str, Any] = {"": config.get(name)}
    if field.metadata.get(_MANY):
      parts = {f".{k}": v for k, v in config.get(name, {}).items()}
    for key, part in parts.items():
      if isinstance(part, Mapping | ConfigDict):
        kind: Any = part.get("name")
        inner = module_of(package, kind).Config if package else None
        below = added_fields(inner or hints[name], part)
        defaults |= {f"{name}{key}.{k}": v for k, v in below.items()}
  return leaves(defaults)


def identity(config: ConfigDict, added: Group = _NONE) -> dict[str, Any]:
  """Leaf values by dotted path of what makes a run, but for `added_fields`."""
  flat = leaves({k: v for k, v in config.items() if k != RUNTIME})
  return {k: v for k, v in flat.items() if k not in added or added[k] != v}


def fingerprint(config: ConfigDict, added: Group = _NONE) -> str:
  """SHA-256 of the run's `identity`."""
  text = json.dumps(identity(config, added))
  return hashlib.sha256(text.encode()).hexdigest()


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
  """`path: theirs -> ours` for every leaf that differs between identities."""
  absent = "(absent)"
  return [
    f"{key}: {theirs.get(key, absent)!r} -> {ours.get(key, absent)!r}"
    for key in sorted({*ours, *theirs})
    if ours.get(key, absent) != theirs.get(key, absent)
  ]
