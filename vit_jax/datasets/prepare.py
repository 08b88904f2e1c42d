"""Builds data sets in ArrayRecord: of TFDS, ours, folders and manifests."""

import dataclasses
import importlib
import os
import pathlib
import pkgutil
import re
import types
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager, util

from vit_jax.core import errors, owners
from vit_jax.data import progress
from vit_jax.data.sources import tfds as tfds_source
from vit_jax.datasets import (
  builders,
  catalog,
  checksums,
  convert,
  listed,
  write,
)

_OUT = re.compile(r"([a-z][a-z0-9_]*)(?::(\d+\.\d+\.\d+))?")


@dataclasses.dataclass(frozen=True)
class Options:
  """How to write a data set that is not built by TFDS itself.

  Attributes:
    out: NAME[:VERSION] for a folder or manifest; the version is 1.0.0 if left
      out.
    workers: processes; 0 is one per CPU.
    on_error: "raise" or "skip"; see write.Recipe.
    beam: options of an Apache Beam pipeline, instead of processes.
  """

  out: str = ""
  workers: int = 0
  on_error: str = "raise"
  beam: str = ""

  def __post_init__(self):
    if self.workers < 0:
      raise errors.about(self, "{workers} must be >= 0")
    if self.workers and self.beam:
      raise errors.about(
        self, "{workers} does nothing with {beam}, whose options set it"
      )

  def refuse(self, name: str, *fields: str) -> None:
    """Raises ConfigError for options that would do nothing."""
    for field in fields:
      if getattr(self, field) != getattr(Options(), field):
        raise errors.ConfigError(
          f"{{{field}}} does nothing for {name}", {field: getattr(self, field)}
        )


_PLAIN = Options()


def prepare(
  name: str, data_dir: str = "", from_dir: str = "", options: Options = _PLAIN
) -> str:
  """Builds a data set that does not exist yet and describes it.

  A data set is built completely or not at all.

  Args:
    name: "tfds:NAME[/CONFIG][:VERSION]", with a file of `datasets/builders` or
      any data set of TFDS; "folder:PATH" or "multilabel:MANIFEST".
    data_dir: where to write it; "" is TFDS's own default.
    from_dir: the folder of its official files; or the one that already has it
      in TFRecord, to be converted.
    options: for data sets that TFDS does not build itself.

  Raises:
    ConfigError: no such data set, version or config.
    DataError: it cannot be downloaded, read or written.
    StorageError: not enough room.
  """
  if "://" in data_dir:
    raise errors.ConfigError(
      "{data_dir} must be on a disk or a mounted bucket; copy what was prepared"
      " there: gcloud storage cp -r DIR gs://BUCKET/DIR",
      {"data_dir": data_dir},
    )
  owners.check_folder("data_dir", pathlib.Path(tfds_source.root(data_dir)))
  scheme, _, rest = name.partition(":")
  if scheme in ("folder", "multilabel"):
    return _write_own(scheme, rest, data_dir, from_dir, options)
  if scheme != "tfds":
    raise errors.ConfigError(
      "{name} needs no preparation: only tfds:NAME[/CONFIG][:VERSION],"
      " folder:PATH and multilabel:MANIFEST do",
      {"name": name},
    )
  options.refuse(name, "out")
  if from_dir and convert.is_there(rest, from_dir):
    options.refuse(name, "workers", "on_error", "beam")
    return convert.convert(name, from_dir, data_dir)
  own, module = tfds_source.parse(rest)["name"], None
  if own in _names():
    module = importlib.import_module(f"{builders.__name__}.{own}")
  builder: Any = _builder(rest, str(tfds_source.root(data_dir)), module)
  if tfds_source.is_built(builder.data_path):
    tfds_source.check_format(builder.info, rest)
    sizes = write.describe_splits(builder.info)
    return f"tfds:{rest} is already in {builder.data_path} ({sizes})"
  if module is None or not hasattr(module, "recipe"):
    options.refuse(name, "workers", "on_error", "beam")
    return _build(rest, builder, from_dir)
  if not from_dir:
    raise errors.ConfigError(
      f"{{name}} needs files in --from_dir=DIR: {module.NEEDS}", {"name": name}
    )
  recipe = module.recipe(builder, from_dir, options.on_error)
  return write.write(recipe, workers=options.workers, beam=options.beam)


def _write_own(
  scheme: str, rest: str, data_dir: str, from_dir: str, options: Options
) -> str:
  """Writes a folder or manifest as a TFDS data set."""
  if from_dir:
    raise errors.ConfigError(
      f"{{from_dir}} does nothing for {scheme}:{rest}", {"from_dir": from_dir}
    )
  match = _OUT.fullmatch(options.out)
  if not match:
    raise errors.ConfigError(
      "{out} must be NAME[:VERSION] of the new data set, in small letters,"
      " digits and _; configs then name it tfds:NAME[:VERSION]",
      {"out": options.out or "''"},
    )
  if match[1] in _known():
    raise errors.ConfigError(
      "{out} is the name of a data set of TFDS or of ours; choose another",
      {"out": options.out},
    )
  make = {"folder": listed.folder, "multilabel": listed.multilabel}[scheme]
  name, version = match[1], match[2] or "1.0.0"
  recipe = make(
    os.path.expanduser(rest), name, version, data_dir, options.on_error
  )
  new = pathlib.Path(recipe.info.data_dir)
  if new.exists():
    raise errors.ConfigError(
      f"{{out}} is already in {new}; choose another name or version",
      {"out": options.out},
    )
  return write.write(recipe, workers=options.workers, beam=options.beam)


def _build(rest: str, builder: tfds.core.DatasetBuilder, from_dir: str) -> str:
  """Downloads and builds a data set with its builder of TFDS."""
  by_hand = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
  if bool(by_hand) != bool(from_dir):
    raise errors.ConfigError(
      f"{{name}} needs files in --from_dir=DIR: {' '.join(by_hand.split())}"
      if by_hand
      else f"{{name}} is not in TFRecord in {from_dir}, and is downloaded;"
      " leave out --from_dir",
      {"name": f"tfds:{rest}"},
    )
  published = catalog.facts(f"tfds:{rest}")
  if published:
    progress.say(
      f"tfds:{rest} downloads {published.download or 'nothing'} and takes"
      f" {published.disk or 'an unknown size'} in {builder.data_path}"
    )
  write.refuse_foreign(pathlib.Path(builder.data_path))
  try:
    builder.download_and_prepare(
      file_format=tfds_source.FORMAT,
      download_config=tfds.download.DownloadConfig(manual_dir=from_dir or None),
    )
    checksums.record(pathlib.Path(builder.data_path))
  except (
    OSError,
    AssertionError,
    util.DownloadError,
    download_manager.NonMatchingChecksumError,
  ) as e:
    reason = " ".join(str(e).split())
    raise errors.DataError(
      f"tfds:{rest} cannot be built in {builder.data_path}: {reason[:300]}"
    ) from e
  counts = {k: v.num_examples for k, v in builder.info.splits.items()}
  faults = published and published.faults(str(builder.version), counts)
  if faults:
    raise errors.DataError(
      f"tfds:{rest} in {builder.data_path}: {'; '.join(faults)}; remove it and"
      " prepare it again"
    )
  sizes = write.describe_splits(builder.info)
  return f"tfds:{rest} written to {builder.data_path} ({sizes})"


def _names() -> list[str]:
  """The files of `datasets/builders`."""
  return [m.name for m in pkgutil.iter_modules(builders.__path__)]


def _known() -> list[str]:
  return [*_names(), *tfds.list_builders(with_community_datasets=False)]


def _builder(
  rest: str, data_dir: str, module: types.ModuleType | None
) -> tfds.core.DatasetBuilder:
  parts = tfds_source.parse(rest)
  named = {k: parts[k] for k in ("config", "version") if parts[k]}
  try:
    make: Any = module.Builder if module else tfds.builder_cls(parts["name"])
    if make.BUILDER_CONFIGS and module and not parts["config"]:
      known = ", ".join(c.name for c in make.BUILDER_CONFIGS)
      raise ValueError(f"name a config after a /: {known}")
    return make(data_dir=data_dir, file_format=tfds_source.FORMAT, **named)
  except tfds.core.DatasetNotFoundError as e:
    raise errors.ConfigError(
      "{name} is neither a data set of TFDS nor one of ours"
      f"{errors.did_you_mean(parts['name'], _known())} (ours:"
      f" {', '.join(_names())})",
      {"name": f"tfds:{rest}"},
    ) from e
  except (ValueError, AssertionError) as e:
    raise errors.ConfigError(
      f"{{name}}: {' '.join(str(e).split())}", {"name": f"tfds:{rest}"}
    ) from e
