"""The first picture of a GIF.

By hand, because OpenCV refuses files whose background colour is not in their
palette (whole icon sets) and paints what is transparent in that colour.
"""

from collections.abc import Iterator
import struct

import numpy as np

START = (b"GIF87a", b"GIF89a")
_EXTENSION, _PICTURE, _CONTROL = 0x21, 0x2C, 0xF9
_HAS_PALETTE, _INTERLACED = 0x80, 0x40
# A code has at most 12 bits.
_MOST_CODES = 1 << 12


def first_picture(data: bytes) -> np.ndarray:
  """Pixels uint8 [h, w, 3]; black where the picture does not cover the screen.

  Raises:
    ValueError: cut off, damaged, or larger than the screen it claims.
  """
  try:
    return _decode(data)
  except (struct.error, IndexError) as e:
    raise ValueError(f"is cut off after {len(data)} bytes") from e


def _decode(data: bytes) -> np.ndarray:
  w, h, flags = struct.unpack_from("<HHB", data, 6)
  palette, i = _palette(data, 13, flags)
  transparent = -1
  while data[i] == _EXTENSION:
    if data[i + 1] == _CONTROL and data[i + 3] & 1:
      transparent = data[i + 6]
    i = _end(data, i + 2)
  if data[i] != _PICTURE:
    raise ValueError(f"is a GIF without a picture (byte {i} is {data[i]:#04x})")
  left, top, pw, ph, flags = struct.unpack_from("<HHHHB", data, i + 1)
  if top + ph > h or left + pw > w:
    raise ValueError(
      f"claims {h} x {w} pixels, but its picture goes to {top + ph} x"
      f" {left + pw}"
    )
  own, i = _palette(data, i + 10, flags)
  palette = own if len(own) else palette
  index = np.frombuffer(_unpacked(data, i, ph * pw), np.uint8)
  seen = index != transparent
  if index[seen].max(initial=0) >= len(palette):
    raise ValueError(
      f"is damaged: colour {index[seen].max()} of {len(palette)}"
    )
  colors = np.zeros((256, 3), np.uint8)
  colors[: len(palette)] = palette
  part = colors[np.where(seen, index, 0)] * seen[:, None].astype(np.uint8)
  part = part.reshape(ph, pw, 3)
  screen = np.zeros((h, w, 3), np.uint8)
  rows = np.arange(ph)
  if flags & _INTERLACED:
    rows = np.concatenate(
      [rows[a::b] for a, b in ((0, 8), (4, 8), (2, 4), (1, 2))]
    )
  screen[top + rows, left : left + pw] = part
  return screen


def _palette(data: bytes, i: int, flags: int) -> tuple[np.ndarray, int]:
  """Colours uint8 [n, 3] and the place behind them."""
  size = 2 << (flags & 7) if flags & _HAS_PALETTE else 0
  if len(data) < i + 3 * size:
    raise IndexError
  colors = np.frombuffer(data, np.uint8, 3 * size, i)
  return colors.reshape(size, 3), i + 3 * size


def _end(data: bytes, i: int) -> int:
  """The place behind the blocks that begin at `i`."""
  while data[i]:
    i += 1 + data[i]
  return i + 1


def _codes(data: bytes, i: int) -> Iterator[int]:
  """The bytes in the blocks that begin at `i`."""
  while size := data[i]:
    yield from data[i + 1 : i + 1 + size]
    i += 1 + size


def _unpacked(data: bytes, i: int, size: int) -> bytes:
  """LZW: the `size` colour numbers whose codes begin at `i`."""
  bits = data[i]
  if not 1 <= bits <= 8:
    raise ValueError(f"is damaged: colours of {bits} bits")
  clear = 1 << bits
  # The two codes behind the colours mean "begin anew" and "the end".
  first = [bytes([k]) for k in range(clear)] + [b"", b""]
  table, width, last = [*first], bits + 1, b""
  out = bytearray()
  have = waiting = 0
  for byte in _codes(data, i + 1):
    have |= byte << waiting
    waiting += 8
    while waiting >= width:
      code = have & ((1 << width) - 1)
      have >>= width
      waiting -= width
      if code == clear:
        table, width, last = [*first], bits + 1, b""
        continue
      if code > len(table) or (code == len(table) and not last):
        raise ValueError(f"is damaged: code {code} of {len(table)}")
      if code == clear + 1:
        raise ValueError(f"is cut off: {len(out)} of {size} pixels")
      now = table[code] if code < len(table) else last + last[:1]
      if last and len(table) < _MOST_CODES:
        table.append(last + now[:1])
        width += len(table) == 1 << width and width < 12
      out += now
      last = now
      if len(out) >= size:
        return bytes(out[:size])
  raise ValueError(f"is cut off: {len(out)} of {size} pixels")
