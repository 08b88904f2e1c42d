"""GIFs written bit by bit, and ones that were tampered with."""

import struct

import numpy as np
from PIL import Image
import pytest

from tests.preprocess import image_files
from vit_jax.preprocess.codecs import gif

RED_GREEN_BLUE = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])


def first_picture(data):
  """What the codec makes of a file, in whatever way that begins."""
  return gif.read(data).decode()


def packed(codes, width):
  """Codes of `width` bits, the lowest bit first, in blocks."""
  number = sum(code << (width * i) for i, code in enumerate(codes))
  data = number.to_bytes(-(-len(codes) * width // 8), "little")
  blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
  return b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def written(h, w, codes, *, palette=RED_GREEN_BLUE, before=b"", width=3):
  """A GIF of four colours; 4 begins anew and 5 is the end."""
  flags = 0x81 if palette else 0
  head = b"GIF89a" + struct.pack("<HHBBB", w, h, flags, 0, 0) + palette
  picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, w, h, 0) + bytes([2])
  return head + before + picture + packed(codes, width) + b";"


def test_codes_of_colours_and_of_runs():
  # 6 is the first new entry: two greens.
  image = first_picture(written(2, 3, [4, 1, 6, 4, 0, 2, 2, 5]))
  r, g, b = [255, 0, 0], [0, 255, 0], [0, 0, 255]
  assert image.tolist() == [[g, g, g], [r, b, b]]


def test_what_is_transparent_is_black():
  control = b"!\xf9\x04\x01\0\0\x02\0"
  comment = b"!\xfe\x03abc\x02de\0"
  data = written(1, 3, [4, 0, 2, 1], before=comment + control)
  assert first_picture(data).tolist() == [[[255, 0, 0], [0, 0, 0], [0, 255, 0]]]


def compressed(colors):
  """LZW of numbers below 4 that never begins anew: its table fills up."""
  table = {(k,): k for k in range(4)}
  number, at, width, size = 4, 3, 3, 6
  run = ()
  for color in [*colors, None]:
    if (*run, color) in table:
      run += (color,)
      continue
    number |= table[run] << at
    at += width
    if size < 4096:
      table[*run, color] = size
      size += 1
      # The reader's table is one entry behind.
      width += size - 1 == 1 << width and width < 12
    run = (color,)
  return number.to_bytes(-(-at // 8), "little")


def test_a_full_table_stays():
  colors = np.random.default_rng(0).integers(0, 3, (300, 200))
  data = compressed(colors.reshape(-1).tolist())
  # More codes than a table has.
  assert len(data) * 8 > 5000 * 12
  blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
  codes = b"".join(bytes([len(b)]) + b for b in blocks) + b"\0;"
  gif_file = written(300, 200, [])[:-2] + codes
  wanted = np.frombuffer(RED_GREEN_BLUE, np.uint8).reshape(4, 3)[colors]
  np.testing.assert_array_equal(first_picture(gif_file), wanted)


REFUSED = {
  "no colours": (written(1, 1, [4, 0], palette=b""), "colour 0 of 0"),
  "a code too early": (written(1, 2, [4, 6]), "cannot be decoded"),
  "a code too high": (written(1, 3, [4, 0, 7]), "cannot be decoded"),
  "an early end": (written(1, 3, [4, 0, 5]), "cannot be decoded"),
  "no codes": (written(1, 3, []), "cannot be decoded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
  data, said = REFUSED[name]
  with pytest.raises(ValueError, match=said):
    first_picture(data)


def test_more_codes_than_pixels_are_not_unpacked():
  data = written(1, 2, [4, *[0] * 2, *[7] * 2000])
  assert first_picture(data).shape == (1, 2, 3)


def test_the_only_limit_is_our_own(monkeypatch):
  """Pillow would warn about more pixels than this, and refuse twice as many."""
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  assert first_picture(image_files.GIF).shape == (24, 32, 3)


@pytest.mark.parametrize("name", [n for n in image_files.READ if "gif" in n])
def test_any_byte_may_be_wrong(name):
  data = bytearray(image_files.READ[name][0])
  rng = np.random.default_rng(0)
  for i in [*range(40), *rng.integers(40, len(data), 60)]:
    changed = data.copy()
    changed[i] ^= 1 << rng.integers(8)
    h, w = struct.unpack_from("<HH", changed, 6)[::-1]
    if h * w > 10**6:
      continue
    try:
      assert first_picture(bytes(changed)).shape == (h, w, 3)
    except ValueError as e:
      assert str(e).startswith(("is ", "claims ", "cannot "))
