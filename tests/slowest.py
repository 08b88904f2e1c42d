"""The test files that take longest, slowest first.

Two workers take whole files in this order, then all others in theirs: a slow
file that began last would keep one worker busy while the other has nothing
left to do. The numbers are seconds of CPU time, to be measured again now and
then.
"""

FILES = {
  "tests/e2e/test_chaos.py": 250,
  "tests/e2e/test_processes.py": 170,
  "tests/e2e/test_resume.py": 160,
  "tests/models/test_every_model.py": 120,
  "tests/invariants/test_positions.py": 110,
  "tests/e2e/test_harms.py": 100,
  "tests/e2e/test_configs.py": 90,
  "tests/invariants/test_step.py": 65,
  "tests/e2e/test_remote.py": 60,
  "tests/models/test_variants.py": 50,
  "tests/reproduce/test_results.py": 40,
  "tests/invariants/test_trajectories.py": 35,
  "tests/train/test_loop.py": 35,
}
