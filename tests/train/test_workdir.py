"""Where a run may be, and that its files come to be there."""

import json

import pytest

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
