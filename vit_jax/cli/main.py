"""Train and use Vision Transformers."""

import argparse
import contextlib
import importlib
import os
import pkgutil
import signal
import sys
from typing import Any, NoReturn
import warnings

from absl import flags as absl_flags

from vit_jax import cli
from vit_jax.cli import distributed, failures, tpu
from vit_jax.core import errors, terminal


class _Parser(argparse.ArgumentParser):
  """Reports errors in one line."""

  def error(self, message: str) -> NoReturn:
    raise errors.ConfigError(f"{message} (see {self.prog} --help)")


def commands() -> dict[str, str]:
  """The module of each command in this folder, by the command's name."""
  names = [m.name for m in pkgutil.iter_modules(cli.__path__)]
  return {n: f"{cli.__name__}.{n}" for n in names if n not in _OTHER}


_OTHER = (
  *("main", "flags", "failures", "distributed"),
  *("cpu", "gpu", "tpu", "auto_mesh"),
)


def parser() -> argparse.ArgumentParser:
  """The parser of all commands; each file in this folder adds its own."""
  top = _Parser(prog="vit_jax", description=__doc__, allow_abbrev=False)
  choices = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
  for name, path in commands().items():
    module = importlib.import_module(path)
    summary, _, more = (module.__doc__ or "").partition("\n\n")
    sub = choices.add_parser(
      name,
      help=summary,
      description=summary,
      epilog=more,
      allow_abbrev=False,
      formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(sub)
    sub.set_defaults(run=module.run)
  return top


def main(argv: list[str] | None = None) -> int:
  """Runs a command; returns the exit code."""
  argv = sys.argv[1:] if argv is None else argv
  _keep_quiet()
  tpu.initialize()
  if os.getcwd() not in sys.path:
    # Parts from outside may lie in the working directory, which
    # `python -m vit_jax` searches anyway and the console script does not.
    sys.path.append(os.getcwd())
  try:
    args, rest = parser().parse_known_args(argv)
    args.overrides = rest
    # Grain's worker processes refuse to start while absl's flags, of which
    # there are none here, have not been parsed.
    absl_flags.FLAGS.mark_as_parsed()
    args.run(args)
    # Also the last line may find a full disk.
    sys.stdout.flush()
    distributed.stop()
  except errors.UserError as e:
    return _end(e.exit_code, f"{type(e).__name__}: {e}")
  except KeyboardInterrupt:
    code = errors.signal_code(signal.SIGINT)
    return _end(code, "interrupted; nothing was saved since the last line")
  except failures.KINDS as e:
    if isinstance(e, BrokenPipeError) and e.filename == terminal.Stdout.NAME:
      # Its reader has what it wanted, as `head` does.
      return errors.signal_code(signal.SIGPIPE)
    known = failures.explained(e)
    if known is None:
      raise
    return _end(known.exit_code, f"{type(known).__name__}: {known}")
  return 0


def _end(code: int, line: str) -> int:
  """Says why this and the other processes end; returns the exit code."""
  # A full disk may be where stderr goes, too.
  with contextlib.suppress(OSError):
    print(line, file=sys.stderr, flush=True)
  distributed.stop(code, line)
  return code


def _keep_quiet() -> None:
  """Silences warnings of libraries that no user can act on, also in workers."""
  # TensorFlow, which `data convert` reads TFRecords with, announces oneDNN.
  os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
  # Grain's generated code is older than the protobuf that Beam allows.
  gencode = "Protobuf gencode version"
  warnings.filterwarnings("ignore", gencode, UserWarning)
  os.environ.setdefault("PYTHONWARNINGS", f"ignore:{gencode}:UserWarning")


def _unraisable(problem: Any) -> None:
  # TensorStore reports here a failed write that nobody waits for any more; the
  # failure itself is raised where it can be reported in one line.
  if str(problem.exc_value) != "Event loop is closed":
    sys.__unraisablehook__(problem)


def run() -> NoReturn:
  """The console script: `main`, then the end of the process."""
  sys.unraisablehook = _unraisable
  terminal.open_streams()
  code = main()
  sys.stdout.flush()
  if code:
    # Threads of Orbax and TensorStore that a full disk has stranded would
    # print tracebacks after the line that says what is wrong.
    os._exit(code)
  sys.exit()
