"""JPEGs of every kind that is decoded in a way of its own."""

import cv2
import numpy as np

from tests.preprocess import image_files

H, W = 203, 310


SAMPLING = {
  "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
  "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
  "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
  "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def noise():
  rough = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
  return cv2.GaussianBlur(rough, (0, 0), 1.5)


def ramp():
  """A picture whose colours tell the place: smooth, so that any scale does."""
  y, x = np.mgrid[:H, :W]
  return np.stack([y, x * 0.8, 255 - y / 2 - x / 3], -1).astype(np.uint8)


def encoded(image, sampling="420", **options):
  flags = [cv2.IMWRITE_JPEG_QUALITY, options.pop("quality", 95)]
  flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling]]
  for name, value in options.items():
    flags += [getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value]
  return cv2.imencode(".jpg", image[..., ::-1], flags)[1].tobytes()


FILES = {
  **{f"jpeg {s}": encoded(noise(), s) for s in SAMPLING},
  "with restarts": encoded(noise(), rst_interval=3),
  "progressive": encoded(noise(), progressive=1),
  "grey": cv2.imencode(".jpg", noise()[..., 0])[1].tobytes(),
  "cmyk": image_files.CMYK,
  "png": image_files.PNG,
  "pixels": noise(),
}
