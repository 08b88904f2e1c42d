"""Named trees: '/'-joined names of leaves, and masks made from regexes."""

from collections.abc import Callable, Iterable, Mapping
import re
from typing import Any

import jax

from vit_jax.core import errors


def _part(key: Any) -> str:
  for attribute in ("key", "name", "idx"):
    if hasattr(key, attribute):
      return str(getattr(key, attribute))
  raise TypeError(f"no name for the tree key {key!r}")


def name_of(path: Iterable[Any]) -> str:
  """The '/'-joined name of a JAX key path."""
  return "/".join(_part(key) for key in path)


def flatten(tree: Any) -> dict[str, Any]:
  """Leaves by name, in the tree's own order."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {name_of(path): leaf for path, leaf in leaves}


def map_named(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
  """`jax.tree.map` whose function also gets the leaf's name first."""
  return jax.tree_util.tree_map_with_path(
    lambda path, *leaves: f(name_of(path), *leaves), tree, *rest
  )


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
  """Nested dicts from '/'-joined names."""
  tree: dict[str, Any] = {}
  for name, leaf in flat.items():
    *parents, last = name.split("/")
    node = tree
    for part in parents:
      node = node.setdefault(part, {})
    node[last] = leaf
  return tree


def first_match(tree: Any, patterns: Iterable[str]) -> Any:
  """For each leaf the index of the first pattern its whole name matches.

  Leaves that match none get -1.

  Raises:
    ConfigError: a pattern is not a regex, or is the first match of no leaf; a
      rule without effect is more often a typo than an intention.
  """
  compiled = []
  for pattern in patterns:
    try:
      compiled.append(re.compile(pattern))
    except re.error as e:
      raise errors.ConfigError(f"{pattern!r} is not a regex: {e}") from e
  used = set()

  def index(name: str, _: Any) -> int:
    for i, regex in enumerate(compiled):
      if regex.fullmatch(name):
        used.add(i)
        return i
    return -1

  out = map_named(index, tree)
  for i, regex in enumerate(compiled):
    if i not in used:
      names = list(flatten(tree))
      raise errors.ConfigError(
        f"the pattern {regex.pattern!r} matches none of {len(names)} names"
        f" that no earlier pattern took (such as {', '.join(names[:3])})"
      )
  return out


def mask(tree: Any, patterns: Iterable[str]) -> Any:
  """Tree of booleans: whether any pattern matches the leaf's whole name."""
  return jax.tree.map(lambda i: i >= 0, first_match(tree, patterns))
