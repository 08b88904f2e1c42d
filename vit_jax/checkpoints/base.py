"""The contract of layouts: ways to publish the weights of one kind of model.

A module of `layouts`, or any other module that is named to `load` and `save`,
defines classes derived from `Layout` that can be made without arguments. A
layout knows the names of its tensors (a table of `keys.Rule`), which model they
belong to, the kind of its file, the JSON files beside it, and how its images
are preprocessed. Nothing outside of a layout knows which layout it is.
"""

import abc
from collections import Counter
from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import pathlib
import re
from typing import Any, ClassVar, Protocol, TypeAlias

from vit_jax.checkpoints import keys, preprocessing
from vit_jax.checkpoints.tensors import Tensors
from vit_jax.core import errors

CONFIG = "config.json"
# Our own entry in config.json, which other programs pass over.
OWN = "vit_jax"
Size: TypeAlias = tuple[int, int]
# The content of JSON files, by the names of the files.
SideFiles: TypeAlias = Mapping[str, Mapping[str, Any]]


class Container(Protocol):
  """A kind of file that holds tensors: the module that reads and writes it."""

  @property
  def SUFFIX(self) -> str:
    """How the names of such files end, such as ".npz"."""
    ...

  def begins(self, head: bytes) -> bool:
    """Whether a file that begins with these nine bytes is of this kind."""
    ...

  def opened(
    self, path: pathlib.Path
  ) -> contextlib.AbstractContextManager[Tensors]:
    """The tensors of a file by name, which is open while they are in use.

    Raises:
      CheckpointError: cut off, damaged, or a claim that cannot be true.
    """
    ...

  def write(self, path: pathlib.Path, arrays: Tensors) -> None:
    """Writes a file and the folders on the way to it.

    Raises:
      StorageError: it cannot be written; what was there before still is.
    """
    ...


class Untold(errors.CheckpointError):
  """A file does not say what its model is; the caller has to."""


@dataclasses.dataclass(frozen=True)
class Source:
  """An opened file, and what lies beside it.

  Attributes:
    path: path of the file.
    tensors: the tensors by canonical name, without buffers.
    side_files: the layout's JSON files beside it, without those that are not
      there.
    image_size: (h, w) in px of the images, if the caller gave it.
    num_heads: H, if the caller gave it.
  """

  path: pathlib.Path
  tensors: Tensors
  side_files: SideFiles = dataclasses.field(default_factory=dict)
  image_size: Size | None = None
  num_heads: int | None = None

  @property
  def config(self) -> Mapping[str, Any]:
    """Its config.json, or empty."""
    return self.side_files.get(CONFIG, {})

  def has(self, pattern: str) -> bool:
    """Whether the whole name of a tensor matches."""
    return any(re.fullmatch(pattern, name) for name in self.tensors)

  def size(self, pattern: str, axis: int, default: int) -> int:
    """The most common size along an axis of the tensors whose names match.

    The majority, so that an error can name the one tensor that differs.
    """
    sizes = Counter(
      tensor.shape[axis]
      for name, tensor in self.tensors.items()
      if re.fullmatch(pattern, name)
      and -len(tensor.shape) <= axis < len(tensor.shape)
    )
    return max(sizes, key=lambda n: sizes[n], default=default)

  def count(self, pattern: str) -> int:
    """The highest number that the pattern's group matches, plus one.

    Raises:
      CheckpointError: it is higher than the file has tensors.
    """
    matches = (re.fullmatch(pattern, name) for name in self.tensors)
    names = {int(match[1]) + 1: match[0] for match in matches if match}
    count = max(names, default=0)
    if count > len(self.tensors) + 1:
      raise errors.CheckpointError(
        f"{self.path}: {names[count]} in a file of {len(self.tensors)} tensors"
      )
    return count

  def depths(self, pattern: str, first: int = 0) -> tuple[int, ...]:
    """The number of blocks in each stage; both are numbered from `first` on.

    The pattern is a regex of a block's names, with its number as a group and
    {} for the number of the stage.
    """
    depths: list[int] = []
    while count := self.count(pattern.format(len(depths) + first)):
      depths.append(count - first)
    return tuple(depths)


@dataclasses.dataclass
class Inferred:
  """A model's config, and sentences about what the file does not say."""

  config: Any
  assumptions: list[str] = dataclasses.field(default_factory=list)


class Layout(abc.ABC):
  """One way to publish one kind of model.

  Attributes:
    format: its name, such as "timm".
    export: the name that `save` and `convert` know it by, if it differs.
    container: npz, safetensors_io or a module like them.
    model: module of `vit_jax.models`.
    marks: regexes; a file is of this layout if each matches some name. Of
      several such layouts, the one with most marks is taken.
    renamed: (regex, replacement) of names in other versions of the format.
    written_names: (regex, replacement) of names in the version that most
      programs read, which a file gets unless it came with others.
    foreign: (regex, what it is) of tensors of other models that begin like
      this one.
    ignored: regexes of buffers, which hold nothing that was learned.
    vectors: regexes of tensors [1, 1, 1, D] that are [D] in the table.
    resize: how position embeddings of this format are resized, see
      nn/posemb_resize.py.
    implied: values of fields that the format's programs take for granted, and
      that its files cannot say.
    side_names: names of the JSON files beside the weights.
  """

  format: ClassVar[str]
  export: ClassVar[str] = ""
  container: ClassVar[Container]
  model: ClassVar[str]
  marks: ClassVar[tuple[str, ...]]
  renamed: ClassVar[Sequence[tuple[str, str]]] = ()
  written_names: ClassVar[Sequence[tuple[str, str]]] = ()
  foreign: ClassVar[Sequence[tuple[str, str]]] = ()
  ignored: ClassVar[Sequence[str]] = ()
  vectors: ClassVar[Sequence[str]] = ()
  resize: ClassVar[str] = "linear"
  implied: ClassVar[Mapping[str, Any]] = {}
  side_names: ClassVar[tuple[str, ...]] = ()

  @abc.abstractmethod
  def new(self, source: Source) -> Inferred:
    """The config of the file's model, except for the fields in `ends`."""

  @abc.abstractmethod
  def ends(self, source: Source) -> dict[str, Any]:
    """The fields of what follows the pooling: num_classes, pre_logits_dim."""

  @abc.abstractmethod
  def rules(self, config: Any) -> list[keys.Rule]:
    """The table for a model."""

  @abc.abstractmethod
  def objections(self, config: Any) -> list[str]:
    """The settings of a model that the format cannot hold; empty if none."""

  def infer(self, source: Source, given: Any | None) -> Inferred:
    """The config of the model that the file holds.

    With that of another model as `given`, only what `adapt` can change is taken
    from the file.

    Raises:
      CheckpointError: the file does not say enough, or something impossible.
    """
    inferred = Inferred(given) if given else self.new(source)
    config = dataclasses.replace(inferred.config, **self.ends(source))
    return Inferred(config, inferred.assumptions)

  def folded(self, source: Source) -> tuple[Source, list[str]]:
    """The file with factors that the model has no place for multiplied in.

    It then has the tensors that the table names, and the outputs stay the same
    but for rounding. Also sentences about what was done.

    Raises:
      CheckpointError: a factor does not fit what it scales.
    """
    return source, []

  def notes(self, config: Any) -> list[str]:
    """How the outputs of other programs for the same weights differ."""
    return [
      f"{name}={getattr(config, name)}, but {value} in {self.format}: the same"
      " weights give slightly other outputs there"
      for name, value in self.implied.items()
      if getattr(config, name) != value
    ]

  def preprocess(
    self, source: Source, size: Size, channels: int
  ) -> tuple[str, list[str]]:
    """How images of (h, w) px are prepared, and what was assumed for it.

    Raises:
      CheckpointError: the files ask for what our language has no word for.
    """
    return preprocessing.default(size, channels), []

  def labels(self, source: Source) -> Sequence[Any]:
    """The names of the classes; empty where no file beside it has them."""
    return source.config.get(OWN, {}).get("labels", ())

  def side_files(
    self, config: Any, preprocess: str, labels: Sequence[str], channels: int
  ) -> dict[str, dict[str, Any]]:
    """The JSON files beside the weights of a model with this config.

    They tell the pipeline of its images, their channels, and the names of its
    classes if there are any.
    """
    return {}

  def pixel_notes(
    self, config: Any, preprocess: str, channels: int
  ) -> list[str]:
    """How other programs, by the side files, prepare images otherwise."""
    return []

  def canonical(self, name: str) -> str:
    """The name of a tensor as the table has it."""
    for pattern, replacement in self.renamed:
      name = re.sub(pattern, replacement, name)
    return name

  def own_file(self, weights: pathlib.Path) -> pathlib.Path:
    """The JSON file with our own entry: config.json, or one of its own."""
    if CONFIG in self.side_names:
      return weights.with_name(CONFIG)
    return weights.with_name(f"{weights.name}.json")

  def place(self, out: pathlib.Path) -> pathlib.Path:
    """The file of the weights, in a folder if others lie beside it."""
    suffix = self.container.SUFFIX
    alone = not self.side_names or out.suffix == suffix
    return out if alone else out / f"model{suffix}"


def numbers(count: int) -> tuple[str, ...]:
  """The labels of an axis that is numbered from 0 in names."""
  return tuple(str(i) for i in range(count))
