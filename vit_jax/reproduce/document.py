"""Writes the page of all tables and figures from the results that are there."""

from collections.abc import Iterator
import json
import os
import pathlib
import re

from vit_jax.reproduce import filled, full, mini, miniatures
from vit_jax.reproduce.miniature import Miniature

# What people have to say of a result; everything else is written anew.
_REMARKS = "remarks.md"
TITLE = "# The paper's tables and figures"
_HEAD = f"""{TITLE}

Written by `python -m vit_jax reproduce --page=docs/reproduction.md` from
[results/reproduction](../results/reproduction). Each miniature asks the paper's
question end to end with small models on a CPU: its learning rates are chosen on
held-out training images, as many for every arm, then three seeds are scored on
the test images. A claim *holds* where the difference is above 2.78 standard
errors (5 %, 4 degrees of freedom), *does not hold* where the opposite is, and
else is *not resolved at this scale*. Rules were written before the runs,
except where a remark says so. Wall times are with `JAX_COMPILATION_CACHE_DIR`
set, which saves a run some seconds.

Tables of the paper's own scale are "paper → ours (difference)"; what the paper
never printed and what has not run stays empty. With the source of every number
they are in [results/reproduction/paper](../results/reproduction/paper).
"""


def write(file: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the page from what the commands have left; computes nothing.

  Args:
    file: the page.
    out: folder of results, which the page links to.
  """
  link = os.path.relpath(out, file.parent)
  parts = [_HEAD, _overview(out)]
  parts += [_miniature(one, out, link) for one in miniatures.ALL]
  parts += ["# At the paper's scale\n", *_full(out)]
  file.parent.mkdir(parents=True, exist_ok=True)
  file.write_text("\n".join(parts))


def _overview(out: pathlib.Path) -> str:
  """A row for each table and figure."""
  lines = [
    ["paper", "miniature", "claims", "command", "wall time"],
    ["---"] * 5,
  ]
  for what in full.NAMES:
    one = next((m for m in miniatures.ALL if what in m.serves), None)
    shown = filled.titled(what.replace("=", ""))
    if one is None:
      lines.append([shown, "", "", f"`reproduce --{what}`", ""])
    else:
      command = f"`reproduce --{what} --scale=mini`"
      lines.append([shown, one.name, *_state(one, out, command)])
  return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _state(one: Miniature, out: pathlib.Path, command: str) -> list[str]:
  home = out / one.name
  if not (home / "result.json").exists():
    return ["not run", command, ""]
  counts: dict[str, int] = {}
  for verdict in mini.read(str(home)).verdicts:
    counts[verdict] = counts.get(verdict, 0) + 1
  claims = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
  return [claims, command, _took(home)]


def _took(home: pathlib.Path) -> str:
  """Wall time of all calls, and what else the machine did."""
  calls = json.loads((home / "time.json").read_text())
  if not calls:
    return ""
  seconds = sum(call["seconds"] for call in calls)
  last = calls[-1]
  return (
    f"{seconds / 60:.0f} min, {last['workers']} at a time on {last['cores']}"
    f" cores, load {last['load']}"
  )


def _miniature(one: Miniature, out: pathlib.Path, link: str) -> str:
  home = out / one.name
  titles = ", ".join(filled.titled(s.replace("=", "")) for s in one.serves)
  parts = [
    f"# {titles} in miniature",
    one.question,
    f"Changed: {one.changed}",
    "```sh\npython -m vit_jax reproduce --"
    f"{one.serves[0]} --scale=mini --workers=2\n```",
  ]
  if (home / "result.json").exists():
    parts.append(mini.table(one, mini.read(str(home))).strip())
    parts.append(f"![{one.question}]({link}/{one.name}/plot.png)")
    if (home / _REMARKS).exists():
      parts.append((home / _REMARKS).read_text().strip())
    parts.append(
      f"{_took(home)}; every run in [runs.csv]({link}/{one.name}/runs.csv)."
    )
  else:
    claims = "\n".join(f"- {claim.text}" for claim in one.claims)
    parts += ["Not run. The claims:", claims]
  return "\n\n".join(parts) + "\n"


def _full(out: pathlib.Path) -> Iterator[str]:
  """Each page as its own command has written it, without the commands."""
  for what in full.NAMES:
    name = what.replace("=", "")
    file = out / full.FOLDER / f"{name}.md"
    command = f"python -m vit_jax reproduce --{what}"
    if file.exists():
      text = re.sub(r"\n```sh\n.*?```\n", "", file.read_text(), flags=re.DOTALL)
      yield f"{text.strip()}\n\n    {command}\n"
    else:
      yield f"## {filled.titled(name)}\n\nNot written yet: `{command}`.\n"
