"""The preprocessing language: `decode|inception_crop(224)|value_range(-1, 1)`.

Ops stand in the order they run, with Python literals as arguments. What an op
is stands in `op.py`, how its name is found in `lookup.py`.
"""

import ast
import dataclasses
import functools
import itertools
import typing
from typing import Any

import numpy as np

from vit_jax.core import config, errors
from vit_jax.preprocess import fuse, lookup, op


@dataclasses.dataclass(frozen=True)
class Pipeline:
  """Ops in the order they run: host ops, then device ops."""

  ops: tuple[lookup.Op, ...]

  def __post_init__(self):
    for left, right in itertools.pairwise(self.ops):
      if isinstance(left, op.DeviceOp) and isinstance(right, op.HostOp):
        before, name = (lookup.name_of(type(o)) for o in (left, right))
        raise errors.ConfigError(
          f"{name} runs on the host, {before} before it on the device: move"
          f" {name} to the left of {before}"
        )

  @classmethod
  def parse(cls, text: "str | Pipeline") -> "Pipeline":
    """The pipeline that a text describes; `str` of it gives a text again.

    Raises:
      ConfigError: the text cannot be read, an unknown op or argument, a value
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
    """Runs the part of the first host op that needs no pixels; then `host`."""
    for _, o in self.host_steps[:1]:
      example = o.begin(example, rng)
    return example

  def host(
    self, example: dict[str, Any], rng: np.random.Generator
  ) -> dict[str, Any]:
    """Runs the host ops on one example, as it is or as `begin` returned it.

    Features are "image" (bytes or uint8 [h, w, c]), "label", "id" (int).
    """
    for _, o in self.host_steps:
      example = o(example, rng)
    return example

  @functools.cached_property
  def host_steps(self) -> tuple[tuple[str, op.HostOp], ...]:
    """What runs on the host, each with the text of the ops it stands for.

    Some ops are run as one; see `fuse.py`.
    """
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


def _parse_op(node: ast.expr) -> lookup.Op:
  call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
  name = ast.unparse(call.func)
  if not all(word.isidentifier() for word in name.split(".")):
    raise errors.ConfigError(
      f"{ast.unparse(node)} is no op; write name or name(arguments)"
    )
  cls = lookup.find(name)
  with errors.located(name):
    return config.build(cls, _arguments(name, cls, call))


def _arguments(
  name: str, cls: type[lookup.Op], call: ast.Call
) -> dict[str, Any]:
  """All fields of an op, from a call and from the defaults."""
  fields = dataclasses.fields(cls)  # type: ignore[arg-type]
  names = [f.name for f in fields]
  given = [_literal(a) for a in call.args]
  if given and _is_variadic(cls):
    given = [tuple(given)]
  if len(given) > len(names):
    raise errors.ConfigError(
      f"{name} takes {len(names)} arguments ({', '.join(names)}), not"
      f" {len(given)}"
    )
  values = dict(zip(names, given, strict=False))
  for keyword in call.keywords:
    if keyword.arg is None or keyword.arg in values:
      raise errors.ConfigError(
        f"{name}: give {keyword.arg or 'every argument'} once, by name"
        " or by place"
      )
    values[keyword.arg] = _literal(keyword.value)
  missing = [
    f.name
    for f in fields
    if f.name not in values and f.default is dataclasses.MISSING
  ]
  # An unknown name explains a missing one, and gives a better message later.
  if missing and set(values) <= set(names):
    raise errors.ConfigError(
      f"{name} needs {', '.join(missing)}: write {name}({', '.join(missing)})"
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


def _text(o: lookup.Op) -> str:
  arguments = []
  for field in dataclasses.fields(o):  # type: ignore[arg-type]
    value = getattr(o, field.name)
    if _is_variadic(type(o)):
      arguments += map(_shown, value)
    elif field.default is dataclasses.MISSING:
      arguments.append(_shown(value))
    elif value != field.default:
      arguments.append(f"{field.name}={_shown(value)}")
  name = lookup.name_of(type(o))
  return f"{name}({', '.join(arguments)})" if arguments else name


def _shown(value: Any) -> str:
  """The literal that is read as `value`."""
  if isinstance(value, op.Size):
    return str(value)
  return repr(str(value) if hasattr(value, "parse") else value)
