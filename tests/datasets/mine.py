"""The images of a manifest as the data set tfds:mine."""

from tests.data import manifests
from vit_jax.datasets import prepare


def manifest(root, rows, name="list.jsonl"):
  return f"multilabel:{manifests.jsonl(root, rows, name)}"


def run(name, data_dir, **options):
  return prepare.prepare(
    name,
    str(data_dir),
    options=prepare.Options(out="mine", workers=1, **options),
  )
