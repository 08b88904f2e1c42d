"""One of two processes that agree; started by test_agreement.py.

usage: run_agreement.py ADDRESS PROCESS DIRECTORY
"""

import json
import sys

import jax
from jax._src import xla_bridge
import jax.numpy as jnp
import numpy as np

from vit_jax.checkpoints import run_checkpoints
from vit_jax.cluster import lifeline, processes
from vit_jax.cluster.timeouts import Timeouts
from vit_jax.core import errors


def error(f):
  try:
    f()
  except errors.UserError as e:
    return f"{type(e).__name__}: {e}"
  return ""


def refuse():
  if processes.index() == 1:
    raise errors.DataError("no such file")


def main(address, index, directory):
  lifeline.connect(address, 2, index)
  same = {"a": 1, "b": [2]}
  seen = {
    "share": processes.share(["a", ""][index]),
    "first": processes.on_first(lambda: 10 + index),
    "gather": processes.gather(np.arange(2) + 2 * index).tolist(),
    "together": error(lambda: processes.together(refuse)),
    "same": error(lambda: processes.check_same(lambda: same, "code")),
    "differ": error(
      lambda: processes.check_same(
        lambda: {**same, "b": index, "c": "x"}, "code"
      )
    ),
  }
  seen["backend"] = xla_bridge.backends_are_initialized()
  jax.config.update("jax_num_cpu_devices", 1)
  with run_checkpoints.Checkpointer(directory, keep=1) as saved:
    lifeline.timeouts = lambda: Timeouts(save=1)
    if index == 0:
      state = {"x": jnp.zeros(2)}
      seen["save"] = error(lambda: saved.save(7, state, {}))
  print(json.dumps(seen), flush=True)
  lifeline.leave(0)


if __name__ == "__main__":
  main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
