"""Runs a checkpoint on images and collects its attention and parameters."""

from collections.abc import Iterable, Iterator
import dataclasses
import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Float64, UInt8
import numpy as np

from vit_jax.analysis import attention, filters, positions, rollout
from vit_jax.checkpoints import Loaded
from vit_jax.core import errors, parts
from vit_jax.models import hybrid, vit
from vit_jax.preprocess.pipeline import Pipeline

Picture = UInt8[np.ndarray, "h w c"]
# Size of the attention weights of a batch.
_BATCH_BYTES = 2**28
# Why a model that is not a ViT is refused, by the name of its file.
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
  """An image, and how much of each of its patches reaches the output.

  Attributes:
    name: name of the image.
    image: the image as the model sees it.
    relevance: relevance of its patches, see `rollout`.
  """

  name: str
  image: Picture
  relevance: Float64[np.ndarray, "gh gw"]


@dataclasses.dataclass(frozen=True)
class Findings:
  """The analysis of a model.

  Attributes:
    config: config of the model.
    images: number of images that the distances are a mean of.
    overlays: rollouts of the first images.
    distance: mean attention distance in px.
    uniform_px: the distance if all patches got the same attention.
    similarity: similarity of the positions, one for each table; empty if
      `positions.absent` says why.
    components: components of the filters, as images; empty if `filters.absent`
      says why.
    shares: each component's share of the filters' variance.
    channels: input channels of the patch embedding's kernel.
  """

  config: vit.Config
  images: int
  overlays: list[Overlay]
  distance: Float64[np.ndarray, "L H"]
  uniform_px: float
  similarity: list[Float64[np.ndarray, "gh gw gh gw"]]
  components: UInt8[np.ndarray, "n ph pw c"]
  shares: Float64[np.ndarray, " n"]
  channels: int


def check(model: nn.Module) -> None:
  """Raises a ConfigError for a model that is not a Vision Transformer."""
  if not isinstance(model, vit.Model):
    kind = parts.name_of(model)
    raise errors.ConfigError(
      f"the checkpoint holds a {kind}, and analyze takes a vit or a hybrid:"
      f" {REFUSED[kind]}"
    )


def cell_px(config: vit.Config) -> tuple[int, int]:
  """(height, width) of a patch in pixels of the image."""
  stride = config.stride if isinstance(config, hybrid.Config) else 1
  return config.patch_size[0] * stride, config.patch_size[1] * stride


def analyze(
  checkpoint: Loaded,
  pictures: Iterable[tuple[str, Picture]],
  *,
  overlays: int,
) -> Findings:
  """Analyses a checkpoint and what it does with images.

  Args:
    checkpoint: a Vision Transformer or a hybrid.
    pictures: names and images after the preprocessing on the host; at least
      one.
    overlays: number of images to keep with their rollout.

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
  distance = np.concatenate(distances, axis=1)
  kernel = np.asarray(checkpoint.params["embedding"]["kernel"])
  components, shares = np.zeros((0, 0, 0, 0), np.uint8), np.zeros(0)
  if not filters.absent(config, kernel.shape[2]):
    vectors, shares = filters.components(kernel)
    components = filters.shown(vectors)
  tables = []
  if not positions.absent(config):
    tables = positions.tables(config, checkpoint.params)
  return Findings(
    config=config,
    images=distance.shape[1],
    overlays=kept,
    distance=distance.mean(axis=1),
    uniform_px=float(attention.distances(config.grid, cell).mean()),
    similarity=[positions.similarity(t, config.grid) for t in tables],
    components=components,
    shares=shares,
    channels=kernel.shape[2],
  )


def _outputs(
  checkpoint: Loaded, pictures: Iterable[tuple[str, Picture]]
) -> Iterator[
  tuple[list[str], list[Picture], dict[str, Float[np.ndarray, "..."]]]
]:
  """Names, images and attention, a batch at a time."""
  config: vit.Config = checkpoint.model.config  # type: ignore[attr-defined]
  pipeline = Pipeline.parse(checkpoint.preprocess)

  @jax.jit
  def run(
    variables: Any, images: UInt8[jax.Array, "B h w c"]
  ) -> dict[str, Float[jax.Array, "..."]]:
    batch = {"image": images, "label": jnp.zeros(len(images), jnp.int32)}
    x = pipeline.device(batch)["image"].astype(jnp.float32)
    out: Any = checkpoint.model.apply(variables, x, attention_weights=True)
    return {k: v for k, v in out.items() if "attention" in k}

  variables = jax.device_put(checkpoint.variables)
  tokens = config.grid[0] * config.grid[1] + config.class_token
  image_bytes = 4 * config.depth * config.num_heads * tokens**2
  batch_size = min(max(_BATCH_BYTES // image_bytes, 1), 32)
  source = iter(pictures)
  while batch := list(itertools.islice(source, batch_size)):
    names, images = map(list, zip(*batch, strict=True))
    # Every batch has the same shape, so that the model is compiled once.
    empty = [np.zeros_like(images[0])] * (batch_size - len(images))
    out = jax.device_get(run(variables, np.stack(images + empty)))
    out["attention"] = out["attention"][:, : len(images)]
    yield names, images, out
