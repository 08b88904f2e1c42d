"""TFDS data sets in ArrayRecord, read without TensorFlow."""

from collections.abc import Callable
import functools
import re
import shlex
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants
from tensorflow_datasets.proto import tf_example_pb2

from vit_jax.core import errors, storage
from vit_jax.data import base

NAME = re.compile(
  r"(?P<name>\w+)(/(?P<config>\w[\w.+=-]*))?(:(?P<version>\d+\.\d+\.\d+))?"
)
FORMAT = tfds.core.FileFormat.ARRAY_RECORD
# What ArrayRecord raises for a shard that is damaged or cut off.
_UNREADABLE = (RuntimeError, ValueError, OSError)
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Tfds(base.Source):
  """A split, in TFDS's syntax, of the data set in a version directory.

  Images stay encoded. A feature "labels" of lists of classes becomes the padded
  "label" of base.Source.
  """

  def __init__(self, directory: str, split: str):
    self._arguments = (directory, split)
    # TFDS must learn what gs:// is in a worker process as well.
    place = str(storage.path(directory))
    builder: Any = tfds.builder_from_directory(place)
    info, features = builder.info, builder.info.features
    self._parse = _parser(features)
    self._records = builder.as_data_source(
      split=split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )
    label: Any = dict(features.items()).get("label")
    self._num_labels = 0
    if label is None and _is_labels(dict(features.items()).get("labels")):
      label = features["labels"].feature
      self._num_labels = _num_labels(info)
    is_class = isinstance(label, tfds.features.ClassLabel)
    self.num_classes = (label.num_classes or 0) if is_class else 0
    self.class_names = tuple(label.names) if is_class else ()
    self._shards = info.splits[split].file_instructions
    self.fingerprint: dict[str, Any] = {
      "name": info.full_name.rpartition("/")[0],
      "version": str(info.version),
      "split": split,
      "shard_sizes": [
        [f.filename.rpartition("/")[2], f.skip, f.take] for f in self._shards
      ],
      "split_bytes": {k: int(v.num_bytes) for k, v in info.splits.items()},
    }

  def __reduce__(self):
    # A worker process opens its own files.
    return Tfds, self._arguments

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    try:
      example = {**self._parse(self._records[index]), "id": index}
    except _UNREADABLE as e:
      reason = " ".join(str(e).split())
      raise errors.DataError(
        f"{self.where(index)} cannot be read: {reason[:200]}"
      ) from e
    return self._padded(example) if self._num_labels else example

  def _padded(self, example: dict[str, Any]) -> dict[str, Any]:
    """Labels as int32 [K] with -1, confidences as float32 [K] with 0."""
    labels = example.pop("labels")
    if len(labels) > self._num_labels:
      raise errors.DataError(
        f"{self.where(example['id'])} has {len(labels)} labels, more than the"
        f" {self._num_labels} of metadata.json"
      )
    padded = np.full(self._num_labels, -1, np.int32)
    padded[: len(labels)] = labels
    example["label"] = padded
    if "confidences" in example:
      confidences = np.zeros(self._num_labels, np.float32)
      confidences[: len(labels)] = example["confidences"]
      example["confidences"] = confidences
    return example

  def where(self, index: int) -> str:
    for shard in self._shards:
      if index < shard.take:
        return f"{shard.filename}, record {shard.skip + index}"
      index -= shard.take
    raise IndexError(index)


def _parser(
  features: tfds.features.FeaturesDict,
) -> Callable[[bytes], dict[str, Any]]:
  """The function that makes an example from a record.

  TFDS's own parser knows every feature. It takes four times as long as ours,
  which is used if all features are encoded images, texts, classes and lists of
  classes.
  """
  plain = {key: _plain(feature) for key, feature in features.items()}
  simple = {key: read for key, read in plain.items() if read}
  if len(simple) == len(plain):
    return functools.partial(_parse, simple)
  decoders = {
    key: tfds.decode.SkipDecoding()
    for key, feature in features.items()
    if isinstance(feature, tfds.features.Image)
  }
  parse: Any = features.deserialize_example_np
  return functools.partial(parse, decoders=decoders)


def _plain(feature: Any) -> Callable[[Any], Any] | None:
  """The function that reads a feature from its message; None if not simple."""
  # Not isinstance: a class derived from one of these may store more.
  if type(feature) in (tfds.features.Image, tfds.features.Text):
    return lambda message: message.bytes_list.value[0]
  if type(feature) is tfds.features.ClassLabel:
    return lambda message: message.int64_list.value[0]
  if _is_labels(feature):
    return lambda message: list(message.int64_list.value)
  return None


def _parse(
  plain: dict[str, Callable[[Any], Any]], record: bytes
) -> dict[str, Any]:
  # protoc's classes are made at run time, where pyright does not see them.
  example_class = tf_example_pb2.Example  # type: ignore[attr-defined]
  features = example_class.FromString(record).features.feature
  return {key: read(features[key]) for key, read in plain.items()}


def _is_labels(feature: Any) -> bool:
  return isinstance(feature, tfds.features.Sequence) and isinstance(
    feature.feature, tfds.features.ClassLabel
  )


def _num_labels(info: tfds.core.DatasetInfo) -> int:
  """The largest number of labels of an example, as `data prepare` noted it."""
  number = (info.metadata or {}).get("num_labels")
  if type(number) is not int or not 0 < number < 2**16:
    raise errors.ConfigError(
      f"{{name}} has lists of labels, but {info.data_dir}/metadata.json has no"
      " num_labels, the largest number of labels of an example; write it there",
      {"name": f"tfds:{info.name}"},
    )
  return number


def open_source(rest: str, split: str, data_dir: str) -> Tfds:
  """A split of "NAME[/CONFIG][:VERSION]" below `data_dir`.

  Raises:
    ConfigError: no such data set, version or split, or one that is not in
      ArrayRecord.
  """
  directory, info = built(rest, data_dir)
  known = sorted(info.splits)
  try:
    instructions = info.splits[split].file_instructions
  except (ValueError, KeyError, AssertionError) as e:
    word = re.split(r"\W", split)[0]
    raise errors.ConfigError(
      f"{{split}} is not a split of tfds:{rest}"
      f"{errors.did_you_mean(word, known)} (splits: {', '.join(known)}, and"
      " parts of them such as train[:90%])",
      {"split": split},
    ) from e
  if not instructions:
    raise errors.ConfigError("{split} has no examples", {"split": split})
  return Tfds(directory, split)


def split_names(rest: str, data_dir: str) -> tuple[str, ...]:
  """The splits of a prepared data set."""
  return tuple(built(rest, data_dir)[1].splits)


def built(rest: str, data_dir: str) -> tuple[str, Any]:
  """The directory and the tfds.core.DatasetInfo of a data set.

  Raises:
    ConfigError: no such data set or version, or one that is not in
      ArrayRecord.
  """
  directory = find(rest, data_dir)
  info = tfds.builder_from_directory(directory).info
  check_format(info, rest)
  return directory, info


def check_format(info: Any, rest: str) -> None:
  """Raises a ConfigError for a data set that is not in ArrayRecord."""
  if FORMAT not in info.available_file_formats():
    home = str(info.data_dir).removesuffix(f"/{info.full_name}")
    raise errors.ConfigError(
      f"{{name}} in {info.data_dir} is in {info.file_format.value}, which"
      " cannot be read at random; convert it into another directory:"
      f" {_remedy(rest, 'DIR')} --from_dir={shlex.quote(home)}",
      {"name": f"tfds:{rest}"},
    )


def root(data_dir: str) -> storage.AnyPath:
  """The directory of all data sets."""
  return storage.path(data_dir or constants.DATA_DIR).expanduser()


def parse(rest: str) -> dict[str, str]:
  """Name, config and version ("" if absent) of "NAME[/CONFIG][:VERSION]"."""
  match = NAME.fullmatch(rest)
  if not match:
    raise errors.ConfigError(
      "{name} must be tfds:NAME[/CONFIG][:VERSION], such as tfds:digits or"
      " tfds:imagenet2012:5.1.0",
      {"name": f"tfds:{rest}"},
    )
  return match.groupdict("")


def is_built(directory: storage.AnyPath) -> bool:
  """Whether a version directory holds a complete data set."""
  return (directory / "dataset_info.json").exists()


def find(rest: str, data_dir: str) -> str:
  """The version directory of a data set; the newest where none is named."""
  parts = parse(rest)
  home = root(data_dir)
  place = home / parts["name"] / parts["config"]
  versions = _versions(place)
  version = parts["version"] or (versions or [""])[-1]
  if version in versions:
    return str(place / version)
  others = [d for d in _directories(home) if d != "downloads"]
  configs = [d for d in _directories(place) if _versions(place / d)]
  if versions:
    known = f"versions there: {', '.join(versions)}"
  elif configs and not parts["config"]:
    known = f"it has the configs {', '.join(configs)}: name one after a /"
  else:
    hint = errors.did_you_mean(parts["name"], {*others} - {parts["name"]})
    known = f"data sets there: {', '.join(others) or 'none'}{hint}"
  raise errors.ConfigError(
    f"{{name}} is not prepared in {home} ({known}); run:"
    f" {_remedy(rest, data_dir)}",
    {"name": f"tfds:{rest}"},
  )


def _versions(place: storage.AnyPath) -> list[str]:
  """Prepared versions, the newest last."""
  return sorted(
    (
      d
      for d in _directories(place)
      if _VERSION.fullmatch(d) and is_built(place / d)
    ),
    key=lambda v: tuple(map(int, v.split("."))),
  )


def _directories(place: storage.AnyPath) -> list[str]:
  if not place.is_dir():
    return []
  return sorted(d.name for d in place.iterdir() if d.is_dir())


def _remedy(rest: str, data_dir: str) -> str:
  where = [f"--data_dir={data_dir}"] if data_dir else []
  return shlex.join(
    ["python", "-m", "vit_jax", "data", "prepare", f"tfds:{rest}", *where]
  )
