"""Small data sets with the features of TFDS's, of pieces of photographs."""

import contextlib
import functools
import io
import os

import cv2
import numpy as np
from sklearn import datasets
import tensorflow_datasets as tfds


@functools.cache
def photographs():
  """The two that scikit-learn carries, uint8 [2, 427, 640, 3]."""
  return np.stack(datasets.load_sample_images().images)


def piece(number, kind=".jpg", channels=3, side=16):
  """A part of a photograph, encoded; another for each number."""
  photo = photographs()[number % 2]
  y, x = divmod(number // 2 * 7, 620)
  part = photo[y * 3 % 400 :][:side, x:][:, :side, :channels]
  return cv2.imencode(kind, part[..., ::-1])[1].tobytes()


def write(data_dir, name, examples):
  """Builds TFDS's data set `name` with other examples, in their order.

  Args:
    data_dir: where it goes.
    name: as in TFDS.
    examples: a list for each split; images encoded.
  """
  original = tfds.builder(name, data_dir=str(data_dir), try_gcs=False)
  found = original.info.features

  def encoded(example):
    return {
      k: io.BytesIO(v) if isinstance(v, bytes) else v
      for k, v in example.items()
    }

  with tfds.core.registered.skip_registration():

    class Builder(tfds.core.GeneratorBasedBuilder):
      name = original.name
      VERSION = original.version

      def _info(self):
        return tfds.core.DatasetInfo(
          builder=self, features=found, disable_shuffling=True
        )

      def _split_generators(self, dl_manager):
        del dl_manager
        return {k: self._generate_examples(v) for k, v in examples.items()}

      def _generate_examples(self, of):
        for i, example in enumerate(of):
          yield i, encoded(example)

  with open(os.devnull, "w") as f, contextlib.redirect_stderr(f):
    Builder(
      data_dir=str(data_dir), file_format="array_record"
    ).download_and_prepare()
