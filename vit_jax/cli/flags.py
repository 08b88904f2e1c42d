"""Flags that several commands have: --config, its overrides, --checkpoint."""

import argparse
import os
import re
from typing import Any

from vit_jax.core import errors


def add_config(parser: argparse.ArgumentParser, *, required: bool) -> None:
  """Adds `--config`; arguments that the parser does not know override it."""
  parser.add_argument(
    "--config",
    required=required,
    default="",
    metavar="FILE[:ARG]",
    help="config file and its argument; --config.KEY=VALUE overrides a field",
  )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
  """Adds `--checkpoint` and flags that change how it is loaded."""
  parser.add_argument(
    "--checkpoint",
    type=place,
    required=True,
    metavar="PATH",
    help="a run's workdir, its checkpoints or one step; or an npz or"
    " safetensors file, or its folder, of google-research's code bases, timm"
    " or transformers",
  )
  parser.add_argument(
    "--resolution",
    type=_size,
    metavar="PX",
    help="another image size, SIDE or HEIGHTxWIDTH; positions are resized",
  )
  parser.add_argument(
    "--num_heads",
    type=int,
    metavar="H",
    help="attention heads, for published weights that do not tell them: a fused"
    " qkv without a config.json beside it",
  )
  add_reading(parser)


def loading(args: argparse.Namespace) -> dict[str, Any]:
  """The flags of `add_checkpoint` as `checkpoints.load` takes them."""
  names = ("resolution", "num_heads", "layout", "allow_parts")
  return {name: getattr(args, name) for name in names}


def add_reading(parser: argparse.ArgumentParser) -> None:
  """Adds `--layout` and `--allow_parts`, which say how a checkpoint is read."""
  parser.add_argument(
    "--layout",
    default="",
    metavar="NAME",
    help="layout of published weights, such as timm, or a module of your own"
    " with a dot in its name; recognised by default",
  )
  parser.add_argument(
    "--allow_parts",
    type=lambda text: tuple(filter(None, text.split(","))),
    default=(),
    metavar="NAME,...",
    help="modules or packages of your own that may be imported because the"
    " checkpoint names them; importing runs them",
  )


def _size(text: str) -> tuple[int, int]:
  match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
  if not match:
    raise argparse.ArgumentTypeError(
      f"{text} is not SIDE or HEIGHTxWIDTH in px, such as 384 or 224x288"
    )
  return int(match[1]), int(match[2] or match[1])


def place(text: str) -> str:
  """The type of an argument that names a file or a folder.

  No shell expands the ~ of --workdir=~/run.
  """
  if not text:
    raise argparse.ArgumentTypeError(
      "it is empty (a variable that is not set?); name a file or folder"
    )
  return os.path.expanduser(text)


def is_page(head: bytes) -> bool:
  """Whether a file that begins like this is a page of `report` or `analyze`."""
  return b"<style>\n:root { color-scheme: light; }\nbody { font: 16px" in head


def refuse_rest(args: argparse.Namespace) -> None:
  """Refuses unknown arguments, for commands without a config."""
  if args.overrides:
    raise errors.ConfigError(f"unknown argument {args.overrides[0]}")


def load(args: argparse.Namespace, inferred: Any = None) -> Any:
  """The locked ConfigDict of `--config` with its overrides applied.

  ml_collections' config flags turn the text of the overrides into values, which
  are then applied as everywhere else.

  Args:
    args: the parsed arguments of the command.
    inferred: values of a config that reads other files, see `config.load`.

  Raises:
    ConfigError: an unknown argument, field or config file, or a value that
      does not fit its field.
  """
  from absl import flags
  from ml_collections import config_flags

  from vit_jax.core import config as config_lib
  from vit_jax.train.experiment import Experiment

  for argument in args.overrides:
    if not re.match(r"--(no)?config\.\w", argument):
      raise errors.ConfigError(f"unknown argument {argument}")
    if not argument.startswith("--no") and "=" not in argument:
      raise errors.ConfigError(f"{argument} needs a value: {argument}=VALUE")
  path, _, arg = args.config.partition(":")
  # The last of several for one field counts, as for other flags; absl would
  # join those of a tuple.
  given = {
    argument.partition("=")[0].partition("config.")[2]: argument
    for argument in args.overrides
  }
  if inferred is None:
    # It is loaded twice below, and inferred once.
    inferred = config_lib.infer(path, arg)
  # A part's name decides which other fields there are.
  names = {
    key: argument.partition("=")[2]
    for key, argument in given.items()
    if key.endswith(".name")
  }
  config = config_lib.load(path, arg, names, Experiment, inferred)
  for key in given:
    config_lib.parent_of(config, key)
  values = flags.FlagValues()
  argv = ["vit_jax", *given.values()]
  try:
    flag = config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=argv
    )
    values(argv)
  except (flags.Error, TypeError, ValueError) as e:
    text = " ".join(str(e).split())
    raise errors.ConfigError(text.removeprefix("flag ")) from e
  overrides = config_flags.get_override_values(values[flag.name])
  return config_lib.load(path, arg, overrides, Experiment, inferred)
