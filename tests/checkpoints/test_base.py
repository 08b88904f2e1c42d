"""What a layout can ask of a file."""

import dataclasses
import pathlib

import numpy as np
import pytest

from vit_jax.checkpoints import base, layouts, tensors
from vit_jax.core import errors


def source(**shapes):
  return base.Source(
    pathlib.Path("x"),
    {
      name: tensors.from_array(np.zeros(shape, np.float32))
      for name, shape in shapes.items()
    },
  )


def test_the_majority_tells_a_size():
  found = source(a1=(4, 8), a2=(4, 9), a3=(4, 9), b=(7,))
  assert found.size(r"a\d", -1, 0) == 9
  assert found.size(r"a\d", 0, 0) == 4
  # An axis that there is not, a name that there is not.
  assert found.size("b", 1, 5) == 5
  assert found.size("c", 0, 5) == 5
  assert found.has("a.")
  assert not found.has("a")


def test_blocks_are_counted_in_each_stage():
  found = source(s0b0=(1,), s0b1=(1,), s1b0=(1,), s3b0=(1,))
  assert found.count(r"s(\d)b.*") == 4
  assert found.depths(r"s{}b(\d)") == (2, 1)
  first = source(s1b1=(1,), s1b2=(1,), s2b1=(1,))
  assert first.depths(r"s{}b(\d)", first=1) == (2, 1)
  with pytest.raises(errors.CheckpointError, match="b99 in a file of 2"):
    source(b0=(1,), b99=(1,)).count(r"b(\d+)")


def test_where_weights_are_written():
  (timm,) = (x for x in layouts.named("timm") if x.model == "bit")
  (bit,) = (x for x in layouts.named("bit") if x.format == "bit")
  for layout, out, place in (
    (bit, "a", "a"),
    (timm, "a", "a/model.safetensors"),
    (timm, "a.safetensors", "a.safetensors"),
  ):
    assert layout.place(pathlib.Path(out)) == pathlib.Path(place)


def test_what_an_implied_value_changes_is_noted():
  layout = layouts.named("vision_transformer")[1]
  config = layout.new(source(cls=(1, 1, 768))).config
  assert layout.notes(config) == []
  config = dataclasses.replace(config, gelu="exact")
  (note,) = layout.notes(config)
  assert note.startswith("gelu=exact, but tanh in vision_transformer: ")
