"""The layouts that are known: one module for each format and kind of model."""

import functools
import importlib
import inspect
import pkgutil
import types

from vit_jax.checkpoints.base import Layout
from vit_jax.core import errors, parts

_CONTRACT = "see vit_jax/checkpoints/base.py"


@functools.cache
def find_all() -> tuple[Layout, ...]:
  """The layouts of this folder, in the order in which a file is compared."""
  modules = [
    importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
  ]
  return _sorted([x for module in modules for x in _defined_in(module)[0]])


def named(name: str) -> tuple[Layout, ...]:
  """The layouts of a format, of a module of this folder, or of any module.

  The last has a dotted name, and is imported.

  Raises:
    ConfigError: there is none, or it breaks the contract of layouts.
  """
  if "." in name:
    return _outside(name)
  layouts = {
    x: (x.format, x.export, type(x).__module__.rpartition(".")[2])
    for x in find_all()
  }
  known = sorted({word for words in layouts.values() for word in words if word})
  errors.check_one_of("layout", name, known)
  return tuple(x for x, words in layouts.items() if name in words)


def _outside(name: str) -> tuple[Layout, ...]:
  try:
    module = parts.import_outside(name)
  except errors.ConfigError as e:
    raise errors.ConfigError(f"{{layout}}: {e}", {"layout": name}) from None
  layouts, faults = _defined_in(module)
  if faults or not layouts:
    file = module.__file__ or name
    raise errors.ConfigError(
      f"{file} {'; '.join(faults) or 'defines no class derived from Layout'};"
      f" {_CONTRACT}"
    )
  return _sorted(layouts)


def _sorted(layouts: list[Layout]) -> tuple[Layout, ...]:
  return tuple(sorted(layouts, key=lambda layout: -len(layout.marks)))


def _defined_in(module: types.ModuleType) -> tuple[list[Layout], list[str]]:
  """The complete layouts of a module, and what its other layouts lack."""
  layouts, faults = [], []
  needed = ("format", "container", "model", "marks")
  for cls in vars(module).values():
    if (
      inspect.isclass(cls)
      and issubclass(cls, Layout)
      and cls.__module__ == module.__name__
    ):
      missing = [name for name in needed if not hasattr(cls, name)]
      missing += sorted(cls.__abstractmethods__)
      if missing and not cls.__subclasses__():
        faults.append(f"defines {cls.__name__} without {', '.join(missing)}")
      elif not missing:
        layouts.append(cls())
  return layouts, faults
