"""What is inside a model as PNG files, and its distances as CSV."""

import csv
import io

import cv2
import numpy as np

from vit_jax.analysis import inside, plots, rollout

# Sides in px: pictures are drawn at least this large, tiles up to this large.
_SIDE = 224
_TILE = 96
# Tiles in a row: 4 rows of them in Figure 7, arXiv:2010.11929.
_COLUMNS = 7


def files(found: inside.Findings) -> dict[str, bytes]:
  """Contents by file name, in the order of the page."""
  drawn = {
    f"rollout_{i:03d}.png": png(triple(one, inside.cell_px(found.config)))
    for i, one in enumerate(found.overlays, 1)
  }
  drawn["attention_distance.png"] = plots.attention_distance(
    found.distance, found.uniform
  )
  drawn["attention_distance.csv"] = table(found.distance).encode()
  for i, tiles in enumerate(found.similarity, 1):
    layer = f"_{i:02d}" if len(found.similarity) > 1 else ""
    drawn[f"position_similarity{layer}.png"] = plots.similarity(tiles)
  if len(found.components):
    drawn["filters.png"] = png(mosaic(found.components))
  return drawn


def triple(one: inside.Overlay, cell_px: tuple[int, int]) -> np.ndarray:
  """An image, what its rollout leaves of it, and the rollout by patch.

  Small images are enlarged first, pixel by pixel, so that the map is smooth.
  The patches' colours are from 0 to their maximum.
  """
  times = max(1, _SIDE // max(one.image.shape[:2]))
  large = enlarged(one.image, times)
  h, w, _ = large.shape
  cell = (cell_px[0] * times, cell_px[1] * times)
  lit = rollout.overlay(large, rollout.opacity(one.relevance, (h, w), cell))
  level = np.rint(255 * one.relevance / one.relevance.max()).astype(np.uint8)
  patches = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[..., ::-1]
  patches = cv2.resize(patches, (w, h), interpolation=cv2.INTER_NEAREST)
  gap = np.full((h, 8, 3), 255, np.uint8)
  large, lit = (np.broadcast_to(x, (h, w, 3)) for x in (large, lit))
  return np.concatenate([large, gap, lit, gap, patches], axis=1)


def mosaic(tiles: np.ndarray) -> np.ndarray:
  """Tiles [n, ph, pw, c] in rows, with white between them."""
  n, ph, pw, c = tiles.shape
  times = max(1, _TILE // max(ph, pw))
  pad = [(0, -n % _COLUMNS), (0, 0), (0, 0), (0, 0)]
  tiles = np.pad(tiles, pad, constant_values=255)
  tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
  pad = [(0, 0), (4, 4), (4, 4), (0, 0)]
  tiles = np.pad(tiles, pad, constant_values=255)
  _, h, w, _ = tiles.shape
  rows = tiles.reshape(-1, _COLUMNS, h, w, c).transpose(0, 2, 1, 3, 4)
  return rows.reshape(-1, _COLUMNS * w, c)


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
  """Every pixel of [h, w, c] as a square of pixels."""
  return image.repeat(times, axis=0).repeat(times, axis=1)


def png(image: np.ndarray) -> bytes:
  """An image [h, w, c] of 1 or 3 channels, uint8, as a file."""
  level = (cv2.IMWRITE_PNG_COMPRESSION, 9)
  return cv2.imencode(".png", image[..., ::-1], level)[1].tobytes()


def table(distance: np.ndarray) -> str:
  """Distances [L, H] in px as CSV: layers and heads count from 1."""
  text = io.StringIO()
  rows = csv.writer(text, lineterminator="\n")
  rows.writerow(("layer", "head", "distance_px"))
  for (layer, head), px in np.ndenumerate(distance):
    rows.writerow((layer + 1, head + 1, f"{px:.6g}"))
  return text.getvalue()
