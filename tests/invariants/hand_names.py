"""Published ViTs by hand: names, trees and configs, without the importer."""

import re

import numpy as np

from vit_jax.core import tree
from vit_jax.models import vit

# Published block and head parts, and what they are called here.
PARTS = [
  ("LayerNorm_0", "norm_attention"),
  ("MultiHeadDotProductAttention_0", "attention"),
  ("LayerNorm_1", "norm_mlp"),
  ("MlpBlock_0/Dense_0", "mlp/hidden"),
  ("MlpBlock_0/Dense_1", "mlp/out"),
]
WHOLE = [
  (r"Transformer/encoderblock/", "blocks/"),
  (r"Transformer/encoder_norm/", "norm/"),
  (r"MAPHead_0/LayerNorm_0/", "pool/norm/"),
  (r"MAPHead_0/", "pool/"),
  (r"(Transformer/posembed_input/)?pos_embedding", "posemb/table"),
  (r"cls", "class_token"),
]


def our_name(name):
  for theirs, ours in WHOLE:
    name = re.sub("^" + theirs, ours, name)
  for theirs, ours in PARTS:
    name = name.replace(theirs, ours)
  return name


def our_tree(published):
  """Renames, and stacks numbered blocks."""
  flat, blocks = {}, {}
  for name, value in published.items():
    block = re.fullmatch(r"Transformer/encoderblock_(\d+)/(.*)", name)
    if block:
      name = our_name(f"Transformer/encoderblock/{block[2]}")
      blocks.setdefault(name, {})[int(block[1])] = value
    else:
      flat[our_name(name)] = value
  for name, layers in blocks.items():
    flat[name] = np.stack([layers[i] for i in range(len(layers))])
  if "posemb/table" in flat:
    flat["posemb/table"] = flat["posemb/table"][0]
  return tree.unflatten(flat)


def our_config(fixture):
  """Our config for the arguments that the published model was built with."""
  theirs = fixture["config"]
  side = theirs["resolution"]
  common = dict(image_size=(side, side), num_classes=theirs["num_classes"])
  if "big_vision" in fixture["source"]:
    return vit.Config(
      **common,
      width=theirs["width"],
      depth=theirs["depth"],
      mlp_dim=theirs["mlp_dim"],
      num_heads=theirs["num_heads"],
      patch_size=tuple(theirs["patch_size"]),
      pool={"tok": "token"}.get(theirs["pool_type"], theirs["pool_type"]),
      posemb={"learn": "learned_1d", "sincos2d": "sincos_2d"}[theirs["posemb"]],
      class_token_position=False,
      pre_logits_dim=theirs["width"] if theirs.get("rep_size") else 0,
    )
  blocks = theirs["transformer"]
  return vit.Config(
    **common,
    width=theirs["hidden_size"],
    depth=blocks["num_layers"],
    mlp_dim=blocks["mlp_dim"],
    num_heads=blocks["num_heads"],
    patch_size=tuple(theirs["patches"]["size"]),
    pool=theirs["classifier"],
    pre_logits_dim=theirs.get("representation_size", 0),
  )
