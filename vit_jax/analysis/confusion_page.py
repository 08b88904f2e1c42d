"""An HTML page about what a classifier takes for what."""

import base64
from collections.abc import Iterable, Sequence
import html

import cv2
from jaxtyping import UInt8
import numpy as np

from vit_jax.analysis import html_page
from vit_jax.analysis.confusion import Findings, Mistake

# A larger matrix cannot be read.
MATRIX_CLASSES = 50
_ROWS = 50
_PAIRS = 30
_PICTURE_PX = 160
_STYLE = """
h2 { margin-top: 2rem; } .scroll { overflow-x: auto; }
th, td { padding: .25rem .7rem .25rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.matrix td { padding: .2rem .35rem; text-align: right; border: 0;
  font-variant-numeric: tabular-nums; }
.matrix th { font-weight: normal; border: 0; white-space: nowrap; }
.matrix tr:first-child th { writing-mode: vertical-rl; padding: .3rem 0;
  transform: rotate(180deg); }
.mistakes { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
figure { margin: 0; } figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: .8rem; color: #555; overflow-wrap: anywhere; }
"""


def page(title: str, all_findings: Sequence[Findings]) -> str:
  """The HTML text, with a part for each evaluator."""
  parts = [part for findings in all_findings for part in _part(findings)]
  return html_page.page(title, _STYLE, "".join(parts))


def _part(findings: Findings) -> Iterable[str]:
  total, right = int(findings.counts.sum()), int(findings.right.sum())
  yield f"<h2>{html.escape(findings.name)}</h2><p>"
  yield (
    f"{right / total:.2%} of {total:,} images are right"
    f" ({html.escape(findings.data)}); over the classes, {findings.mean:.2%} on"
    " average.</p>"
  )
  yield from _classes(findings)
  if len(findings.class_names) <= MATRIX_CLASSES:
    yield from _matrix(findings)
  yield from _pairs(findings)
  yield from _mistakes(findings.mistakes, total - right)


def _classes(findings: Findings) -> Iterable[str]:
  """The classes with the smallest share of right examples first."""
  seen = np.flatnonzero(findings.counts)
  share = findings.right[seen] / findings.counts[seen]
  order = seen[np.argsort(share, kind="stable")][:_ROWS]
  rest = len(findings.class_names) - len(order)
  yield "<h3>By class</h3>"
  yield _table(
    ("class", "images", "right"),
    [
      (
        findings.class_names[c],
        f"{findings.counts[c]:,}",
        f"{findings.right[c] / findings.counts[c]:.1%}",
      )
      for c in order
    ],
  )
  if rest:
    total = len(findings.class_names)
    yield (
      f"<p>Not shown: {rest:,} of {total:,} classes, which are no worse or have"
      " no image here.</p>"
    )


def _matrix(findings: Findings) -> Iterable[str]:
  names = [html.escape(name) for name in findings.class_names]
  yield "<h3>What is taken for what</h3>"
  yield "<p>A row is a class, a column what its images are taken for.</p>"
  head = "".join(f"<th>{name}</th>" for name in names)
  rows = []
  for label, name in enumerate(names):
    cells = []
    for predicted in range(len(names)):
      wrong = findings.pairs.get((label, predicted), 0)
      count = int(findings.right[label]) if label == predicted else wrong
      share = count / max(int(findings.counts[label]), 1)
      hue = "46, 125, 50" if label == predicted else "198, 40, 40"
      style = f"background: rgba({hue}, {min(share, 1) * 0.8:.2f})"
      cells.append(f'<td style="{style}">{count or ""}</td>')
    rows.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
  yield (
    '<div class="scroll"><table class="matrix">'
    f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
  )


def _pairs(findings: Findings) -> Iterable[str]:
  if not findings.pairs:
    return
  yield "<h3>Most frequent confusions</h3>"
  yield _table(
    ("class", "taken for", "images"),
    [
      (findings.class_names[a], findings.class_names[b], f"{count:,}")
      for (a, b), count in list(findings.pairs.items())[:_PAIRS]
    ],
  )


def _mistakes(mistakes: Sequence[Mistake], wrong: int) -> Iterable[str]:
  yield "<h3>Worst mistakes</h3>"
  yield (
    f"<p>The {len(mistakes):,} of {wrong:,} wrong images of which the model is"
    " most certain, as it sees them. Some may have a wrong label.</p>"
    if mistakes
    else "<p>None.</p>"
  )
  yield '<div class="mistakes">'
  for m in mistakes:
    data = base64.b64encode(_jpeg(m.image)).decode()
    yield (
      f'<figure><img alt="" src="data:image/jpeg;base64,{data}"><figcaption>'
      f"{html.escape(m.label)}, taken for <b>{html.escape(m.predicted)}</b>"
      f" ({m.confidence:.1%})<br>{html.escape(m.where)}</figcaption></figure>"
    )
  yield "</div>"


def _jpeg(image: UInt8[np.ndarray, "h w c"]) -> bytes:
  """A small picture as the contents of a JPEG file."""
  h, w, _ = image.shape
  times = min(1.0, _PICTURE_PX / max(h, w))
  size = (max(1, round(w * times)), max(1, round(h * times)))
  small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  bgr = small if small.ndim == 2 else small[..., ::-1]
  return cv2.imencode(".jpg", bgr)[1].tobytes()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A table whose first cells are names and whose last are numbers."""
  top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
  body = "".join(
    f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
    for row in rows
  )
  return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
