"""An HTML page about the analysis of a model."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import html

from vit_jax.analysis import (
  attention,
  filters,
  html_page,
  inside,
  positions,
  rollout,
)

_STYLE = """
h2 { margin-top: 2.5rem; }
th, td { padding: .3rem 1rem .3rem 0; overflow-wrap: anywhere; }
.facts th { min-width: 6rem; }
.rollouts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
figure { margin: 1rem 0; } .rollouts figure { margin: 0; }
figcaption { font-size: .8rem; color: #555; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; display: block; }
.rollouts img { width: 100%; }
summary { cursor: pointer; margin: .5rem 0; }
"""


def page(
  title: str,
  facts: Mapping[str, str],
  findings: inside.Findings,
  files: Mapping[str, bytes],
) -> str:
  """The HTML text.

  Args:
    title: title of the page.
    facts: facts about the checkpoint, by their names.
    findings: the analysis of the model.
    files: the pictures, by the names that `pictures.files` gives them.
  """
  body = [
    _facts({**facts, "images": f"{findings.images:,}"}),
    *_rollout(findings, files),
    *_distance(findings, files),
    *_positions(findings, files),
    *_filters(findings, files),
  ]
  return html_page.page(title, _STYLE, "".join(body))


def _rollout(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  shown, images = len(findings.overlays), findings.images
  yield "<h2>Attention rollout</h2><p>"
  yield (
    "Left: the image as the model sees it. Middle: the image lit by how much of"
    " each patch reaches the output through the attention of all layers (as in"
    " Figures 6 and 14 of the paper). Right: the same numbers patch by patch,"
    " neither enlarged nor blurred; dark is 0, and yellow is the largest."
  )
  if shown < images:
    yield f" These are the first {shown:,} of {images:,} images."
  yield '</p><div class="rollouts">'
  for i, overlay in enumerate(findings.overlays, 1):
    yield _figure(files[f"rollout_{i:03d}.png"], overlay.name)
  yield "</div>"
  row = rollout.ROWS[findings.config.pool]
  yield _choices((*rollout.CHOICES[:-1], row, rollout.CHOICES[-1]))


def _distance(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  layers, heads = findings.distance.shape
  h, w = findings.config.image_size
  images = "1 image" if findings.images == 1 else f"{findings.images:,} images"
  yield "<h2>Mean attention distance</h2>"
  yield (
    f"<p>How far each of the {layers} x {heads} heads looks, on average over"
    f" {images} of {h} x {w} px (as in Figures 7 and 11): the analogue of a"
    f" receptive field's size. The dashed line, {findings.uniform_px:.1f} px,"
    " is the distance if every patch got the same attention.</p>"
  )
  yield _figure(
    files["attention_distance.png"],
    "One point for each layer and head; the numbers are in"
    " attention_distance.csv.",
  )
  yield _choices(attention.CHOICES)


def _positions(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  yield "<h2>Similarity of position embeddings</h2>"
  reason = positions.absent(findings.config)
  if reason:
    yield f"<p>Not shown. {reason}</p>"
    return
  gh, gw = findings.config.grid
  yield (
    f"<p>The model has {positions.KINDS[findings.config.posemb]}. The tile in"
    f" row r and column c, of {gh} x {gw} tiles, compares patch (r, c) with all"
    " patches (as in Figures 7 and 10).</p>"
  )
  names = [name for name in files if name.startswith("position_similarity")]
  for i, name in enumerate(names, 1):
    yield _figure(files[name], f"Layer {i}." if len(names) > 1 else "")
  yield _choices(positions.CHOICES)


def _filters(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  yield "<h2>Filters of the patch embedding</h2>"
  reason = filters.absent(findings.config, findings.channels)
  if reason:
    yield f"<p>Not shown. {reason}</p>"
    return
  n, width = len(findings.components), findings.config.width
  ph, pw = findings.config.patch_size
  yield (
    f"<p>The first {n} principal components of the {width:,} filters of"
    f" {ph} x {pw} px, the largest first, row by row (as in Figure 7). They"
    f" hold {findings.shares.sum():.1%} of the filters' variance.</p>"
  )
  shares = ", ".join(f"{share:.1%}" for share in findings.shares)
  yield _figure(files["filters.png"], f"Shares of the variance: {shares}.")
  yield _choices(filters.CHOICES)


def _facts(facts: Mapping[str, str]) -> str:
  rows = "".join(
    f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
    for name, text in facts.items()
  )
  return f'<table class="facts">{rows}</table>'


def _choices(choices: Sequence[tuple[str, str]]) -> str:
  """What is done, and the source of each choice."""
  rows = "".join(
    f"<tr><td>{html.escape(what)}.</td><td>{html.escape(source)}</td></tr>"
    for what, source in choices
  )
  return (
    "<details><summary>How this is computed</summary><table>"
    f"<tr><th>what is done</th><th>source</th></tr>{rows}</table></details>"
  )


def _figure(png: bytes, caption: str) -> str:
  data = base64.b64encode(png).decode()
  text = html.escape(caption)
  return (
    f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
    f"<figcaption>{text}</figcaption></figure>"
  )
