"""Two processes agree, or hear which of them does not."""

import json
import sys

from tests.core import run_agreement
from tests.e2e import run as cli


def test_two_processes(tmp_path):
  command = [sys.executable, run_agreement.__file__, cli.free_address()]
  done = cli.wait(
    cli.popen([*command, str(i), str(tmp_path)], 1) for i in range(2)
  )
  assert [p.returncode for p in done] == [0, 0], done[0].stderr
  first, second = (json.loads(p.stdout.splitlines()[-1]) for p in done)
  # Whose host it is stands behind the number.
  late = first.pop("save")
  assert late.startswith("PeerError: process 1 (")
  assert ") did not reach the save of step 7 within 1 s; run the" in late
  assert first == second
  together, differ = first.pop("together"), first.pop("differ")
  assert together.startswith("DataError: process 1 (")
  assert together.endswith("): no such file")
  assert differ.startswith("ConfigError: another code on process 1 (")
  assert ") than on process 0 (" in differ
  assert differ.endswith("): b=1 there, 0 here; start all with the same code")
  assert first == {
    "share": ["a", ""],
    "first": 10,
    "gather": [0, 1, 2, 3],
    "same": "",
    # All that happened before a device was touched.
    "backend": False,
  }
