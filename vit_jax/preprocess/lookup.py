"""Finds the class of an op by its name in the preprocessing language.

`resize` is the class `Resize` of this package. A name with a dot is an op from
outside: `mylab.ops.blur` is the class or function `blur` of the importable
module `mylab.ops`. A class keeps the contract in `op.py`. A function takes
`image`, uint8 [h, w, c], and `rng`, a `np.random.Generator`, and returns the
changed image; its other parameters, each with a type, are the op's arguments.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
import types
import typing
from typing import Any

from vit_jax.core import errors, parts
from vit_jax.preprocess import op

Op = op.HostOp | op.DeviceOp
_PACKAGE = __name__.rpartition(".")[0]


def name_of(cls: type[Op]) -> str:
  """The name by which `find` finds an op."""
  if not cls.__module__.startswith(f"{_PACKAGE}."):
    return f"{cls.__module__}.{cls.__name__}"
  return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def find(name: str) -> type[Op]:
  """The op of that name; a ConfigError if none keeps the contract."""
  if "." in name:
    return _from_outside(name)
  known = known_ops()
  if name not in known:
    raise errors.ConfigError(
      f"unknown op {name}{errors.did_you_mean(name, known)}"
      f" (ops: {', '.join(known)})"
    )
  return known[name]


@functools.cache
def known_ops() -> dict[str, type[Op]]:
  """Every op of this package by name."""
  ops = {}
  for info in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__):
    module = importlib.import_module(f"{_PACKAGE}.{info.name}")
    for part in vars(module).values():
      is_op = isinstance(part, type) and issubclass(part, Op)
      if is_op and "__dataclass_params__" in vars(part):
        ops[name_of(part)] = part
  return dict(sorted(ops.items()))


def _from_outside(path: str) -> type[Op]:
  module_name, _, name = path.rpartition(".")
  try:
    module = parts.import_outside(module_name)
  except errors.ConfigError as e:
    raise errors.ConfigError(f"op {path}: {e}") from None
  return _op_in(module, name, path)


@functools.cache
def _op_in(module: types.ModuleType, name: str, path: str) -> type[Op]:
  """The op that a class or function of a module is."""
  known = {
    k: v
    for k, v in vars(module).items()
    if isinstance(v, type | types.FunctionType)
  }
  try:
    if name not in known:
      raise errors.ConfigError(
        f"no class or function {name}{errors.did_you_mean(name, known)}"
      )
    part = known[name]
    cls = part if isinstance(part, type) else _from_function(path, part)
    _check_contract(cls)
  except errors.ConfigError as e:
    raise errors.ConfigError(f"op {path}: {module.__file__}: {e}") from e
  return cls


def _check_contract(cls: type) -> None:
  """Raises a ConfigError that says what `cls` lacks to be an op."""
  parameters = vars(cls).get("__dataclass_params__")
  fault = ""
  if not issubclass(cls, Op):
    fault = f"must derive from HostOp, ImageOp or DeviceOp of {op.__name__}"
  elif parameters is None or not parameters.frozen:
    fault = "must be a frozen dataclass (@dataclasses.dataclass(frozen=True))"
  elif inspect.isabstract(cls):
    fault = f"must define {', '.join(sorted(cls.__abstractmethods__))}"
  if fault:
    raise errors.ConfigError(f"{cls.__name__} {fault}")
  hints = _hints(cls)
  for field in dataclasses.fields(cls):  # type: ignore[arg-type]
    if not _is_literal(hints[field.name]):
      raise errors.ConfigError(
        f"{cls.__name__}'s argument {field.name} is {hints[field.name]}, not"
        " int, float, bool, str, Literal, a tuple of these or a type with parse"
      )


def _hints(part: Any) -> dict[str, Any]:
  try:
    return typing.get_type_hints(part)
  except NameError as e:
    raise errors.ConfigError(
      f"{part.__name__} has an unknown type ({e})"
    ) from e


def _is_literal(hint: Any) -> bool:
  """Whether the values of a type can be written in the language."""
  if typing.get_origin(hint) is tuple:
    return all(h is ... or _is_literal(h) for h in typing.get_args(hint))
  is_plain = hint in (int, float, bool, str) or hasattr(hint, "parse")
  return is_plain or typing.get_origin(hint) is typing.Literal


def _from_function(path: str, function: types.FunctionType) -> type[Op]:
  """The op class that calls a function, its arguments being the fields."""
  parameters = inspect.signature(function).parameters
  if list(parameters)[:2] != ["image", "rng"]:
    raise errors.ConfigError(
      f"{function.__name__} must begin with the parameters image and rng"
    )
  hints = _hints(function)
  fields = []
  for name, p in list(parameters.items())[2:]:
    if p.kind is not p.POSITIONAL_OR_KEYWORD or name not in hints:
      raise errors.ConfigError(
        f"{function.__name__} must have a type for each argument and no * (it"
        f" has {p})"
      )
    default = [] if p.default is p.empty else [p.default]
    fields.append((name, hints[name], *default))

  def arguments(self) -> list[Any]:
    return [getattr(self, f.name) for f in dataclasses.fields(self)]

  module_name, _, name = path.rpartition(".")
  made = dataclasses.make_dataclass(
    name,
    fields,
    bases=(op.ImageOp,),
    namespace={
      "__doc__": function.__doc__,
      "change": lambda self, image, rng: function(image, rng, *arguments(self)),
      # Pickle would look the class up in the module and find the function.
      "__reduce__": lambda self: (_rebuilt, (path, *arguments(self))),
    },
    frozen=True,
  )
  # From Python 3.12 on it is named after the module that makes it.
  made.__module__ = module_name
  return made


def _rebuilt(path: str, *arguments: Any) -> Op:
  return find(path)(*arguments)
