"""Runs command lines in one process; prints [exit code, stderr] of each."""

import contextlib
import io
import json
import sys

from vit_jax.cli.main import main

if __name__ == "__main__":
  out = []
  for argv in json.load(sys.stdin):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(err):
      code = main(argv)
    out.append([code, err.getvalue()])
  json.dump(out, sys.stdout)
