"""Whose a place is, and that nobody else writes there."""

import pytest

from vit_jax.core import errors, owners, storage


def make(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("{}")
  return folder


PLACES = {
  "trained": (("checkpoints/10/manifest.json",), owners.RUN),
  "begun": (("config.json", "metrics.jsonl"), owners.RUN),
  "step": (("manifest.json", "state/_METADATA"), owners.STEP),
  "data": (("dataset_info.json", "a.array_record"), owners.DATA_SET),
  "sweep": (("runs/a/.sweep",), owners.SWEEP),
  "weights": (("config.json", "model.safetensors"), ""),
  "page": (("index.html",), ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_owners(tmp_path, name):
  files, owner = PLACES[name]
  folder = make(tmp_path / name, *files)
  assert owners.owner(folder) == owner
  if owner:
    with pytest.raises(errors.ConfigError, match=f"^out={folder} is {owner}, "):
      owners.check_folder("out", folder)
  owners.check_folder("out", folder, but=owner)


def test_an_empty_or_missing_folder_is_nobodys(tmp_path):
  owners.check_folder("out", tmp_path)
  owners.check_folder("out", tmp_path / "new" / "below")


@pytest.mark.parametrize(
  "inside", ["checkpoints", "checkpoints/new", "checkpoints/10/state/page"]
)
def test_nothing_goes_among_the_checkpoints(tmp_path, inside):
  make(tmp_path, "checkpoints/10/manifest.json")
  # Below the run itself there is room for other things.
  owners.check_folder("out", tmp_path / "analysis")
  with pytest.raises(errors.ConfigError, match="a checkpoint of a run"):
    owners.check_folder("out", tmp_path / inside)
  with pytest.raises(errors.ConfigError, match="a checkpoint of a run"):
    owners.check_file("out", tmp_path / inside / "x", lambda _: True, "a page")


def test_nothing_goes_into_a_data_set(tmp_path):
  make(tmp_path, "dataset_info.json")
  with pytest.raises(errors.ConfigError, match=r"is inside .* a data set"):
    owners.check_folder("workdir", tmp_path / "run")


def test_a_bucket_has_owners_too(bucket):
  bucket.write("run/checkpoints/10/manifest.json", b"{}")
  folder = storage.path("gs://bucket/run")
  assert owners.owner(folder) == owners.RUN
  owners.check_folder("out", folder / "pages")
  with pytest.raises(errors.ConfigError, match="a checkpoint of a run"):
    owners.check_folder("out", folder / "checkpoints/10/pages")
  page = folder / "report.html"
  owners.check_file("out", page, lambda _: False, "a page")
  page.write(b"other")
  with pytest.raises(errors.ConfigError, match="is not a page"):
    owners.check_file("out", page, lambda _: False, "a page")


def test_only_an_own_file_is_replaced(tmp_path):
  file = tmp_path / "page"
  own = lambda head: head.startswith(b"mine")  # noqa: E731
  owners.check_file("out", file, own, "a page")
  for text, good in {"": True, "mine": True, "theirs": False}.items():
    file.write_text(text)
    if good:
      owners.check_file("out", file, own, "a page")
    else:
      with pytest.raises(errors.ConfigError, match=r"exists and is not a page"):
        owners.check_file("out", file, own, "a page")
  assert file.read_text() == "theirs"
