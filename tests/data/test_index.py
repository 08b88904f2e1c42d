"""The index of a data set of files: used, given up, and never trusted."""

import pathlib
import pickle
import stat
import tempfile

import pytest

from tests.data import trees
from vit_jax.core import errors
from vit_jax.data import index, scan


def test_the_index_is_used_and_given_up_when_a_folder_changes(
  tmp_path, monkeypatch
):
  root = trees.classes(tmp_path, {"ant": 3, "bee": 2})
  scans = []
  real = scan.scan

  def counted(path):
    scans.append(path)
    return real(path)

  monkeypatch.setattr(scan, "scan", counted)
  for _ in range(3):
    assert len(trees.open_folder(root)) == 5
  assert len(scans) == 1
  trees.write(root, {"bee/deep/new.png": trees.png(9)})
  assert len(trees.open_folder(root)) == 6
  trees.write(root, {"bee/deep/newer.png": trees.png(8)})
  assert len(trees.open_folder(root)) == 7
  trees.write(root, {"cow/0.png": trees.png(7)})
  assert trees.open_folder(root).num_classes == 3
  assert len(scans) == 4
  file = root / index.FOLDER / "folder"
  whole = file.read_bytes()
  for damaged in (whole[:-1], whole[:9], b"", whole[:99] + b"\xff" * 50):
    file.write_bytes(damaged)
    assert len(trees.open_folder(root)) == 8
  assert len(scans) == 8


def test_a_folder_that_cannot_be_written_is_indexed_elsewhere(
  tmp_path, monkeypatch
):
  root = trees.classes(tmp_path / "data", {"ant": 3, "bee": 2})
  # A file where the folder of the index would be: not even root may write.
  (root / index.FOLDER).write_text("")
  monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path / "home")
  first = trees.open_folder(root)
  assert len(list((tmp_path / "home/.cache/vit_jax").glob("*/folder"))) == 1
  again = pickle.loads(pickle.dumps(first))  # noqa: S301
  assert again.fingerprint == first.fingerprint
  (tmp_path / "nowhere").write_text("")
  monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path / "nowhere")
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
  with pytest.raises(errors.StorageError, match="make one of these folders wr"):
    trees.open_folder(root)


@pytest.mark.parametrize("has_home", [True, False])
def test_without_a_home_it_is_among_the_temporary_files(
  tmp_path, monkeypatch, has_home
):
  """Data that are read only, and a user whose home is none."""

  def home():
    if not has_home:
      raise RuntimeError("Could not determine home directory.")
    return tmp_path / "file"

  (tmp_path / "file").write_text("")
  monkeypatch.setattr(pathlib.Path, "home", home)
  shared = tmp_path / "shared"
  shared.mkdir()
  monkeypatch.setattr(tempfile, "tempdir", str(shared))
  root = trees.classes(tmp_path / "data", {"ant": 3, "bee": 2})
  (root / index.FOLDER).write_text("")
  assert len(trees.open_folder(root)) == 5
  (folder,) = shared.iterdir()
  (file,) = folder.glob("*/folder")
  assert stat.S_IMODE(folder.stat().st_mode) == 0o700
  before = file.stat().st_mtime_ns
  assert len(trees.open_folder(root)) == 5
  assert file.stat().st_mtime_ns == before
  # One that others can write to is not used.
  folder.chmod(0o777)
  with pytest.raises(errors.StorageError, match="make one of these folders wr"):
    trees.open_folder(root)


def test_an_index_cannot_lead_out_of_its_folder(tmp_path):
  root = trees.classes(tmp_path / "data", {"ant": 1})
  trees.open_folder(root)
  file = root / index.FOLDER / "folder"
  whole = file.read_bytes()
  for path in (b"../x/y.png", b"/etc/passwd"):
    size = len(b"ant/0.png")
    file.write_bytes(whole.replace(b"ant/0.png", path[:size].ljust(size, b"/")))
    with pytest.raises(errors.DataError, match="is damaged; remove it"):
      trees.open_folder(root)[0]
