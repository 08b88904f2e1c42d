"""Commands of the outside world that only note how they were called."""

import json
import os
import sys

from tests.e2e.run import ROOT

LAUNCH = ROOT / "launch"
NOTE = """#!{python}
import json, os, pathlib, sys
home = pathlib.Path({home!r})
name = os.path.basename(sys.argv[0])
with open(home / "calls.jsonl", "a") as f:
  f.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
"""


def fake(home, body, *names):
  """Puts commands into `home/bin`; an environment where they are found."""
  folder = home / "bin"
  folder.mkdir(exist_ok=True)
  for name in names:
    path = folder / name
    path.write_text(NOTE.format(python=sys.executable, home=str(home)) + body)
    path.chmod(0o755)
  return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def calls(home):
  """Every call so far, as lists of words."""
  path = home / "calls.jsonl"
  return [json.loads(x) for x in path.read_text().splitlines()]
