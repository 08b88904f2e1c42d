"""Runs a checkpoint on images and collects what it does inside."""

from collections.abc import Iterable, Iterator
import dataclasses
import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.analysis import attention, filters, positions, rollout
from vit_jax.checkpoints import Loaded
from vit_jax.core import errors
from vit_jax.models import hybrid, vit
from vit_jax.preprocess.pipeline import Pipeline

# As many images at a time as have attention weights of this size.
_BATCH_BYTES = 2**28
# Why a model that is no ViT is refused, by the name of its file.
REFUSED = {
  "axial_resnet": (
    "its attention is along rows and columns of feature maps of four sizes, and"
    " no matrix leads from one to the next"
  ),
  "axial_vit": (
    "its layers attend along rows and along columns in turn, and it returns no"
    " attention"
  ),
  "bit": "a ResNet has no attention",
  "mobilevit": (
    "its Transformers attend between pixels at the same place of different"
    " patches, on three feature maps, and no matrix leads from one to the next"
  ),
  "segmenter": "it returns no attention; analyse its backbone by itself",
  "swin": (
    "its attention stays inside shifted windows and its patches are merged, so"
    " that no layer has the matrix over all patches that rollout and distance"
    " are defined by"
  ),
}


@dataclasses.dataclass(frozen=True)
class Overlay:
  """Where the output comes from in one image.

  Attributes:
    name: of the image.
    image: [h, w, c], uint8, as the model sees it.
    relevance: [gh, gw], of its patches.
  """

  name: str
  image: np.ndarray
  relevance: np.ndarray


@dataclasses.dataclass(frozen=True)
class Findings:
  """What is inside a model.

  Attributes:
    config: of the model.
    images: how many the distances are of.
    overlays: of the first of the images.
    distance: [L, H], mean attention distance in px.
    uniform: px, the distance where all patches get the same attention.
    similarity: [gh, gw, gh, gw] of the positions, one for each table; empty
      where `positions.absent` says why.
    components: uint8 [n, ph, pw, c], of the filters; empty where
      `filters.absent` says why.
    shares: [n], of the variance.
    channels: of the patch embedding's kernel.
  """

  config: vit.Config
  images: int
  overlays: list[Overlay]
  distance: np.ndarray
  uniform: float
  similarity: list[np.ndarray]
  components: np.ndarray
  shares: np.ndarray
  channels: int


def check(model: nn.Module) -> None:
  """Raises ConfigError for a model that is no Vision Transformer."""
  if not isinstance(model, vit.Model):
    kind = type(model).__module__.rpartition(".")[-1]
    raise errors.ConfigError(
      f"the checkpoint holds a {kind}, and analyze takes a vit or a hybrid:"
      f" {REFUSED[kind]}"
    )


def cell_px(config: vit.Config) -> tuple[int, int]:
  """(height, width) of a patch in pixels of the image."""
  stride = config.stride if isinstance(config, hybrid.Config) else 1
  return config.patch_size[0] * stride, config.patch_size[1] * stride


def look(
  checkpoint: Loaded,
  pictures: Iterable[tuple[str, np.ndarray]],
  *,
  overlays: int,
) -> Findings:
  """Everything about a checkpoint and what it does with images.

  Args:
    checkpoint: of a Vision Transformer or a hybrid.
    pictures: name and image after the host's ops, [h, w, c] uint8; at least
      one.
    overlays: how many images to keep with their rollout.

  Raises:
    ConfigError: the model is of another kind.
  """
  check(checkpoint.model)
  config: vit.Config = checkpoint.model.config  # type: ignore[attr-defined]
  cell = cell_px(config)
  kept: list[Overlay] = []
  distances = []
  for names, images, out in _outputs(checkpoint, pictures):
    weights = out["attention"]
    distances.append(attention.mean_distance(weights, config.grid, cell))
    n = min(overlays - len(kept), len(names))
    if n:
      probe = out["pool_attention"][:n] if config.pool == "map" else None
      rolled = rollout.rollout(weights[:, :n])
      maps = rollout.relevance(rolled, config.grid, config.pool, probe)
      kept += map(Overlay, names, images, maps)
  found = np.concatenate(distances, axis=1)
  kernel = checkpoint.params["embedding"]["kernel"]
  channels = kernel.shape[2]
  components, shares = np.zeros((0, 0, 0, 0), np.uint8), np.zeros(0)
  if not filters.absent(config, channels):
    vectors, shares = filters.components(np.asarray(kernel))
    components = filters.shown(vectors)
  tables = (
    []
    if positions.absent(config)
    else positions.tables(config, checkpoint.params)
  )
  return Findings(
    config=config,
    images=found.shape[1],
    overlays=kept,
    distance=found.mean(axis=1),
    uniform=float(attention.distances(config.grid, cell).mean()),
    similarity=[positions.similarity(t, config.grid) for t in tables],
    components=components,
    shares=shares,
    channels=channels,
  )


def _outputs(
  checkpoint: Loaded, pictures: Iterable[tuple[str, np.ndarray]]
) -> Iterator[tuple[list[str], list[np.ndarray], dict[str, np.ndarray]]]:
  """Names, images and attention, a batch at a time."""
  config: vit.Config = checkpoint.model.config  # type: ignore[attr-defined]
  pipeline = Pipeline.parse(checkpoint.preprocess)

  @jax.jit
  def run(variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    batch = {"image": images, "label": jnp.zeros(len(images), jnp.int32)}
    x = pipeline.device(batch)["image"].astype(jnp.float32)
    out = checkpoint.model.apply(variables, x, attention_weights=True)
    return {k: v for k, v in out.items() if "attention" in k}

  variables = jax.device_put(checkpoint.variables)
  tokens = config.grid[0] * config.grid[1] + config.class_token
  of_one = 4 * config.depth * config.num_heads * tokens**2
  batch_size = min(max(_BATCH_BYTES // of_one, 1), 32)
  source = iter(pictures)
  while batch := list(itertools.islice(source, batch_size)):
    names, images = map(list, zip(*batch, strict=True))
    # One shape, so that the model is compiled once.
    empty = [np.zeros_like(images[0])] * (batch_size - len(images))
    out = jax.device_get(run(variables, np.stack(images + empty)))
    out["attention"] = out["attention"][:, : len(images)]
    yield names, images, out
