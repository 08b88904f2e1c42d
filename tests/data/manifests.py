"""Small manifests of images."""

import json

import numpy as np


def by_file(source):
  """Label by the number of the file."""
  return {
    int(source.where(i).rpartition("/")[2][:-4]): np.asarray(
      source[i]["label"]
    ).tolist()
    for i in range(len(source))
  }


def jsonl(root, rows, name="list.jsonl"):
  (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
  return root / name


def csv(root, text, name="list.csv"):
  (root / name).write_text(text)
  return root / name


def row(i, **rest):
  return {"path": f"images/{i}.png", **rest}
