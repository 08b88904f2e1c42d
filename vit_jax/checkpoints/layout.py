"""What a layout is: one way to publish the weights of one kind of model.

Each module of `layouts` defines one or two of them. A layout knows its names
(a table of `keys.Rule`), and what model they belong to.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re
from typing import Any, ClassVar, TypeAlias

from vit_jax.checkpoints import keys
from vit_jax.checkpoints.tensors import Tensors
from vit_jax.core import errors

NPZ, SAFETENSORS = "npz", "safetensors"
Sizes: TypeAlias = list[tuple[int, int] | None]


@dataclasses.dataclass(frozen=True)
class Source:
  """An opened file, and what lies beside it.

  Attributes:
    path: of the file.
    tensors: by canonical name, buffers left out.
    config: its config.json, or empty.
    preprocessor: its preprocessor_config.json, or empty.
    image_size: (h, w) in px of the images, if the caller said so.
  """

  path: pathlib.Path
  tensors: Tensors
  config: Mapping[str, Any]
  preprocessor: Mapping[str, Any]
  image_size: tuple[int, int] | None = None

  def sizes(self, given: Any | None) -> Sizes:
    """The image sizes (h, w) in px that are said, by the caller first."""
    return [self.image_size, given.image_size if given else None]

  def has(self, pattern: str) -> bool:
    """Whether a tensor has a name that matches as a whole."""
    return any(re.fullmatch(pattern, name) for name in self.tensors)

  def size(self, pattern: str, axis: int, default: int) -> int:
    """The commonest size along an axis of the tensors of this name.

    The majority, so that a file with one wrong tensor is told which one.
    """
    sizes = Counter(
      tensor.shape[axis]
      for name, tensor in self.tensors.items()
      if re.fullmatch(pattern, name)
      and -len(tensor.shape) <= axis < len(tensor.shape)
    )
    return max(sizes, key=lambda n: sizes[n], default=default)

  def count(self, pattern: str) -> int:
    """One more than the highest number that the pattern's group finds.

    Raises:
      CheckpointError: it is higher than the file has tensors.
    """
    found = (re.fullmatch(pattern, name) for name in self.tensors)
    names = {int(match[1]) + 1: match[0] for match in found if match}
    count = max(names, default=0)
    if count > len(self.tensors) + 1:
      raise errors.CheckpointError(
        f"{self.path}: {names[count]} in a file of {len(self.tensors)} tensors"
      )
    return count


@dataclasses.dataclass
class Inferred:
  """A model's config, and what was taken for granted to come to it."""

  config: Any
  assumptions: list[str] = dataclasses.field(default_factory=list)


class Layout:
  """One way to publish one kind of model.

  Attributes:
    format: what it is called, such as "timm".
    container: "npz" or "safetensors".
    model: module of `vit_jax.models`.
    marks: regexes; a file is of this layout if each matches some name.
    renamed: (regex, replacement) of names in other versions of the format.
    ignored: regexes of buffers, which hold nothing that was learned.
    vectors: regexes of tensors [1, 1, 1, D] that the table has as [D].
    resize: how position embeddings of this format are resized.
  """

  format: ClassVar[str]
  container: ClassVar[str]
  model: ClassVar[str]
  marks: ClassVar[tuple[str, ...]]
  renamed: ClassVar[Sequence[tuple[str, str]]] = ()
  ignored: ClassVar[Sequence[str]] = ()
  vectors: ClassVar[Sequence[str]] = ()
  resize: ClassVar[str] = "linear"

  def canonical(self, name: str) -> str:
    """The name as the table has it."""
    for pattern, replacement in self.renamed:
      name = re.sub(pattern, replacement, name)
    return name

  def infer(self, source: Source, given: Any | None) -> Inferred:
    """The config of the model that the file holds.

    Args:
      source: the file.
      given: the config of the model that it is for; then only what `adapt`
        can change is taken from the file.

    Raises:
      CheckpointError: what cannot be read off the file.
    """
    raise NotImplementedError

  def rules(self, config: Any) -> list[keys.Rule]:
    """The table for a model."""
    raise NotImplementedError

  def objections(self, config: Any) -> list[str]:
    """Why the format cannot hold such a model; empty if it can."""
    raise NotImplementedError

  def notes(self, config: Any) -> list[str]:
    """How the same weights mean something slightly different there."""
    del config
    return []

  def describe(self, config: Any) -> dict[str, Any]:
    """What the format's config.json says about the model, if it has one."""
    del config
    return {}


def numbers(count: int, first: int = 0, digits: int = 1) -> tuple[str, ...]:
  """The labels of an axis that is numbered in names."""
  return tuple(f"{first + i:0{digits}}" for i in range(count))


def differences(config: Any, where: str, **theirs: Any) -> list[str]:
  """How a model differs from theirs in what their files cannot say."""
  return [
    f"{name}={getattr(config, name)}, but {value} in {where}: the same weights"
    " give slightly other outputs there"
    for name, value in theirs.items()
    if getattr(config, name) != value
  ]
