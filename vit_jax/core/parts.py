"""Parts of a run by name: from this package, or from anybody's module.

A part (a model, an objective, a data source, ...) is a module. A plain name is
the name of its file in the package of its kind. A name with dots, such as
`mylab.models.vit2`, is a module from outside; it is importable if the working
directory holds it, PYTHONPATH leads to it, or it is installed.

The package of a kind has a module `base` with the contract of the kind. Its
`DEFINES` maps each name that a part must define to the class it derives from,
or to None.
"""

from collections.abc import Collection, Iterator, Mapping
import contextlib
import contextvars
import hashlib
import importlib
import inspect
import pathlib
import pkgutil
import shlex
import types
from typing import Any

from vit_jax.core import errors

PACKAGE = __name__.partition(".")[0]
# Top-level packages of the modules that were imported from outside, by name.
_outside: dict[str, types.ModuleType] = {}
# The outside modules that may be imported; None is any.
_allowed = contextvars.ContextVar[Collection[str] | None](
  "allowed", default=None
)


def find(package: str, name: str, contract: str = "") -> types.ModuleType:
  """The module of a part.

  Args:
    package: package of its kind, such as "vit_jax.models".
    name: name of a file there, or of a module from outside.
    contract: the module with `DEFINES`; "" is the package's `base`.

  Raises:
    ConfigError: about the field `name`: there is no such part, or it does not
      keep its contract.
  """
  contract = contract or f"{package}.base"
  if "." in name:
    try:
      module = import_outside(name)
      check(module, contract)
    except errors.ConfigError as e:
      raise errors.ConfigError(f"{{name}}: {e}", {"name": name}) from None
    return module
  if name in _files(package):
    module = importlib.import_module(f"{package}.{name}")
    if not _faults(module, contract):
      return module
  known = names(package, contract)
  raise errors.ConfigError(
    f"unknown {{name}}{errors.did_you_mean(name, known)}"
    f" (there are: {', '.join(known)})",
    {"name": name},
  )


def names(package: str, contract: str = "") -> list[str]:
  """The names of all parts in the package of a kind, sorted."""
  contract = contract or f"{package}.base"
  return [
    name
    for name in sorted(_files(package))
    if not _faults(importlib.import_module(f"{package}.{name}"), contract)
  ]


def _files(package: str) -> set[str]:
  path = importlib.import_module(package).__path__
  return {module.name for module in pkgutil.iter_modules(path)}


def name_of(thing: object, package: str = PACKAGE) -> str:
  """The name of the part whose module defines the class of a thing."""
  module = type(thing).__module__
  inside = module.startswith(f"{package}.")
  return module.rpartition(".")[2] if inside else module


def import_outside(name: str) -> types.ModuleType:
  """Imports a module from outside of this package.

  Raises:
    ConfigError: there is none, it has a fault, or it may not be imported here.
  """
  allowed = _allowed.get()
  if allowed is not None and not any(
    f"{name}.".startswith(f"{prefix}.") for prefix in allowed
  ):
    raise errors.ConfigError(
      f"the checkpoint names the module {name} from outside of {PACKAGE}, which"
      " would be run; if you trust that module, give"
      f" --allow_parts={shlex.quote(name.partition('.')[0])}"
    )
  try:
    module = importlib.import_module(name)
  except (ImportError, SyntaxError) as e:
    raise errors.ConfigError(
      f"the module {name} cannot be imported ({e}); its folder must be the"
      " working directory, on PYTHONPATH or installed"
    ) from e
  package = name.partition(".")[0]
  _outside[package] = importlib.import_module(package)
  return module


@contextlib.contextmanager
def only(allowed: Collection[str]) -> Iterator[None]:
  """While a checkpoint is read: imports nothing from outside but these.

  A checkpoint may come from anybody, and to import a module is to run it.

  Args:
    allowed: modules, or packages with all of their modules.
  """
  token = _allowed.set(allowed)
  try:
    yield
  finally:
    _allowed.reset(token)


def check(module: types.ModuleType, contract: str) -> None:
  """Checks that a module keeps the contract of its kind.

  Raises:
    ConfigError: names the module's file and what it lacks.
  """
  faults = _faults(module, contract)
  if faults:
    raise errors.ConfigError(
      f"{module.__file__} {'; it '.join(faults)}; see {contract}"
    )


def _faults(module: types.ModuleType, contract: str) -> list[str]:
  defines: Mapping[str, type | None]
  defines = importlib.import_module(contract).DEFINES
  faults = []
  for name, base in defines.items():
    if not hasattr(module, name):
      faults.append(f"defines no {name}")
    elif base is not None:
      faults += _class_faults(name, getattr(module, name), base)
  return faults


def _class_faults(name: str, part: Any, base: type) -> list[str]:
  if not isinstance(part, type) or not issubclass(part, base):
    where = f"{base.__module__}.{base.__qualname__}"
    return [f"defines a {name} that does not derive from {where}"]
  if inspect.isabstract(part):
    missing = ", ".join(sorted(part.__abstractmethods__))
    return [f"defines a {name} without {missing}"]
  if name == "Config" and not _is_frozen(part):
    return [f"defines a {name} that is no frozen dataclass"]
  return []


def _is_frozen(part: type) -> bool:
  parameters = vars(part).get("__dataclass_params__")
  return parameters is not None and parameters.frozen


def imported() -> set[str]:
  """The packages from outside that were imported; who did so trusts them."""
  return set(_outside)


def fingerprint() -> dict[str, str]:
  """A hash of each source file of the packages that parts were imported from.

  By the name of the file, from its top-level package on.
  """
  hashes = {}
  for _, module in sorted(_outside.items()):
    for folder in map(pathlib.Path, getattr(module, "__path__", ())):
      for path in sorted(folder.rglob("*.py")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        hashes[str(path.relative_to(folder.parent))] = digest
  return hashes
