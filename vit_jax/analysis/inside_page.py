"""An HTML page about the analysis of a model."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import html
import json
import pathlib
from typing import Any

from vit_jax.analysis import filters, html_page, inside, positions

# Heading and text of each section; and what is done, with the source of each
# choice.
TEXTS = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())
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
  """The HTML text: facts about the checkpoint, findings, `pictures.files`."""
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
  more = f" These are the first {shown:,} of {images:,} images."
  yield _opening("rollout", more if shown < images else "")
  yield '<div class="rollouts">'
  for i, overlay in enumerate(findings.overlays, 1):
    yield _figure(files[f"rollout_{i:03d}.png"], overlay.name)
  yield "</div>"
  *choices, last = TEXTS["rollout"]["choices"]
  by_pool = TEXTS["rollout"]["choice_by_pool"][findings.config.pool]
  yield _choices((*choices, by_pool, last))


def _distance(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  layers, heads = findings.distance.shape
  h, w = findings.config.image_size
  images = "1 image" if findings.images == 1 else f"{findings.images:,} images"
  yield _opening(
    "distance",
    layers=layers,
    heads=heads,
    images=images,
    h=h,
    w=w,
    uniform_px=findings.uniform_px,
  )
  yield _figure(
    files["attention_distance.png"],
    "One point for each layer and head; the numbers are in"
    " attention_distance.csv.",
  )
  yield _choices(TEXTS["distance"]["choices"])


def _positions(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  reason = positions.absent(findings.config)
  if reason:
    yield _absent("positions", reason)
    return
  gh, gw = findings.config.grid
  kind = TEXTS["positions"]["kinds"][findings.config.posemb]
  yield _opening("positions", kind=kind, gh=gh, gw=gw)
  names = [name for name in files if name.startswith("position_similarity")]
  for i, name in enumerate(names, 1):
    yield _figure(files[name], f"Layer {i}." if len(names) > 1 else "")
  yield _choices(TEXTS["positions"]["choices"])


def _filters(
  findings: inside.Findings, files: Mapping[str, bytes]
) -> Iterable[str]:
  reason = filters.absent(findings.config, findings.channels)
  if reason:
    yield _absent("filters", reason)
    return
  n, width = len(findings.components), findings.config.width
  ph, pw = findings.config.patch_size
  share = findings.shares.sum()
  yield _opening("filters", n=n, width=width, ph=ph, pw=pw, share=share)
  shares = ", ".join(f"{share:.1%}" for share in findings.shares)
  yield _figure(files["filters.png"], f"Shares of the variance: {shares}.")
  yield _choices(TEXTS["filters"]["choices"])


def _opening(section: str, more: str = "", **values: Any) -> str:
  """The heading and the first paragraph of a section."""
  text = TEXTS[section]["text"].format(**values)
  return f"<h2>{TEXTS[section]['heading']}</h2><p>{text}{more}</p>"


def _absent(section: str, reason: str) -> str:
  heading = TEXTS[section]["heading"]
  return f"<h2>{heading}</h2><p>Not shown. {reason}</p>"


def _facts(facts: Mapping[str, str]) -> str:
  rows = "".join(
    f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
    for name, text in facts.items()
  )
  return f'<table class="facts">{rows}</table>'


def _choices(choices: Sequence[Sequence[str]]) -> str:
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
