"""Curves as SVG and PNG; the only user of matplotlib."""

from collections.abc import Mapping
import io

import numpy as np

# Points of a curve; more cannot be told apart on a screen.
_POINTS = 600


def curves(
  lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
  *,
  x_label: str,
  y_label: str,
  log: bool = False,
) -> str:
  """An SVG element with one line for each run, or "" where there is no point.

  Args:
    lines: x and y by name, each [points]; long ones are averaged in pieces.
    x_label: of the x axis.
    y_label: of the y axis.
    log: whether y is drawn by its logarithm.
  """
  # Not at the top: it takes a second, and only drawing needs it.
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
  # Text stays text, and the same curves are the same bytes.
  with rc_context({"svg.fonttype": "none", "svg.hashsalt": y_label}):
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, (x, y) in finite.items():
      marker = "o" if len(x) < 25 else None
      axes.plot(x, y, label=name, linewidth=1.2, marker=marker, markersize=3)
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
    series: x, mean and deviation by name; points in the order of x are joined.
    file: the PNG.
    x_label: of the x axis, which is logarithmic where values span decades.
    y_label: of the y axis.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
  axes = figure.subplots()
  for name, (x, mean, deviation) in series.items():
    axes.errorbar(x, mean, deviation, marker="o", capsize=3, label=name or None)
  numbers = [value for x, *_ in series.values() for value in x]
  if 0 < min(numbers) <= max(numbers) / 8:
    axes.set_xscale("log")
  axes.set_xlabel(x_label)
  axes.set_ylabel(y_label)
  axes.grid(alpha=0.3)
  if any(series) and len(series) <= 12:
    axes.legend(fontsize="small")
  # Without the version, which makes equal pictures differ.
  FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})


def thinned(values: np.ndarray) -> np.ndarray:
  """Means of neighbours where there are more than can be seen."""
  size = -(-len(values) // _POINTS)
  if size == 1:
    return values
  starts = np.arange(0, len(values), size)
  counts = np.diff([*starts, len(values)])
  return np.add.reduceat(values, starts) / counts
