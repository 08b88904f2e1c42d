"""Writes the page of all tables and figures from the results in files."""

import collections
from collections.abc import Iterator
import json
import os
import pathlib
import re

from vit_jax.core import errors, files
from vit_jax.reproduce import pages, paper_scale, run_small
from vit_jax.reproduce.small_experiment import ALL, SmallExperiment
from vit_jax.sweeps import collect

# Remarks on a result, written by hand.
_REMARKS = "remarks.md"
TITLE = "# The paper's tables and figures"
_HEAD = f"""{TITLE}

Written by `python -m vit_jax reproduce --page=docs/reproduction.md` from
[results/reproduction](../results/reproduction). Each small experiment asks the
paper's question end to end with small models on a CPU: learning rates are
chosen on held-out training images, from equally many for every arm; then three
seeds are scored on the test images. A claim *holds* if the difference is above
2.78 standard errors (5 %, 4 degrees of freedom), *does not hold* if the
opposite difference is, and is otherwise *not resolved at this scale*. The rules
were written before the runs, unless a remark says otherwise. Wall times are
with `JAX_COMPILATION_CACHE_DIR` set, which saves a few seconds per run.

Tables at the paper's own scale show "paper → ours (difference)"; numbers that
the paper does not print or that were not run are left empty. The tables with
the source of every number are in
[results/reproduction/paper](../results/reproduction/paper).
"""


def write(file: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the page from the files of results, which it links to.

  Raises:
    ConfigError: there is no folder of results.
  """
  if not out.is_dir():
    raise errors.ConfigError(
      f"--out={out} is not a folder, so there are no results to write about;"
      " run this command in a checkout of the repository, or name another --out"
    )
  link = os.path.relpath(out, file.parent)
  parts = [_HEAD, _overview(out)]
  parts += [_small(experiment, out, link) for experiment in ALL]
  parts += ["# At the paper's scale\n", *_paper_scale(out)]
  file.parent.mkdir(parents=True, exist_ok=True)
  files.write(file, "\n".join(parts))


def _overview(out: pathlib.Path) -> str:
  """A row for each table and figure."""
  experiments = {what: e for e in ALL for what in e.serves}
  rows = []
  for what in paper_scale.NAMES:
    title = pages.heading(what.replace("=", ""))
    experiment = experiments.get(what)
    if experiment is None:
      rows.append([title, "", "", f"`reproduce --{what}`", ""])
    else:
      command = f"`reproduce --{what} --scale=mini`"
      home = out / experiment.name
      rows.append([title, experiment.name, _claims(home), command, _took(home)])
  header = ("paper", "small experiment", "claims", "command", "wall time")
  return collect.markdown_table(header, rows) + "\n"


def _claims(home: pathlib.Path) -> str:
  """How many claims of an experiment have each verdict."""
  if not (home / "result.json").exists():
    return "not run"
  counts = collections.Counter(run_small.read(str(home)).verdicts)
  return ", ".join(f"{n} {verdict}" for verdict, n in counts.items())


def _took(home: pathlib.Path) -> str:
  """Wall time of all calls, and what the last of them ran on."""
  file = home / "time.json"
  calls = json.loads(file.read_text()) if file.exists() else []
  if not calls:
    return ""
  seconds = sum(call["seconds"] for call in calls)
  last = calls[-1]
  return (
    f"{seconds / 60:.0f} min, {last['workers']} at a time on {last['cores']}"
    f" cores, load {last['load']}"
  )


def _small(experiment: SmallExperiment, out: pathlib.Path, link: str) -> str:
  """A small experiment, its results and the remarks on them."""
  name, home = experiment.name, out / experiment.name
  titles = (pages.heading(s.replace("=", "")) for s in experiment.serves)
  parts = [
    f"# {', '.join(titles)} at a small scale",
    experiment.question,
    f"Changed: {experiment.changed}",
    "```sh\npython -m vit_jax reproduce --"
    f"{experiment.serves[0]} --scale=mini --workers=2\n```",
  ]
  if (home / "result.json").exists():
    result = run_small.read(str(home))
    parts.append(run_small.table(experiment, result).strip())
    parts.append(f"![{experiment.question}]({link}/{name}/plot.png)")
    if (home / _REMARKS).exists():
      parts.append((home / _REMARKS).read_text().strip())
    runs = f"{link}/{name}/runs.csv"
    parts.append(f"{_took(home)}; every run in [runs.csv]({runs}).")
  else:
    claims = "\n".join(f"- {claim.text}" for claim in experiment.claims)
    parts += ["Not run. The claims:", claims]
  return "\n\n".join(parts) + "\n"


def _paper_scale(out: pathlib.Path) -> Iterator[str]:
  """Each page as its command has written it, without the launch commands."""
  for what in paper_scale.NAMES:
    name = what.replace("=", "")
    file = out / paper_scale.FOLDER / f"{name}.md"
    command = f"python -m vit_jax reproduce --{what}"
    if file.exists():
      text = re.sub(r"\n```sh\n.*?```\n", "", file.read_text(), flags=re.DOTALL)
      yield f"{text.strip()}\n\n    {command}\n"
    else:
      yield f"## {pages.heading(name)}\n\nNot written yet: `{command}`.\n"
