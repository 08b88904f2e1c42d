"""Published PyTorch parameters and what they are called here, as a table.

A row is (regex of a whole published name, our name, transform). Groups of the
regex go into our name; "<2+1>" in it is then 3. Blocks of Swin are numbered
in our names ("stage2/block5/..."); `stacked` puts them in their place.
"""

import re

import numpy as np

from vit_jax.core import tree

PARTS = ("query", "key", "value")


def same(x, heads):
  return {"": x}


def linear(x, heads):
  """[out, in] to [in, out]."""
  return {"": x.T}


def conv(x, heads):
  """[out, in, h, w] to [h, w, in, out]."""
  return {"": x.transpose(2, 3, 1, 0)}


def pointwise(x, heads):
  """A convolution of 1 x 1 to a dense layer: [out, in, 1, 1] to [in, out]."""
  return {"": x[:, :, 0, 0].T}


def into_heads(x, heads):
  """[H * K, D] to [D, H, K]."""
  return {"": x.T.reshape(-1, heads, x.shape[0] // heads)}


def into_heads_bias(x, heads):
  """[H * K] to [H, K]."""
  return {"": x.reshape(heads, -1)}


def from_heads(x, heads):
  """[D, H * K] to [H, K, D]."""
  return {"": x.T.reshape(heads, -1, x.shape[0])}


def fused(x, heads):
  """[3 * H * K, D] to three of [D, H, K]; one of them takes "*"'s place."""
  parts = zip(PARTS, np.split(x, 3), strict=True)
  return {name: into_heads(part, heads)[""] for name, part in parts}


def fused_bias(x, heads):
  parts = zip(PARTS, np.split(x, 3), strict=True)
  return {name: part.reshape(heads, -1) for name, part in parts}


def bias_table(x, heads):
  """[(2 w - 1) ** 2, H] of a square window w to [2 w - 1, 2 w - 1, H]."""
  side = round(np.sqrt(x.shape[0]))
  return {"": x.reshape(side, side, heads)}


def _norm(theirs, ours):
  return [
    (rf"{theirs}\.weight", f"params/{ours}/scale", same),
    (rf"{theirs}\.bias", f"params/{ours}/bias", same),
  ]


def _linear(theirs, ours, kernel=linear, bias=same):
  return [
    (rf"{theirs}\.weight", f"params/{ours}/kernel", kernel),
    (rf"{theirs}\.bias", f"params/{ours}/bias", bias),
  ]


def _conv_norm(theirs, ours):
  return [
    (rf"{theirs}\.conv\.weight", f"params/{ours}/conv/kernel", conv),
    *_norm(rf"{theirs}\.bn", f"{ours}/norm"),
    (
      rf"{theirs}\.bn\.running_mean",
      f"batch_stats/{ours}/norm/mean",
      same,
    ),
    (rf"{theirs}\.bn\.running_var", f"batch_stats/{ours}/norm/var", same),
  ]


def _timm_block(theirs, ours):
  """timm's pre-norm block with a fused qkv."""
  return [
    *_norm(rf"{theirs}\.norm1", f"{ours}/norm_attention"),
    *_linear(rf"{theirs}\.attn\.qkv", f"{ours}/attention/*", fused, fused_bias),
    *_linear(rf"{theirs}\.attn\.proj", f"{ours}/attention/out", from_heads),
    *_norm(rf"{theirs}\.norm2", f"{ours}/norm_mlp"),
    *_linear(rf"{theirs}\.mlp\.fc1", f"{ours}/mlp/hidden"),
    *_linear(rf"{theirs}\.mlp\.fc2", f"{ours}/mlp/out"),
  ]


_SWIN = r"layers\.(\d+)\.blocks\.(\d+)"
_OURS = r"stage\1/block\2"
TIMM_SWIN = [
  *_linear(r"patch_embed\.proj", "embedding", conv),
  *_norm(r"patch_embed\.norm", "embedding_norm"),
  *_timm_block(_SWIN, _OURS),
  (
    rf"{_SWIN}\.attn\.relative_position_bias_table",
    rf"params/{_OURS}/attention/relative_bias",
    bias_table,
  ),
  *_norm(r"layers\.(\d+)\.downsample\.norm", r"stage\1/merge/norm"),
  (
    r"layers\.(\d+)\.downsample\.reduction\.weight",
    r"params/stage\1/merge/reduction/kernel",
    linear,
  ),
  *_norm("norm", "norm"),
  *_linear(r"head\.fc", "head"),
]

# Merging is the last thing in a stage there, and the first in a stage here.
_HF = rf"swin\.encoder\.{_SWIN}"
_HF_QKV = [
  row
  for part in PARTS
  for row in _linear(
    rf"{_HF}\.attention\.{part[0]}_proj",
    f"{_OURS}/attention/{part}",
    into_heads,
    into_heads_bias,
  )
]
HF_SWIN = [
  *_linear(
    r"swin\.embeddings\.patch_embeddings\.projection", "embedding", conv
  ),
  *_norm(r"swin\.embeddings\.norm", "embedding_norm"),
  *_norm(rf"{_HF}\.layernorm_before", f"{_OURS}/norm_attention"),
  *_HF_QKV,
  *_linear(rf"{_HF}\.attention\.o_proj", f"{_OURS}/attention/out", from_heads),
  (
    rf"{_HF}\.attention\.relative_position_bias\.relative_position_bias_table",
    rf"params/{_OURS}/attention/relative_bias",
    bias_table,
  ),
  *_norm(rf"{_HF}\.layernorm_after", f"{_OURS}/norm_mlp"),
  *_linear(rf"{_HF}\.mlp\.fc1", f"{_OURS}/mlp/hidden"),
  *_linear(rf"{_HF}\.mlp\.fc2", f"{_OURS}/mlp/out"),
  *_norm(
    r"swin\.encoder\.layers\.(\d+)\.downsample\.norm", r"stage<\1+1>/merge/norm"
  ),
  (
    r"swin\.encoder\.layers\.(\d+)\.downsample\.reduction\.weight",
    r"params/stage<\1+1>/merge/reduction/kernel",
    linear,
  ),
  *_norm(r"swin\.layernorm", "norm"),
  *_linear("classifier", "head"),
]

_STAGE = r"stages\.(\d+)\.(\d+)"
_VIT = r"stage\1_transformer"
TIMM_MOBILEVIT = [
  *_conv_norm("stem", "stem"),
  *_conv_norm(rf"{_STAGE}\.conv1_1x1", r"stage\1_residual\2/expand"),
  *_conv_norm(rf"{_STAGE}\.conv2_kxk", r"stage\1_residual\2/depth"),
  *_conv_norm(rf"{_STAGE}\.conv3_1x1", r"stage\1_residual\2/project"),
  *_conv_norm(rf"{_STAGE}\.conv_kxk", f"{_VIT}/local"),
  (rf"{_STAGE}\.conv_1x1\.weight", f"params/{_VIT}/embed/kernel", pointwise),
  *_timm_block(rf"{_STAGE}\.transformer\.(\d+)", rf"{_VIT}/block\3"),
  *_norm(rf"{_STAGE}\.norm", f"{_VIT}/norm"),
  *_conv_norm(rf"{_STAGE}\.conv_proj", f"{_VIT}/project"),
  *_conv_norm(rf"{_STAGE}\.conv_fusion", f"{_VIT}/fuse"),
  *_conv_norm("final_conv", "last"),
  *_linear(r"head\.fc", "head"),
]


def renamed(published, table, heads_of):
  """Our names and values; each published parameter fits exactly one row.

  Args:
    published: values by their published names.
    table: rows as above.
    heads_of: our name -> H of the layer.
  """
  ours = {}
  for name, value in published.items():
    fits = [row for row in table if re.fullmatch(row[0], name)]
    assert len(fits) == 1, (name, fits)
    pattern, target, transform = fits[0]
    target = re.fullmatch(pattern, name).expand(target)
    target = re.sub(r"<(\d+)\+1>", lambda m: str(int(m[1]) + 1), target)
    for part, x in transform(value, heads_of(target)).items():
      ours[target.replace("*", part)] = x
  return ours


def stacked(ours, depths):
  """Puts the numbered blocks of Swin into pairs: [L / 2, ...].

  The first, third, ... block of a stage is regular, the others are shifted; an
  odd one at its end is on its own.
  """
  flat, pairs = {}, {}
  for name, value in ours.items():
    match = re.fullmatch(r"params/stage(\d+)/block(\d+)/(.*)", name)
    if not match:
      flat[name] = value
      continue
    stage, block = int(match[1]), int(match[2])
    if block == depths[stage] - 1 and depths[stage] % 2:
      flat[f"params/stage{stage}/last/{match[3]}"] = value
    else:
      kind = "shifted" if block % 2 else "regular"
      name = f"params/stage{stage}/pairs/{kind}/{match[3]}"
      pairs.setdefault(name, {})[block // 2] = value
  for name, layers in pairs.items():
    flat[name] = np.stack([layers[i] for i in range(len(layers))])
  return tree.unflatten(flat)
