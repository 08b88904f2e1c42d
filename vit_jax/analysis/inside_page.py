"""One HTML page of what is inside a model, which needs nothing but itself."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import html

from vit_jax.analysis import attention, filters, inside, positions, rollout

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 60rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
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
  found: inside.Findings,
  files: Mapping[str, bytes],
) -> str:
  """The HTML text.

  Args:
    title: of the page.
    facts: about the checkpoint, by what they are.
    found: what is inside.
    files: the pictures, by the names that `pictures.files` gives them.
  """
  body = [
    f"<h1>{html.escape(title)}</h1>",
    _facts({**facts, "images": f"{found.images:,}"}),
    *_rollout(found, files),
    *_distance(found, files),
    *_positions(found, files),
    *_filters(found, files),
  ]
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
    f"{''.join(body)}</body></html>\n"
  )


def _rollout(
  found: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  shown, of = len(found.overlays), found.images
  yield "<h2>Attention rollout</h2><p>"
  yield (
    "Left the image as the model sees it. In the middle it is lit by how much"
    " of each patch reaches the output through the attention of all layers (as"
    " Figures 6 and 14 of the paper). Right the same numbers patch by patch,"
    " neither enlarged nor blurred: dark is 0, yellow the largest."
  )
  if shown < of:
    yield f" These are the first {shown:,} of {of:,} images."
  yield '</p><div class="rollouts">'
  for i, one in enumerate(found.overlays, 1):
    yield _figure(files[f"rollout_{i:03d}.png"], one.name)
  yield "</div>"
  row = rollout.ROWS[found.config.pool]
  yield _choices((*rollout.CHOICES[:-1], row, rollout.CHOICES[-1]))


def _distance(
  found: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  layers, heads = found.distance.shape
  h, w = found.config.image_size
  yield "<h2>Mean attention distance</h2>"
  yield (
    f"<p>How far each of the {layers} x {heads} heads looks, on average over"
    f" {found.images:,} {_plural(found.images, 'image')} of {h} x {w} px (as"
    " Figures 7 and 11): the analogue of a receptive field's size. The dashed"
    f" line, {found.uniform:.1f} px, is the distance if every patch got the"
    " same attention.</p>"
  )
  yield _figure(
    files["attention_distance.png"],
    "One point for each layer and head; the numbers are in"
    " attention_distance.csv.",
  )
  yield _choices(attention.CHOICES)


def _positions(
  found: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  yield "<h2>Similarity of position embeddings</h2>"
  reason = positions.absent(found.config)
  if reason:
    yield f"<p>Not shown. {reason}</p>"
    return
  gh, gw = found.config.grid
  yield (
    f"<p>The model has {positions.KINDS[found.config.posemb]}. The tile in row"
    f" r and column c, {gh} x {gw} of them, compares patch (r, c) with all"
    " patches (as Figures 7 and 10).</p>"
  )
  names = [name for name in files if name.startswith("position_similarity")]
  for i, name in enumerate(names, 1):
    yield _figure(files[name], f"Layer {i}." if len(names) > 1 else "")
  yield _choices(positions.CHOICES)


def _filters(
  found: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  yield "<h2>Filters of the patch embedding</h2>"
  reason = filters.absent(found.config, found.channels)
  if reason:
    yield f"<p>Not shown. {reason}</p>"
    return
  n, width = len(found.components), found.config.width
  ph, pw = found.config.patch_size
  yield (
    f"<p>The first {n} principal components of the {width:,} filters of"
    f" {ph} x {pw} px, the largest first, row by row (as Figure 7): they hold"
    f" {found.shares.sum():.1%} of the filters' variance.</p>"
  )
  shares = ", ".join(f"{share:.1%}" for share in found.shares)
  yield _figure(files["filters.png"], f"Shares of the variance: {shares}.")
  yield _choices(filters.CHOICES)


def _facts(facts: Mapping[str, str]) -> str:
  rows = "".join(
    f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
    for name, text in facts.items()
  )
  return f'<table class="facts">{rows}</table>'


def _choices(choices: Sequence[tuple[str, str]]) -> str:
  """What was chosen, and from where."""
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


def _plural(count: int, noun: str) -> str:
  return noun if count == 1 else f"{noun}s"
