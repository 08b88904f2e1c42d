"""A checkpoint format: google-research's npz files of the Mixer.

Names as in github.com/google-research/vision_transformer, which publishes the
weights of arXiv:2105.01601.
"""

from typing import Any

from examples.own_parts import mixer
from vit_jax.checkpoints import npz
from vit_jax.checkpoints.base import Inferred, Layout, Source, numbers
from vit_jax.checkpoints.keys import Rule

_MIXERS = (("token_mixing", "token"), ("channel_mixing", "channel"))
_NORMS = (("LayerNorm_0", "token"), ("LayerNorm_1", "channel"))


class Mixer(Layout):
  """Files with names like MixerBlock_0/token_mixing/Dense_0/kernel."""

  format = "mixer_npz"
  container = npz
  model = mixer.__name__
  marks = (r"MixerBlock_\d+/token_mixing/Dense_0/kernel", r"stem/kernel")

  def new(self, source: Source) -> Inferred:
    block = r"MixerBlock_\d+"
    tokens = source.size(rf"{block}/token_mixing/Dense_0/kernel", 0, 0)
    patch = source.size("stem/kernel", 0, 16), source.size("stem/kernel", 1, 16)
    side = round(tokens**0.5)
    config = mixer.Config(
      image_size=source.image_size or (side * patch[0], side * patch[1]),
      patch_size=patch,
      width=source.size("stem/kernel", -1, 0),
      depth=source.count(r"MixerBlock_(\d+)/.*"),
      token_mlp_dim=source.size(rf"{block}/token_mixing/Dense_0/bias", 0, 0),
      channel_mlp_dim=source.size(
        rf"{block}/channel_mixing/Dense_0/bias", 0, 0
      ),
    )
    assumed = [f"image_size={config.image_size}: images are square"]
    return Inferred(config, [] if source.image_size else assumed)

  def ends(self, source: Source) -> dict[str, Any]:
    return {"num_classes": source.size("head/bias", -1, 0)}

  def rules(self, config: mixer.Config) -> list[Rule]:
    rules = [
      Rule("stem/kernel", "kh kw I O", "embedding/kernel", "kh kw I O"),
      Rule("stem/bias", "D", "embedding/bias", "D"),
    ]
    rules += [
      Rule(f"pre_head_layer_norm/{part}", "D", f"norm/{part}", "D")
      for part in ("scale", "bias")
    ]
    labels = {"L": numbers(config.depth)}
    for theirs, ours in _NORMS:
      for part in ("scale", "bias"):
        a = f"MixerBlock_{{L}}/{theirs}/{part}"
        rules.append(
          Rule(a, "D", f"block_{{L}}/{ours}_norm/{part}", "D", labels)
        )
    for theirs, ours in _MIXERS:
      for i, j in (("0", "1"), ("1", "2")):
        a = f"MixerBlock_{{L}}/{theirs}/Dense_{i}"
        b = f"block_{{L}}/{ours}_mlp_{j}"
        kernel = Rule(f"{a}/kernel", "I O", f"{b}/kernel", "I O", labels)
        rules += [kernel, Rule(f"{a}/bias", "O", f"{b}/bias", "O", labels)]
    if config.num_classes:
      rules.append(Rule("head/kernel", "D C", "head/kernel", "D C"))
      rules.append(Rule("head/bias", "C", "head/bias", "C"))
    return rules

  def objections(self, config: mixer.Config) -> list[str]:
    del config  # The format can hold every Mixer.
    return []
