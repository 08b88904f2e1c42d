"""Tables and figures at the paper's own scale: shown, computed, written."""

from collections.abc import Callable, Iterator
import json
import pathlib

from vit_jax.core import errors
from vit_jax.reproduce import (
  figures,
  filled,
  finished,
  kept,
  pages,
  paper,
  tables,
)
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.pages import Page

KEPT = "computed.jsonl"
FOLDER = "paper"
# What there is to show.
NAMES = (
  *(f"table={n}" for n in tables.TABLES),
  *(f"figure={n}" for n in figures.NUMBERS),
  "section=4.6",
)


def known(out: pathlib.Path, runs: str) -> filled.Known:
  """What tables are filled from.

  Args:
    out: folder of results.
    runs: where finished runs are.
  """
  file = out / KEPT
  return filled.Known(
    finished.find(runs), finished.few_shot(runs), kept.read(file), str(file)
  )


def show(what: str, out: pathlib.Path, runs: str) -> list[Page]:
  """The pages of "table=5" or "figure=12".

  Raises:
    ConfigError: there is none.
  """
  kind, _, text = what.partition("=")
  have = known(out, runs)
  if kind == "section":
    return figures.masked_patch(have)
  numbers = tuple(tables.TABLES) if kind == "table" else figures.NUMBERS
  if int(text) not in numbers:
    raise errors.ConfigError(
      f"{what} is not one of: {', '.join(map(str, numbers))}"
    )
  if kind == "table":
    return tables.TABLES[int(text)](have)
  return figures.figure(int(text), have)


def compute(
  what: str,
  out: pathlib.Path,
  runs: str,
  most: int,
  effort: float,
  say: Callable[[str], None],
) -> None:
  """Adds at most so many of the numbers that take minutes.

  Args:
    what: "table=5" or "figure=12".
    out: folder of results.
    runs: where finished runs are.
    most: numbers to add.
    effort: of the compiler, see `kept.compute_batch`.
    say: is told each that was added.
  """
  file = out / KEPT
  for _ in range(most):
    todo = next(_missing(what, out, runs), None)
    if todo is None:
      say(f"{what}: nothing is left to compute")
      return
    if isinstance(todo, Pretraining):
      kept.compute_core_days(file, todo)
    else:
      kept.compute_batch(file, *todo, effort)
    say(json.dumps(kept.read(file)[-1]))


def _missing(
  what: str, out: pathlib.Path, runs: str
) -> Iterator[Pretraining | tuple[str, int]]:
  rows = kept.read(out / KEPT)
  if what == "figure=12":
    for model, size_px in kept.batches(paper.grids()["figure12"]):
      if not kept.is_found(kept.largest_batch(rows, model, size_px)):
        yield model, size_px
    return
  for page in show(what, out, runs):
    for run in page.runs:
      if run.config and kept.core_days(rows, run) is None:
        yield run


def write(what: str, found: list[Page], out: pathlib.Path) -> list[str]:
  """Writes the pages for people and for programs, and their commands."""
  name = what.replace("=", "")
  home = out / FOLDER
  home.mkdir(parents=True, exist_ok=True)
  commands = dict.fromkeys(c for page in found for c in page.commands)
  files = {
    f"{name}.md": "\n".join(map(pages.text, found)),
    f"{name}.json": json.dumps([pages.record(p) for p in found], indent=1)
    + "\n",
  }
  if commands:
    files[f"{name}.sh"] = "\n".join(commands) + "\n"
  for file, text in files.items():
    (home / file).write_text(text)
  return [str(home / file) for file in files]
