"""The analysis of a model as PNG files and a CSV file."""

import dataclasses

import numpy as np

from vit_jax.analysis import inside_page, pictures


def test_numbers_as_csv():
  text = pictures.table(np.array([[1.5, 2], [3, 40.25]]))
  assert text.splitlines() == [
    *("layer,head,distance_px", "1,1,1.5", "1,2,2", "2,1,3", "2,2,40.25")
  ]


def test_tables_of_every_layer_have_a_picture_each(map_model):
  _, found = map_model
  found = dataclasses.replace(found, similarity=found.similarity * 3)
  files = pictures.files(found)
  names = [f"position_similarity_{i:02d}.png" for i in (1, 2, 3)]
  assert [n for n in files if n.startswith("position")] == names
  page = inside_page.page("x", {}, found, files)
  assert [f"Layer {i}.</fig" in page for i in (1, 2, 3)] == [True] * 3


def test_pictures_of_images(map_model):
  _, found = map_model
  one = found.overlays[0]
  drawn = pictures.triple(one, (4, 2))
  h, w = (18 * n for n in (12, 8))
  assert drawn.shape == (h, 3 * w + 16, 3)
  np.testing.assert_array_equal(drawn[::18, :w:18], one.image)
  # The brightest patch of the map is the same as in the numbers.
  patches = drawn[36 :: 4 * 18, 2 * w + 16 + 18 :: 2 * 18].astype(int)
  assert patches.shape == (3, 4, 3)
  assert patches[..., 0].argmax() == one.relevance.argmax()


def test_mosaic_keeps_the_order():
  tiles = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones(
    (1, 4, 2, 1), np.uint8
  )
  drawn = pictures.mosaic(tiles)
  high, wide = 4 * 24 + 8, 2 * 24 + 8
  assert drawn.shape == (2 * high, 7 * wide, 1)
  centres = drawn[high // 2 :: high, wide // 2 :: wide, 0]
  want = [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 255, 255, 255, 255]]
  np.testing.assert_array_equal(centres, want)
