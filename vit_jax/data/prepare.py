"""Builds data sets in ArrayRecord through TFDS builders."""

import importlib
import pkgutil

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager, util

from vit_jax.core import errors
from vit_jax.data import builders, convert, verify
from vit_jax.data.sources import tfds as tfds_source


def prepare(name: str, data_dir: str = "", from_dir: str = "") -> str:
  """Builds a data set unless it is there; says which, where and how large.

  TFDS writes next to the target and renames at the end, so a data set is there
  whole or not at all.

  Args:
    name: "tfds:NAME[/CONFIG][:VERSION]"; a file of `data/builders`, else any
      data set of TFDS.
    data_dir: where it goes; "" is TFDS's own default.
    from_dir: where it is in TFRecord already: it is converted, not built.

  Raises:
    ConfigError: no such data set, version or config.
    DataError: it cannot be downloaded, read or written.
  """
  scheme, _, rest = name.partition(":")
  if scheme != "tfds":
    raise errors.ConfigError(
      "{name} needs no preparation: only tfds:NAME[/CONFIG][:VERSION] does",
      {"name": name},
    )
  if from_dir:
    return convert.convert(name, from_dir, data_dir)
  builder = _builder(rest, str(tfds_source.root(data_dir)))
  there = tfds_source.is_built(builder.data_path)
  if there:
    tfds_source.check_format(builder.info, rest)
  else:
    try:
      builder.download_and_prepare(file_format=tfds_source.FORMAT)
      verify.record(str(builder.data_path))
    except (
      OSError,
      util.DownloadError,
      download_manager.NonMatchingChecksumError,
    ) as e:
      reason = " ".join(str(e).split())
      raise errors.DataError(
        f"tfds:{rest} cannot be built in {builder.data_path}: {reason[:300]}"
      ) from e
  sizes = ", ".join(
    f"{split} {info.num_examples}"
    for split, info in builder.info.splits.items()
  )
  found = "is already in" if there else "written to"
  return f"tfds:{rest} {found} {builder.data_path} (examples: {sizes})"


def _builder(rest: str, data_dir: str) -> tfds.core.DatasetBuilder:
  parts = tfds_source.parse(rest)
  ours = [m.name for m in pkgutil.iter_modules(builders.__path__)]
  arguments = {"data_dir": data_dir, "file_format": tfds_source.FORMAT}
  if parts["config"]:
    arguments["config"] = parts["config"]
  if parts["version"]:
    arguments["version"] = parts["version"]
  try:
    if parts["name"] in ours:
      module = importlib.import_module(f"{builders.__name__}.{parts['name']}")
      return module.Builder(**arguments)
    return tfds.builder_cls(parts["name"])(**arguments)
  except tfds.core.DatasetNotFoundError as e:
    known = [*ours, *tfds.list_builders(with_community_datasets=False)]
    raise errors.ConfigError(
      "{name} is neither ours nor TFDS's"
      f"{errors.did_you_mean(parts['name'], known)} (ours: {', '.join(ours)})",
      {"name": f"tfds:{rest}"},
    ) from e
  except (ValueError, AssertionError) as e:
    raise errors.ConfigError(
      f"{{name}}: {' '.join(str(e).split())}", {"name": f"tfds:{rest}"}
    ) from e
