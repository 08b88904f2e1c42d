"""Image files of every kind that people have, whole and broken."""

import base64
import gzip
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from tests.preprocess import tiff_avif_files
from tests.preprocess.pictures import (
  ALPHA,
  BLACK_AND_WHITE,
  GREY,
  PICTURE,
  H,
  W,
  frames,
  mode,
  palette,
  patched,
  pillow,
  rgb,
)

# Written by libjpeg-turbo's arithmetic coder at quality 90.
ARITHMETIC = base64.b64decode(
  "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDA"
  "sKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQU"
  "FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQARCAAYAC"
  "ADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AOxkNf66DvpfdG/HzDhMjm/C"
  "vznDECcfu1qX+QZb2jAOqPEt+InQcY/nOl54N/q+tI+zOk2PktiMrNTWf7Gm9S7yOJCBLH82kX"
  "s0xugVTcLcdh2c272FlVYFhyc7JAA+c99yVV8ACmnzUDn6CFskFAcUvTB27QsPZ//Z"
)


def without(image, color):
  """A picture with the pixels of a palette's colour black."""
  return np.where(np.asarray(image)[..., None] == color, 0, rgb(image))


def on_a_screen(gif, h, w, top, left):
  """A GIF whose picture is a part of its screen, and what it shows."""
  i = gif.index(b"\x2c\0\0\0\0")
  moved = patched(patched(gif, 6, "<HH", w, h), i + 1, "<HH", left, top)
  shown = np.zeros((h, w, 3), np.uint8)
  shown[top : top + H, left : left + W] = rgb(palette())
  return moved, shown


def chunk(name, body):
  check = zlib.crc32(name + body)
  return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


def png(h, w, bits, color, rows, *, interlace=0):
  head = struct.pack(">IIBBBBB", w, h, bits, color, 0, 0, interlace)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", head)
    + chunk(b"IDAT", rows)
    + chunk(b"IEND", b"")
  )


def scanlines(image):
  """Rows of a PNG without a filter."""
  return b"".join(b"\0" + row.tobytes() for row in image)


def interlaced():
  passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
  passes += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
  rows = b"".join(
    scanlines(np.ascontiguousarray(PICTURE[y::dy, x::dx]))
    for y, x, dy, dx in passes
  )
  return png(H, W, 8, 2, zlib.compress(rows), interlace=1)


def segment(marker, body):
  return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def after_start(jpeg, extra):
  """A JPEG with `extra` after its first marker."""
  return jpeg[:2] + extra + jpeg[2:]


def exif(orientation, thumbnail=b""):
  tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
  tiff += struct.pack(">HHI", orientation, 0, 0)
  return segment(0xE1, b"Exif\0\0" + tiff + thumbnail)


def without_segment(jpeg, marker):
  i = jpeg.index(bytes([0xFF, marker]))
  size = struct.unpack_from(">H", jpeg, i + 2)[0]
  return jpeg[:i] + jpeg[i + 2 + size :]


def ycck():
  """CMYK inks told as YCC and K, as Adobe's transform 2 says."""
  inks = np.asarray(mode("CMYK"))
  y = cv2.cvtColor(np.ascontiguousarray(inks[..., :3]), cv2.COLOR_RGB2YCrCb)
  turned = np.dstack([y[..., 0], y[..., 2], y[..., 1], 255 - inks[..., 3]])
  # Adobe's files hold inverted inks; Pillow inverts what it is given.
  data = pillow(Image.fromarray(255 - turned, "CMYK"), "JPEG", quality=98)
  i = data.index(b"Adobe") + 11
  return data[:i] + b"\x02" + data[i + 1 :]


def frame_patched(jpeg, offset, new):
  """A JPEG with bytes of its frame header replaced."""
  i = next(jpeg.index(m) for m in (b"\xff\xc0", b"\xff\xc2") if m in jpeg)
  return jpeg[: i + offset] + new + jpeg[i + offset + len(new) :]


def bmp_top_down():
  data = bytearray(pillow(PICTURE, "BMP"))
  data[22:26] = struct.pack("<i", -H)
  start = struct.unpack_from("<I", data, 10)[0]
  data[start:] = np.ascontiguousarray(PICTURE[..., ::-1]).tobytes()
  return bytes(data)


def bomb():
  """A whole PNG of 20,000 x 20,000 black pixels in about 50 kB."""
  press = zlib.compressobj(9)
  block = bytes(2501 * 1000)
  rows = b"".join(press.compress(block) for _ in range(20)) + press.flush()
  return png(20_000, 20_000, 1, 0, rows)


def webp_claiming(h, w):
  data = frames("WEBP")
  sides = (w - 1).to_bytes(3, "little") + (h - 1).to_bytes(3, "little")
  return data[:24] + sides + data[30:]


JPEG = pillow(PICTURE, "JPEG", quality=98, subsampling=0)
CMYK = pillow(mode("CMYK"), "JPEG", quality=98)
PNG = pillow(PICTURE, "PNG")
GIF = pillow(palette(), "GIF")
BMP = pillow(PICTURE, "BMP")
WEBP = pillow(PICTURE, "WEBP", lossless=True)
PROGRESSIVE = pillow(
  PICTURE, "JPEG", quality=98, subsampling=0, progressive=True
)
_DEEP = PICTURE.astype(np.uint16) << 8 | 0xFF
_IDAT = PNG.index(b"IDAT")
# The first block of codes, behind the picture's head and its code size.
_CODES = GIF.index(b"\x2c\0\0\0\0") + 11

# name: (file, pixels, the largest difference that its coding allows).
READ = {
  "png": (PNG, PICTURE, 0),
  "grey png": (pillow(mode("L"), "PNG"), rgb(mode("L")), 0),
  "grey png with alpha": (pillow(mode("LA"), "PNG"), rgb(mode("L")), 0),
  "png with alpha": (pillow(ALPHA, "PNG"), PICTURE, 0),
  "palette png": (pillow(palette(), "PNG"), rgb(palette()), 0),
  "palette png of 4 bits with a transparent colour": (
    pillow(palette(16), "PNG", transparency=3, bits=4),
    rgb(palette(16)),
    0,
  ),
  "png of 1 bit": (
    pillow(Image.fromarray(BLACK_AND_WHITE[..., 0]).convert("1"), "PNG"),
    BLACK_AND_WHITE,
    0,
  ),
  "png of 16 bits": (
    png(H, W, 16, 2, zlib.compress(scanlines(_DEEP.byteswap()))),
    PICTURE,
    0,
  ),
  "grey png of 16 bits": (
    png(H, W, 16, 0, zlib.compress(scanlines(_DEEP[..., 0].byteswap()))),
    GREY,
    0,
  ),
  "interlaced png": (interlaced(), PICTURE, 0),
  "animated png": (frames("PNG"), PICTURE, 0),
  "png of one pixel": (
    pillow(PICTURE[5:6, 9:10], "PNG"),
    PICTURE[5:6, 9:10],
    0,
  ),
  "png with bytes after its end": (PNG + b"rest", PICTURE, 0),
  "gif": (GIF, rgb(palette()), 0),
  "animated gif": (frames("GIF"), rgb(palette()), 0),
  "gif in one pass": (pillow(palette(), "GIF", interlace=0), rgb(palette()), 0),
  "gif of two colours": (pillow(palette(2), "GIF"), rgb(palette(2)), 0),
  # As in the icons of Python 2: 255 of 64 colours is the background.
  "gif whose background is no colour of its own": (
    patched(GIF, 11, "B", 255),
    rgb(palette()),
    0,
  ),
  "gif with a transparent colour": (
    pillow(palette(), "GIF", transparency=9),
    without(palette(), 9),
    0,
  ),
  "gif that is a part of its screen": (*on_a_screen(GIF, 40, 50, 7, 3), 0),
  "bmp": (BMP, PICTURE, 0),
  "palette bmp": (pillow(palette(), "BMP"), rgb(palette()), 0),
  "bmp from the top": (bmp_top_down(), PICTURE, 0),
  "webp without loss": (WEBP, PICTURE, 0),
  "webp with alpha": (
    pillow(ALPHA, "WEBP", lossless=True, exact=True),
    PICTURE,
    0,
  ),
  "animated webp": (frames("WEBP"), PICTURE, 0),
  "webp with loss": (pillow(PICTURE, "WEBP", quality=95), PICTURE, 20),
  "jpeg": (JPEG, PICTURE, 4),
  "progressive jpeg": (PROGRESSIVE, PICTURE, 4),
  "grey jpeg": (pillow(mode("L"), "JPEG", quality=98), rgb(mode("L")), 4),
  "arithmetic jpeg": (ARITHMETIC, PICTURE, 6),
  "cmyk jpeg": (CMYK, PICTURE, 4),
  "ycck jpeg": (ycck(), PICTURE, 6),
  "jpeg of one pixel": (
    pillow(PICTURE[5:6, 9:10], "JPEG", quality=98),
    PICTURE[5:6, 9:10],
    4,
  ),
  "jpeg whose camera was turned": (after_start(JPEG, exif(6)), PICTURE, 4),
  "jpeg with a thumbnail": (after_start(JPEG, exif(1, JPEG)), PICTURE, 4),
  "jpeg with bytes after its end": (JPEG + b"rest", PICTURE, 4),
  "jpeg with filled markers": (after_start(JPEG, b"\xff" * 9), PICTURE, 4),
  "jpeg with restarts": (
    pillow(PICTURE, "JPEG", quality=98, subsampling=0, restart_marker_blocks=2),
    PICTURE,
    4,
  ),
}

READ |= tiff_avif_files.READ
_KIND = "is no JPEG, PNG, GIF, BMP, WebP, TIFF or AVIF"
_CUT = "is cut off after"
_DAMAGED = "cannot be decoded"
_MANY = "more than decode's max_pixels"
# name: (file, what the error says).
REFUSED = {
  "no bytes": (b"", "is empty"),
  "zeros": (bytes(1000), _KIND),
  "text": (b"n01440764 tench\n", _KIND),
  "web page": (b"<!DOCTYPE html><title>404</title>", _KIND),
  "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", _KIND),
  "jpeg 2000": (pillow(PICTURE, "JPEG2000"), _KIND),
  "ppm": (pillow(PICTURE, "PPM"), _KIND),
  "icon": (pillow(PICTURE, "ICO"), _KIND),
  "compressed jpeg": (gzip.compress(JPEG, mtime=0), _KIND),
  "riff without webp": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(99), _KIND),
  "jpeg of two markers": (b"\xff\xd8\xff\xd9", "is cut off"),
  "jpeg cut in its header": (JPEG[:40], _CUT),
  "jpeg cut in its pixels": (JPEG[:-60], _CUT),
  "progressive jpeg cut": (PROGRESSIVE[: len(PROGRESSIVE) // 2], _CUT),
  "jpeg cut after a thumbnail": (
    after_start(JPEG, exif(1, JPEG))[:-60],
    _CUT,
  ),
  "jpeg of 12 bits": (frame_patched(JPEG, 4, b"\x0c"), _DAMAGED),
  "jpeg of an unknown coding": (frame_patched(JPEG, 1, b"\xc7"), _DAMAGED),
  "jpeg without tables": (without_segment(JPEG, 0xDB), _DAMAGED),
  "jpeg without height": (frame_patched(JPEG, 5, b"\0\0"), "claims 0 x 32"),
  "cmyk jpeg of unknown inks": (
    without_segment(CMYK, 0xEE),
    "is CMYK without an Adobe marker",
  ),
  "png signature": (PNG[:8], _CUT),
  "png cut in its header": (PNG[:20], _CUT),
  "png cut in its pixels": (PNG[:-30], _CUT),
  "png without a header": (
    PNG[:8] + chunk(b"tEXt", bytes(99)) + PNG[33:],
    "does not begin with its header",
  ),
  "png with a wrong checksum": (
    PNG[: _IDAT + 20] + b"\x55" + PNG[_IDAT + 21 :],
    _DAMAGED,
  ),
  "png with too few rows": (
    png(H, W, 8, 2, zlib.compress(scanlines(PICTURE[:9]))),
    _DAMAGED,
  ),
  "png of rubbish": (png(H, W, 8, 2, bytes(range(256))), _DAMAGED),
  "png of an unknown depth": (patched(PNG, 24, "B", 3), _DAMAGED),
  "gif cut": (GIF[: len(GIF) // 2], _CUT),
  "gif with too few codes": (
    GIF[:_CODES] + bytes([9]) + GIF[_CODES + 1 :][:9] + b"\0;",
    _DAMAGED,
  ),
  "gif without a picture": (GIF[:205] + b";", "is a GIF without a picture"),
  "gif larger than its screen": (
    patched(GIF, 6, "<HH", W, H - 1),
    "claims 23 x 32 pixels, but its picture goes to 24 x 32",
  ),
  "gif of wrong codes": (
    GIF[:_CODES] + b"\x03\xff\xff\xff\0;",
    _DAMAGED,
  ),
  "gif with too few colours": (
    patched(GIF[:19] + GIF[205:], 10, "B", 0x80),
    "is damaged: colour",
  ),
  "gif cut in its header": (GIF[:8], _CUT),
  "bmp cut": (BMP[:-9], _DAMAGED),
  "bmp cut in its header": (BMP[:20], _CUT),
  "webp cut": (WEBP[:-9], _DAMAGED),
  "webp cut in its header": (WEBP[:23], _CUT),
  "webp without an image": (
    b"RIFF\x10\0\0\0WEBPEXIF\x04\0\0\0abcd",
    "is a WebP without an image",
  ),
  "bomb": (bomb(), "claims 20000 x 20000 = 400000000 pixels"),
  "bomb with bytes of the largest size": (
    patched(PNG, 16, ">II", 2**31 - 1, 2**31 - 1),
    _MANY,
  ),
  "jpeg bomb": (frame_patched(JPEG, 5, b"\x4e\x20\x4e\x20"), _MANY),
  "gif bomb": (patched(GIF, 6, "<HH", 20_000, 20_000), _MANY),
  "bmp bomb": (patched(BMP, 18, "<ii", 20_000, -20_000), _MANY),
  "webp bomb": (webp_claiming(16_000, 16_000), _MANY),
  "gif without pixels": (patched(GIF, 6, "<HH", 0, 9), "claims 9 x 0 pixels"),
}
REFUSED |= tiff_avif_files.REFUSED
