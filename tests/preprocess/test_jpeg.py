"""A JPEG's part is what it is in the whole image, at any scale."""

import cv2
import numpy as np
import pytest
import simplejpeg

from tests.preprocess.jpeg_files import FILES, H, W
from vit_jax.preprocess import decode, op
from vit_jax.preprocess.codecs import jpeg


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("jpeg")])
@pytest.mark.parametrize("rows", [1, 7, 16, 33, 100, H - 1, H])
def test_rows_from_the_top_are_those_of_the_whole(name, rows):
  data = FILES[name]
  image = jpeg.read(data)
  assert (image.h, image.w, image.scales) == (
    H,
    W,
    jpeg.SCALES,
  )
  whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
  top = image.decode(3, rows)
  assert rows <= len(top) <= rows + 16
  np.testing.assert_array_equal(top[:rows], whole[:rows])


@pytest.mark.parametrize("scale", jpeg.SCALES)
@pytest.mark.parametrize("name", ["jpeg 420", "jpeg 444", "grey"])
def test_a_scaled_pixel_is_the_mean_over_its_square(name, scale):
  data = FILES[name]
  image = jpeg.read(data)
  channels = 1 if name == "grey" else 3
  small = image.decode(channels, 0, scale)
  assert small.shape == (
    -(-H // scale),
    -(-W // scale),
    channels,
  )
  whole = image.decode(channels)
  h, w = H // scale, W // scale
  means = whole[: h * scale, : w * scale].reshape(h, scale, w, scale, channels)
  difference = np.abs(small[:h, :w] - means.mean((1, 3)))
  assert difference.mean() < 3
  # Neither a shift by a pixel nor a picked one would do.
  picked = np.abs(small[:h, :w] - whole[::scale, ::scale][:h, :w].astype(int))
  assert difference.mean() < picked.mean() / 1.5


def test_no_row_below_the_part_is_decoded(monkeypatch, capfd):
  heights = []

  def decode_jpeg(data, *args, **kwargs):
    heights.append(jpeg.read(bytes(data)).h)
    return real(data, *args, **kwargs)

  real = simplejpeg.decode_jpeg
  monkeypatch.setattr(simplejpeg, "decode_jpeg", decode_jpeg)
  o = decode.Decode()
  for bottom in (9, 60, 180, H):
    drawn = o.draw(
      {"image": FILES["jpeg 420"], "id": 0},
      lambda h, w, b=bottom: (4, 5, op.Size(b - 4, 20)),
    )
    o.part(drawn, None)
  assert heights == [25, 76, 196, H]
  assert capfd.readouterr().err == ""
