"""The files of a run, whole or damaged."""

import pytest

from tests.analysis import run_folder
from vit_jax.analysis import run_files
from vit_jax.core import errors


def test_runs_are_called_as_one_likes(tmp_path):
  home = run_folder.write(tmp_path / "a")
  other = run_folder.write(tmp_path / "x=y")
  runs = run_files.read_all([f"ViT, lr=0.1={home}", other])
  assert [run.name for run in runs] == ["ViT, lr=0.1", "x=y"]
  assert runs[0].home == tmp_path / "a"
  twice = run_files.read_all([f"same={home}", f"same={other}"])
  assert [run.name for run in twice] == [home, other]


BAD = [
  ("config.json", None, "is not the folder of a run: it has no config.json"),
  ("metrics.jsonl", "", "no step is done yet"),
  ("config.json", "{", "Expecting"),
  ("metrics.jsonl", '{"step": 1}\n{"s\n', r"metrics\.jsonl, line 2"),
]


@pytest.mark.parametrize(("file", "text", "message"), BAD)
def test_what_is_no_run(tmp_path, file, text, message):
  home = run_folder.write(tmp_path / "a")
  path = tmp_path / "a" / file
  path.unlink() if text is None else path.write_text(text)
  with pytest.raises(errors.UserError, match=message):
    run_files.read(home)
