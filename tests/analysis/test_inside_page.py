"""The page about a model."""

import dataclasses
import re

import numpy as np

from tests.models import vit_cases
from vit_jax.analysis import filters, inside_page, pictures, positions


def test_page_needs_nothing_but_itself(map_model):
  _, found = map_model
  files = pictures.files(found)
  assert list(files) == [
    *(f"rollout_{i:03d}.png" for i in (1, 2, 3)),
    "attention_distance.png",
    "attention_distance.csv",
    "position_similarity.png",
    "filters.png",
  ]
  page = inside_page.page("a & b", {"model": "<vit>"}, found, files)
  assert "a &amp; b" in page
  assert "&lt;vit&gt;" in page
  sources = re.findall(r'src="([^"]{22})', page)
  assert sources == ["data:image/png;base64,"] * 6
  assert not re.search(r"https?:|url\(|<script|<link", page)
  assert "first 3 of 5 images" in page
  assert f"{found.uniform_px:.1f} px" in page
  texts = inside_page.TEXTS
  by_pool = texts["rollout"]["choice_by_pool"]
  choices = [row for section in texts.values() for row in section["choices"]]
  for what, source in (*choices, by_pool["map"]):
    for text in (what, source):
      assert text.replace("'", "&#x27;") in page
  assert by_pool["token"][0] not in page
  assert f"first {filters.COMPONENTS} " in texts["filters"]["choices"][0][0]


def test_what_is_absent_is_told(map_model):
  _, found = map_model
  config = vit_cases.small(posemb="relative", posemb_at="shared")
  found = dataclasses.replace(
    found,
    config=config,
    similarity=[],
    channels=5,
    components=np.zeros((0, 0, 0, 0), np.uint8),
    shares=np.zeros(0),
  )
  files = pictures.files(found)
  assert not {"filters.png", "position_similarity.png"} & set(files)
  page = inside_page.page("x", {}, found, files)
  assert positions.absent(config) in page
  assert filters.absent(config, 5) in page
