"""Tables and figures at the paper's own scale: shown, computed, written."""

from collections.abc import Callable, Iterator
import json
import pathlib

from vit_jax.core import errors, files, owners
from vit_jax.reproduce import (
  computed,
  figures,
  pages,
  paper,
  run_scores,
  tables,
)
from vit_jax.reproduce.launch import Pretraining
from vit_jax.reproduce.pages import Page

# The file of computed numbers and the folder of pages, in that of the results.
COMPUTED = "computed.jsonl"
FOLDER = "paper"
# How to make the pages of "table=5", "figure=12" or "section=4.6".
_MAKERS = {
  **{f"table={n}": maker for n, maker in tables.TABLES.items()},
  **{f"figure={n}": maker for n, maker in figures.FIGURES.items()},
  "section=4.6": figures.masked_patch,
}
NAMES = tuple(_MAKERS)


def show(what: str, out: pathlib.Path, runs: str) -> list[Page]:
  """The pages of one of `NAMES`; arguments as those of `compute`.

  Raises:
    ConfigError: there is no such table or figure.
  """
  if what not in _MAKERS:
    kind = what.partition("=")[0]
    known = [name.partition("=")[2] for name in NAMES if name.startswith(kind)]
    raise errors.ConfigError(f"{what} is not one of: {', '.join(known)}")
  file = out / COMPUTED
  results = pages.Results(
    fine_tuned=run_scores.fine_tuned(runs),
    few_shot=run_scores.few_shot(runs),
    computed=files.read_rows(file),
    computed_file=str(file),
  )
  return _MAKERS[what](results)


def compute(
  what: str,
  out: pathlib.Path,
  runs: str,
  most: int,
  effort: float,
  say: Callable[[str], None],
) -> None:
  """Computes and saves numbers that are missing and take minutes each.

  Args:
    what: one of `NAMES`.
    out: folder of the results.
    runs: folder of finished runs.
    most: how many numbers to compute at most.
    effort: effort of the compiler, see `computed.compute_batch`.
    say: called with each number that was computed, as a line of JSON.
  """
  file = out / COMPUTED
  for _ in range(most):
    missing = next(_missing(what, out, runs), None)
    if missing is None:
      say(f"{what}: nothing is left to compute")
      return
    if isinstance(missing, Pretraining):
      computed.compute_core_days(file, missing)
    else:
      computed.compute_batch(file, *missing, effort)
    say(json.dumps(files.read_rows(file)[-1]))


def _missing(
  what: str, out: pathlib.Path, runs: str
) -> Iterator[Pretraining | tuple[str, int]]:
  rows = files.read_rows(out / COMPUTED)
  if what == "figure=12":
    for model, size_px in computed.batches(paper.grids()["figure12"]):
      if not computed.is_found(computed.largest_batch(rows, model, size_px)):
        yield model, size_px
    return
  for page in show(what, out, runs):
    for run in page.runs:
      if run.config and computed.core_days(rows, run) is None:
        yield run


def write(what: str, shown: list[Page], out: pathlib.Path) -> list[str]:
  """Writes the pages for people and for programs, and their commands."""
  name = what.replace("=", "")
  home = out / FOLDER
  home.mkdir(parents=True, exist_ok=True)
  commands = dict.fromkeys(c for page in shown for c in page.commands)
  texts = {
    f"{name}.md": "\n".join(map(pages.text, shown)),
    f"{name}.json": json.dumps([pages.record(p) for p in shown], indent=1)
    + "\n",
  }
  if commands:
    texts[f"{name}.sh"] = "\n".join(commands) + "\n"
  owners.check_file(
    "out", home / f"{name}.json", lambda head: b'"cells"' in head, "a result"
  )
  for file, text in texts.items():
    files.write(home / file, text)
  return [str(home / file) for file in texts]
