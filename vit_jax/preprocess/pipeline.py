"""The preprocessing language: `decode|inception_crop(224)|value_range(-1, 1)`.

Ops stand in the order they run, with Python literals as arguments. The op
names are the classes of this package's modules (see `op.py`).
"""

import ast
import dataclasses
import functools
import importlib
import itertools
import pkgutil
import re
import typing
from typing import Any

import numpy as np

from vit_jax.core import config, errors
from vit_jax.preprocess import fuse, op

Op = op.HostOp | op.DeviceOp


@dataclasses.dataclass(frozen=True)
class Pipeline:
  """Ops in the order they run: host ops, then device ops."""

  ops: tuple[Op, ...]

  def __post_init__(self):
    for left, right in zip(self.ops, self.ops[1:], strict=False):
      if isinstance(left, op.DeviceOp) and isinstance(right, op.HostOp):
        raise errors.ConfigError(
          f"{_name(type(right))} runs on the host, {_name(type(left))} before"
          f" it on the device: move {_name(type(right))} to the left of"
          f" {_name(type(left))}"
        )

  @classmethod
  def parse(cls, text: "str | Pipeline") -> "Pipeline":
    """The pipeline that `str` of it would show.

    Raises:
      ConfigError: what cannot be read, an unknown op or argument, a value
        outside its range, or a host op after a device op.
    """
    if isinstance(text, Pipeline):
      return text
    try:
      node = ast.parse(text.strip(), mode="eval").body
    except (AttributeError, SyntaxError, ValueError) as e:
      raise errors.ConfigError(
        "cannot be read; write ops with a | between them, such as"
        " 'decode|resize(224)|value_range(-1, 1)'"
      ) from e
    nodes = []
    # a|b|c is (a|b)|c in Python's grammar.
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
      nodes.append(node.right)
      node = node.left
    return cls(tuple(_parse_op(n) for n in (node, *reversed(nodes))))

  def __str__(self) -> str:
    return "|".join(_text(o) for o in self.ops)

  def begin(
    self, example: dict[str, Any], rng: np.random.Generator
  ) -> dict[str, Any]:
    """Runs what of the first host op needs no pixels, before `host`."""
    for _, o in self.host_steps[:1]:
      example = o.begin(example, rng)
    return example

  def host(
    self, example: dict[str, Any], rng: np.random.Generator
  ) -> dict[str, Any]:
    """Runs the host ops on one example.

    Args:
      example: "image" (bytes or uint8 [h, w, c]), "label", "id" (int); or
        what `begin` made of it.
      rng: the source of all that is random.
    """
    for _, o in self.host_steps:
      example = o(example, rng)
    return example

  @functools.cached_property
  def host_steps(self) -> tuple[tuple[str, op.HostOp], ...]:
    """What runs on the host, by the text of the ops it stands for; see fuse."""
    ops = [o for o in self.ops if isinstance(o, op.HostOp)]
    texts = map(_text, ops)
    return tuple(
      ("|".join(itertools.islice(texts, count)), o)
      for o, count in fuse.fused(ops)
    )

  def device(self, batch: dict[str, Any]) -> dict[str, Any]:
    """Runs the device ops on a batch; call it inside `jit`."""
    for o in self.ops:
      if isinstance(o, op.DeviceOp):
        batch = o(batch)
    return batch


@functools.cache
def known_ops() -> dict[str, type]:
  """Every op by name."""
  package = __name__.rpartition(".")[0]
  path = importlib.import_module(package).__path__
  found = {}
  for info in pkgutil.iter_modules(path):
    module = importlib.import_module(f"{package}.{info.name}")
    for cls in vars(module).values():
      is_op = isinstance(cls, type) and issubclass(cls, Op)
      if is_op and dataclasses.is_dataclass(cls):
        found[_name(cls)] = cls
  return dict(sorted(found.items()))


def _name(cls: type) -> str:
  return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def _parse_op(node: ast.expr) -> Op:
  call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
  if not isinstance(call.func, ast.Name):
    raise errors.ConfigError(
      f"{ast.unparse(node)} is no op; write name or name(arguments)"
    )
  name, known = call.func.id, known_ops()
  if name not in known:
    raise errors.ConfigError(
      f"unknown op {name}{errors.did_you_mean(name, known)}"
      f" (ops: {', '.join(known)})"
    )
  try:
    return config.build(known[name], _arguments(known[name], call))
  except errors.ConfigError as e:
    raise e.under(name) from None


def _arguments(cls: type, call: ast.Call) -> dict[str, Any]:
  """All fields of an op, from a call and from the defaults."""
  fields = dataclasses.fields(cls)
  names = [f.name for f in fields]
  given = [_literal(a) for a in call.args]
  if given and _is_variadic(cls):
    given = [tuple(given)]
  if len(given) > len(names):
    raise errors.ConfigError(
      f"{_name(cls)} takes {len(names)} arguments ({', '.join(names)}), not"
      f" {len(given)}"
    )
  values = dict(zip(names, given, strict=False))
  for keyword in call.keywords:
    if keyword.arg is None or keyword.arg in values:
      raise errors.ConfigError(
        f"{_name(cls)}: give {keyword.arg or 'every argument'} once, by name"
        " or by place"
      )
    values[keyword.arg] = _literal(keyword.value)
  missing = [
    f.name
    for f in fields
    if f.name not in values and f.default is dataclasses.MISSING
  ]
  # An unknown name explains a missing one, so it is left to be told first.
  if missing and set(values) <= set(names):
    raise errors.ConfigError(
      f"{_name(cls)} needs {', '.join(missing)}: write"
      f" {_name(cls)}({', '.join(missing)})"
    )
  defaults = {f.name: f.default for f in fields if f.name not in missing}
  return {**defaults, **values}


def _is_variadic(cls: type) -> bool:
  """Whether the arguments are the entries of the op's only field."""
  hints = list(typing.get_type_hints(cls).values())
  return len(hints) == 1 and Ellipsis in typing.get_args(hints[0])


def _literal(node: ast.expr) -> Any:
  try:
    return ast.literal_eval(node)
  except (ValueError, TypeError) as e:
    raise errors.ConfigError(
      f"{ast.unparse(node)} is no literal; write numbers, (tuples), True,"
      " False or 'text'"
    ) from e


def _text(o: Op) -> str:
  arguments = []
  for field in dataclasses.fields(o):  # type: ignore[arg-type]
    value = getattr(o, field.name)
    shown = str(value) if isinstance(value, op.Size) else repr(value)
    if isinstance(value, Pipeline):
      shown = repr(str(value))
    if _is_variadic(type(o)):
      arguments += map(repr, value)
    elif field.default is dataclasses.MISSING:
      arguments.append(shown)
    elif value != field.default:
      arguments.append(f"{field.name}={shown}")
  name = _name(type(o))
  return f"{name}({', '.join(arguments)})" if arguments else name
