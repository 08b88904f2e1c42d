"""Curves as SVG and figures as PNG; only this file uses matplotlib."""

from collections.abc import Mapping, Sequence
import io
from typing import Any

from jaxtyping import Float, Num
import numpy as np

# Most points of a curve; more cannot be told apart on a screen.
_POINTS = 600


def curves(
  lines: Mapping[
    str, tuple[Num[np.ndarray, " points"], Num[np.ndarray, " points"]]
  ],
  *,
  x_label: str,
  y_label: str,
  log: bool = False,
  seams: Sequence[int] = (),
) -> str:
  """An SVG element with one line for each run; "" if there are no points.

  Args:
    lines: x and y of each line, by its name; long lines are thinned.
    x_label: label of the x axis.
    y_label: label of the y axis.
    log: whether the y axis is logarithmic.
    seams: x of vertical lines, where one run continues another.
  """
  # Imported here, because it takes a second and only drawing needs it.
  from matplotlib import rc_context
  from matplotlib.backends.backend_svg import FigureCanvasSVG
  from matplotlib.figure import Figure

  finite = {}
  for name, (x, y) in lines.items():
    keep = np.isfinite(y) & ((y > 0) | (not log))
    if keep.any():
      finite[name] = (thinned(x[keep]), thinned(y[keep]))
  if not finite:
    return ""
  # Text stays text, and the same curves give the same bytes.
  with rc_context({"svg.fonttype": "none", "svg.hashsalt": y_label}):
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, (x, y) in finite.items():
      marker = "o" if len(x) < 25 else None
      axes.plot(x, y, label=name, linewidth=1.2, marker=marker, markersize=3)
    for x in seams:
      axes.axvline(x, color="grey", linestyle="--", linewidth=1, gid="seam")
    if log:
      axes.set_yscale("log")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if 1 < len(finite) <= 12:
      axes.legend(fontsize="small")
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
  svg = text.getvalue()
  return svg[svg.index("<svg") :]


def errorbars(
  series: Mapping[str, tuple[list[float], list[float], list[float]]],
  file: str,
  *,
  x_label: str,
  y_label: str,
) -> None:
  """Writes a PNG of points with error bars.

  Args:
    series: x, mean and deviation of each series, by its name; the points of a
      series are joined in their order.
    file: path of the PNG.
    x_label: label of the x axis, which is logarithmic if the values span a
      factor of 8; "" if each series has one x, to be labelled with its name.
    y_label: label of the y axis.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
  axes = figure.subplots()
  for name, (x, mean, deviation) in series.items():
    axes.errorbar(x, mean, deviation, marker="o", capsize=3, label=name or None)
  numbers = [value for x, *_ in series.values() for value in x]
  if not x_label:
    axes.set_xticks(numbers, [*series], rotation=30, ha="right")
  elif 0 < min(numbers) <= max(numbers) / 8:
    axes.set_xscale("log")
  axes.set_xlabel(x_label)
  axes.set_ylabel(y_label)
  axes.grid(alpha=0.3)
  if x_label and any(series) and len(series) <= 12:
    axes.legend(fontsize="small")
  # Without the version of matplotlib, so that equal pictures are equal bytes.
  FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})


def attention_distance(
  distance: Float[np.ndarray, "L H"], uniform_px: float
) -> bytes:
  """A PNG with one point for each layer and head (Figure 7).

  Args:
    distance: distances in px.
    uniform_px: drawn as a line to compare with.
  """
  from matplotlib import colormaps
  from matplotlib.figure import Figure
  from matplotlib.ticker import AutoLocator

  figure = Figure(figsize=(6.4, 4), dpi=120, layout="constrained")
  axes = figure.subplots()
  layers, heads = distance.shape
  colours: Any = colormaps["tab10" if heads <= 10 else "tab20"]
  axes.set_prop_cycle(color=colours.colors)
  for head in range(heads):
    name = f"head {head + 1}" if heads <= 16 else None
    axes.plot(1 + np.arange(layers), distance[:, head], "o", ms=5, label=name)
  axes.axhline(uniform_px, color="0.4", linestyle="--", lw=1, label="uniform")
  axes.set_ylim(0, 1.1 * max(uniform_px, distance.max()) or 1)
  locator = AutoLocator()
  locator.set_params(integer=True)
  axes.xaxis.set_major_locator(locator)
  axes.set_xlabel("layer")
  axes.set_ylabel("mean attention distance (px)")
  axes.grid(alpha=0.3)
  figure.legend(loc="outside right upper", fontsize="small")
  return _png(figure)


def similarity(tiles: Float[np.ndarray, "gh gw gh gw"]) -> bytes:
  """A PNG of a grid of tiles with colours from -1 to 1 (Figure 7).

  Args:
    tiles: the first two axes are the tile's place.
  """
  from matplotlib.figure import Figure

  gh, gw = tiles.shape[:2]
  gap = max(1, min(gh, gw) // 7)
  padded = np.pad(
    tiles, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan
  )
  flat = padded.transpose(0, 2, 1, 3).reshape(gh * (gh + gap), -1)
  flat = flat[:-gap, :-gap]
  # At least two dots for each number, plus room for the labels and the bar.
  inches = min(max(4, max(flat.shape) / 60), 18) / max(flat.shape)
  width, height = flat.shape[1] * inches + 1.5, flat.shape[0] * inches + 0.7
  figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
  axes = figure.subplots()
  drawn = axes.imshow(flat, vmin=-1, vmax=1, interpolation="nearest")
  figure.colorbar(
    drawn,
    label="cosine similarity",
    fraction=0.046,
    pad=0.03,
    aspect=20 * flat.shape[0] / flat.shape[1],
  )
  for axis, count in ((axes.xaxis, gw), (axes.yaxis, gh)):
    step = -(-count // 16)
    first = np.arange(0, count, step)
    axis.set_ticks(first * (count + gap) + (count - 1) / 2, first + 1)
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  axes.set_xlabel("column of the patch")
  axes.set_ylabel("row of the patch")
  return _png(figure)


def _png(figure: Any) -> bytes:
  """The figure as a PNG, which does not name the version of matplotlib."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  data = io.BytesIO()
  FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})
  return data.getvalue()


def thinned(
  values: Num[np.ndarray, " points"],
) -> Num[np.ndarray, " fewer"]:
  """Means of neighbours, if there are more values than can be seen."""
  size = -(-len(values) // _POINTS)
  if size == 1:
    return values
  starts = np.arange(0, len(values), size)
  counts = np.diff(np.append(starts, len(values)))
  return np.add.reduceat(values, starts) / counts
