"""A folder of images as the data set tfds:photos."""

from vit_jax.data import base
from vit_jax.datasets import prepare


def build(root, data_dir, **options):
  return prepare.prepare(
    f"folder:{root}",
    str(data_dir),
    options=prepare.Options(out="photos", **options),
  )


def content(data_dir, name="tfds:photos"):
  source = base.open_source(name, "train", str(data_dir))
  return [
    (e["file_name"].decode(), e["image"], int(e["label"]))
    for e in (source[i] for i in range(len(source)))
  ]


def digests(data_dir):
  """All files but the ones that hold a time."""
  return {
    path.name: path.read_bytes()
    for path in (data_dir / "photos/1.0.0").iterdir()
    if path.is_file()
  }
