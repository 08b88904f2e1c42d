"""Accuracy of one checkpoint on images of several sizes."""

from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped
import numpy as np

from vit_jax.core import errors, mesh as mesh_lib, tree
from vit_jax.data import pipeline
from vit_jax.evals import base, classification
from vit_jax.nn import posemb_resize
from vit_jax.preprocess.pipeline import Pipeline


@dataclasses.dataclass(frozen=True)
class Config(classification.Config):
  """Classification accuracy at the model's image size and at others.

  Attributes:
    preprocess: pipelines that give images of other sizes than that of `data`;
      each is scored as well.
  """

  preprocess: tuple[str, ...] = ()

  def __post_init__(self):
    super().__post_init__()
    for text in self.preprocess:
      with errors.located("preprocess"):
        Pipeline.parse(text)


class Evaluator(base.Evaluator):
  """Scores a model at several image sizes, without training it further.

  Position embeddings are resized as in fine-tuning (section 3.2,
  arXiv:2010.11929); no other parameter changes.

  Raises:
    ConfigError: two pipelines give one size, or a size that the model cannot
      have.
  """

  def __init__(self, *args: Any, **kwargs: Any):
    super().__init__(*args, **kwargs)
    config = self.config
    # Model and evaluator by the shape of the images.
    self.sizes: dict[tuple[int, int, int], tuple[nn.Module, Any]] = {}
    for preprocess in (config.data.preprocess, *config.preprocess):
      split = dataclasses.replace(
        config.data, preprocess=Pipeline.parse(preprocess)
      )
      shape = pipeline.image_shape(
        self.sources["data"], split.preprocess, split.on_error
      )
      if shape in self.sizes:
        raise errors.ConfigError(
          f"{{preprocess}}: another pipeline than {preprocess} gives images of"
          f" {shape} too; leave one out",
          {"preprocess": errors.PATH_ONLY},
        )
      channels = next(iter(self.sizes), shape)[2]
      if shape[2] != channels:
        raise errors.ConfigError(
          f"{{preprocess}}: {preprocess} gives images of {shape[2]} channel(s),"
          f" {{data.preprocess}} of {channels}; decode to the same",
          {
            "preprocess": errors.PATH_ONLY,
            "data.preprocess": config.data.preprocess,
          },
        )
      resized = self.model.clone(
        config=dataclasses.replace(self.model.config, image_size=shape[:2])
      )
      plain = classification.Config(
        split, config.every, config.batch_size, config.loss
      )
      self.sizes[shape] = (
        resized,
        classification.Evaluator(plain, resized, self.sources, self.mesh),
      )

  def __call__(
    self, variables: Any, stop: Callable[[], Any] = base.never
  ) -> dict[str, float] | None:
    """The scores of classification at each size, such as "top_1_224x224"."""
    scores: dict[str, float] = {}
    for (h, w, channels), (model, evaluator) in self.sizes.items():
      fitted = self._fitted(variables, model, (1, h, w, channels))
      one_size = evaluator(fitted, stop)
      if one_size is None:
        return None
      scores |= {f"{k}_{h}x{w}": v for k, v in one_size.items()}
    return scores

  def _fitted(
    self, variables: Any, model: nn.Module, shape: tuple[int, ...]
  ) -> Any:
    """The variables for a model of another image size."""
    have, want = self.model.config, model.config
    if have.image_size == want.image_size:
      return variables
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)

    def fit(
      name: str, value: Shaped[Array, "..."], wanted: jax.ShapeDtypeStruct
    ) -> Shaped[Array, "..."]:
      if value.shape == wanted.shape:
        return value
      if "posemb/" in name:
        new = posemb_resize.of_name(
          name, np.asarray(value), have.grid, want.grid, "linear"
        )
        if new.shape == wanted.shape:
          return jax.device_put(new, mesh_lib.replicated(self.mesh))
      raise errors.ConfigError(
        f"a model of image_size={have.image_size} cannot see images of"
        f" {want.image_size}: {name} would be {wanted.shape}, not {value.shape}"
      )

    own = {collection: variables[collection] for collection in shapes}
    return tree.map_named(fit, own, dict(shapes))
