"""The digits as a data set that is verified."""

from vit_jax.datasets import verify

TRAIN = "digits-train.array_record-00000-of-00001"


def check(digits, **kwargs):
  return verify.verify("tfds:digits", str(digits.parents[1]), **kwargs)
