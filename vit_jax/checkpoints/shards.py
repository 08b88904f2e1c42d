"""safetensors files in several parts, with an index.json that names them."""

from collections.abc import Iterator
import contextlib
import json
import pathlib
import re
from typing import Any

from vit_jax.checkpoints import safetensors_io
from vit_jax.checkpoints.tensors import Tensor, refused

SUFFIX = ".safetensors.index.json"
_PART = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")
_MAX_INDEX = 16 << 20
_MAX_PARTS = 1000


def is_part(path: pathlib.Path) -> bool:
  """Whether the name is that of one part of several."""
  return bool(_PART.fullmatch(path.name))


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[dict[str, Tensor]]:
  """The tensors of all parts by name; open while in use.

  Raises:
    CheckpointError: a part is missing, cut off or damaged, or does not hold
      what the index says.
  """
  parts = _parts(path)
  with contextlib.ExitStack() as stack:
    tensors: dict[str, Tensor] = {}
    for part, names in parts.items():
      file = path.with_name(part)
      if not file.is_file():
        raise refused(path, f"its part {part} is not beside it")
      content = stack.enter_context(safetensors_io.opened(file))
      if content.keys() != names:
        name = min(content.keys() ^ names)
        raise refused(path, f"{name} is only in the index or only in {part}")
      tensors |= content
    yield tensors


def _parts(path: pathlib.Path) -> dict[str, set[str]]:
  """The names of the tensors in each part; parts lie beside the index."""
  with path.open("rb") as f:
    text = f.read(_MAX_INDEX + 1)
  if len(text) > _MAX_INDEX:
    raise refused(path, f"over {_MAX_INDEX} bytes of JSON")
  try:
    index: Any = json.loads(text)
    places = dict(index["weight_map"])
  except (ValueError, RecursionError, TypeError, KeyError) as e:
    raise refused(path, f"it has no readable weight_map ({e})") from e
  parts: dict[str, set[str]] = {}
  for name, part in places.items():
    plain = isinstance(part, str) and re.fullmatch(r"[\w-][\w.-]*", part)
    if not plain or not part.endswith(safetensors_io.SUFFIX):
      raise refused(path, f"{part!r} is no name of a file beside it")
    parts.setdefault(part, set()).add(name)
  if len(parts) > _MAX_PARTS:
    raise refused(path, f"it names {len(parts)} parts")
  return parts
