"""The analysis of a model as PNG files and a CSV file."""

import csv
import io

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from vit_jax.analysis import inside, plots, rollout

# Pictures are drawn at least this large, and tiles at most this large.
_PICTURE_PX = 224
_TILE_PX = 96
# Tiles in a row, as in Figure 7, arXiv:2010.11929.
_COLUMNS = 7


def files(findings: inside.Findings) -> dict[str, bytes]:
  """Contents by file name, in the order of the page."""
  cell_px = inside.cell_px(findings.config)
  drawn = {
    f"rollout_{i:03d}.png": png(triple(overlay, cell_px))
    for i, overlay in enumerate(findings.overlays, 1)
  }
  drawn["attention_distance.png"] = plots.attention_distance(
    findings.distance, findings.uniform_px
  )
  drawn["attention_distance.csv"] = table(findings.distance).encode()
  for i, tiles in enumerate(findings.similarity, 1):
    layer = f"_{i:02d}" if len(findings.similarity) > 1 else ""
    drawn[f"position_similarity{layer}.png"] = plots.similarity(tiles)
  if len(findings.components):
    drawn["filters.png"] = png(mosaic(findings.components))
  return drawn


def triple(
  overlay: inside.Overlay, cell_px: tuple[int, int]
) -> UInt8[np.ndarray, "h w c"]:
  """An image, the image lit by its rollout, and the rollout by patch.

  Small images are enlarged first, pixel by pixel, so that the map is smooth.
  The colours of the patches span 0 to their maximum.
  """
  times = max(1, _PICTURE_PX // max(overlay.image.shape[:2]))
  large = overlay.image.repeat(times, axis=0).repeat(times, axis=1)
  relevance = overlay.relevance
  h, w, _ = large.shape
  cell = (cell_px[0] * times, cell_px[1] * times)
  lit = rollout.overlay(large, rollout.opacity(relevance, (h, w), cell))
  level = np.rint(255 * relevance / relevance.max()).astype(np.uint8)
  patches = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[..., ::-1]
  patches = cv2.resize(patches, (w, h), interpolation=cv2.INTER_NEAREST)
  gap = np.full((h, 8, 3), 255, np.uint8)
  large, lit = (np.broadcast_to(x, (h, w, 3)) for x in (large, lit))
  return np.concatenate([large, gap, lit, gap, patches], axis=1)


def mosaic(
  tiles: UInt8[np.ndarray, "n ph pw c"],
) -> UInt8[np.ndarray, "h w c"]:
  """Tiles in rows, with white between them."""
  n, ph, pw, c = tiles.shape
  times = max(1, _TILE_PX // max(ph, pw))
  pad = [(0, -n % _COLUMNS), (0, 0), (0, 0), (0, 0)]
  tiles = np.pad(tiles, pad, constant_values=255)
  tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
  pad = [(0, 0), (4, 4), (4, 4), (0, 0)]
  tiles = np.pad(tiles, pad, constant_values=255)
  _, h, w, _ = tiles.shape
  rows = tiles.reshape(-1, _COLUMNS, h, w, c).transpose(0, 2, 1, 3, 4)
  return rows.reshape(-1, _COLUMNS * w, c)


def png(image: UInt8[np.ndarray, "h w c"]) -> bytes:
  """An image of 1 or 3 channels as the contents of a PNG file."""
  level = (cv2.IMWRITE_PNG_COMPRESSION, 9)
  return cv2.imencode(".png", image[..., ::-1], level)[1].tobytes()


def table(distance: Float[np.ndarray, "L H"]) -> str:
  """Distances in px as CSV, with layers and heads counted from 1."""
  text = io.StringIO()
  rows = csv.writer(text, lineterminator="\n")
  rows.writerow(("layer", "head", "distance_px"))
  for (layer, head), px in np.ndenumerate(distance):
    rows.writerow((layer + 1, head + 1, f"{px:.6g}"))
  return text.getvalue()
