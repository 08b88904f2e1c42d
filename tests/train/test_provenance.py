"""What a run was made with, and what it says when that differs on a resume."""

import importlib.metadata
import platform

import jax

from vit_jax.train import provenance, workdir

OTHER = "jax: '0.0.1' -> '" + jax.__version__ + "'"


def test_it_names_versions_and_machine():
  made = provenance.describe()
  assert made["versions"]["jax"] == jax.__version__
  assert made["versions"]["numpy"] == importlib.metadata.version("numpy")
  assert made["python"] == platform.python_version()
  assert made["devices"].startswith(f"{jax.device_count()} x ")


def test_only_versions_are_compared():
  ours = provenance.describe()
  moved = {**ours, "revision": "another", "platform": "another", "cpus": 0}
  assert provenance.difference(ours, moved) == []
  versions = {**ours["versions"], "jax": "0.0.1"}
  theirs = {**ours, "python": "3.0", "versions": versions}
  assert provenance.difference(ours, theirs) == [
    OTHER,
    f"python: '3.0' -> '{platform.python_version()}'",
  ]


def saved(made):
  """The metadata of a checkpoint, as far as it is compared with a run's."""
  kept = {"provenance": made} if made else {}
  return {"parts": {}, "data": {}, "weights": {}, **kept}


def test_a_resume_says_which_versions_differ(capsys):
  ours = provenance.describe()
  older = {**ours, "versions": {**ours["versions"], "jax": "0.0.1"}}
  # Runs of the first versions do not say what they were made with.
  for made, line in (
    (ours, ""),
    (None, ""),
    (
      older,
      "step 7 was saved with other versions, which may round otherwise:"
      f" {OTHER}\n",
    ),
  ):
    workdir.check_inputs(saved(made), saved(ours), 7)
    assert capsys.readouterr().err == line


def test_the_code_is_a_hash_of_each_file():
  code = provenance.code()
  assert len(code["vit_jax/train/provenance.py"]) == 12
  assert code["jax"] == jax.__version__
