"""Where a run may be, and that its files come to be there."""

import json

import pytest

from tests.e2e import run as cli
from vit_jax.core import config as config_lib, errors, storage
from vit_jax.train import experiment, mirror, recording, workdir

CONFIG = config_lib.ConfigDict({"seed": 1})


def test_other_storage_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with (
    pytest.raises(errors.ConfigError, match="mount another kind"),
    workdir.claim("s3://b/run", CONFIG),
  ):
    pass
  assert not list(tmp_path.iterdir())


def test_a_bucket_belongs_to_one_config(bucket):
  with workdir.claim("gs://bucket/run", CONFIG) as claimed:
    assert str(claimed.home) == "gs://bucket/run"
    claimed.sync()
    assert bucket.names() == ["run/.lock", "run/config.json"]
  assert bucket.names() == ["run/config.json"]
  other = config_lib.ConfigDict({"seed": 2})
  with (
    pytest.raises(errors.ConfigError, match="gs://bucket/run belongs to anoth"),
    workdir.claim("gs://bucket/run", other),
  ):
    pass
  assert json.loads(bucket.read("run/config.json")) == {"seed": 1}
  # The refused one holds it no longer.
  assert bucket.names() == ["run/config.json"]


def test_a_run_of_an_earlier_version(tmp_path):
  """Its config lacks a field that was added since, and has its default."""
  ours = config_lib.to_config_dict(experiment.Experiment())
  earlier = json.loads(config_lib.to_json(ours))
  del earlier["start"]["layout"]
  (tmp_path / "config.json").write_text(json.dumps(earlier))
  with workdir.claim(str(tmp_path), ours):
    pass
  (tmp_path / "config.json").write_text(json.dumps(earlier))
  ours.start.layout = "timm"
  with (
    pytest.raises(errors.ConfigError, match=r"start\.layout: '\(absent\)'"),
    workdir.claim(str(tmp_path), ours),
  ):
    pass


def test_journals_go_on_where_they_were(bucket):
  home = storage.path("gs://bucket/run")
  for start, steps in ((0, (1, 2, 3)), (2, (3, 4))):
    with mirror.mirrored(home) as here:
      journal = recording.Journal(here.folder / "metrics.jsonl", start)
      for step in steps:
        journal.write({"step": step, "start": start})
      here.upload()
      (here.folder / "profile").mkdir()
      (here.folder / "profile/trace").write_bytes(b"1")
      journal.close()
  rows = map(json.loads, bucket.read("run/metrics.jsonl").splitlines())
  assert [tuple(row.values()) for row in rows] == [
    (1, 0),
    (2, 0),
    (3, 2),
    (4, 2),
  ]
  assert bucket.read("run/profile/trace") == b"1"
  assert not here.folder.exists()


def of_data(name):
  """A config that trains and evaluates on a data set."""
  return config_lib.load(
    cli.TINY,
    "steps=1",
    {"data.train.name": name, "evals.test.data.name": name},
  )


SPELLINGS = (
  *("folder:{}/data/ant", "folder:{}/data/ant/", "folder:{}/data/../data/ant"),
  *("folder:data/ant", "folder:./data/ant//", "folder:~/ant", "folder:../ant"),
  "folder:/somewhere/else/ant",
)


@pytest.mark.parametrize("name", SPELLINGS)
def test_where_data_lies_is_not_what_it_is(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  with workdir.claim("run", of_data(f"folder:{tmp_path}/data/ant")):
    pass
  # Relative to another folder as well.
  name = name.format(tmp_path)
  with workdir.claim("run", of_data(name)):
    pass
  # The place is then the new one.
  saved = json.loads((tmp_path / "run/config.json").read_text())
  assert saved["data"]["train"]["name"] == name
  assert saved["evals"]["test"]["data"]["name"] == name
  for other in ("folder:data/bee", "tfds:digits", "multilabel:ant"):
    with (
      pytest.raises(
        errors.ConfigError, match="belongs to another config: data"
      ),
      workdir.claim("run", of_data(other)),
    ):
      pass


MOVED = {
  "multilabel:/a/list.csv@0.5": "multilabel:b/../list.csv@0.5",
  "real:/a/real.json": "real:~/real.json",
  "mix:0.7*folder:/a/x+0.3*tfds:digits": "mix:7*folder:x/+3*tfds:digits",
}


@pytest.mark.parametrize("name", MOVED)
def test_other_data_that_has_moved(tmp_path, name):
  with workdir.claim(str(tmp_path), of_data(name)):
    pass
  with workdir.claim(str(tmp_path), of_data(MOVED[name])):
    pass


def test_the_fingerprint_of_a_mixture_that_has_moved():
  def meta(name, digest="1"):
    parts = {f"0:{name}": {"name": "folder:x", "files": digest}}
    data = {"name": "mix", "parts": parts}
    config = of_data(f"mix:1*{name}+1*synthetic").to_dict()
    return {"config": config, "data": data, "weights": {}, "parts": {}}

  workdir.check_same(meta("folder:/a/x"), meta("folder:~/b/x/"), 3)
  with pytest.raises(errors.DataError, match="training data changed since"):
    workdir.check_same(meta("folder:/a/x"), meta("folder:/b/x", "2"), 3)


def test_a_workdir_below_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  with workdir.claim("~/run", CONFIG) as claimed:
    assert claimed.home == tmp_path / "run"


def test_only_what_has_changed_is_uploaded_also_now_and_then(
  bucket, monkeypatch
):
  monkeypatch.setattr(mirror, "_EVERY_S", 0.02)
  with mirror.mirrored(storage.path("gs://bucket/run")) as here:
    (here.folder / "a").write_bytes(b"1")
    while not bucket.names("run/a"):
      pass
    generation = bucket.objects["run/a"][0]
    (here.folder / "b").write_bytes(b"2")
    while not bucket.names("run/b"):
      pass
  assert bucket.objects["run/a"][0] == generation


def test_an_error_on_its_way_is_the_one_that_is_told(
  bucket, monkeypatch, capsys
):
  def gone(*_):
    raise errors.BucketError("no answer")

  with (
    pytest.raises(errors.Interrupted, match="saved"),
    mirror.mirrored(storage.path("gs://bucket/run")),
  ):
    monkeypatch.setattr(mirror.Mirror, "upload", gone)
    raise errors.Interrupted("saved", 15)
  assert "the last rows were not uploaded: no answer" in capsys.readouterr().err
  with (
    pytest.raises(errors.BucketError),
    mirror.mirrored(storage.path("gs://bucket/run")),
  ):
    pass
