"""What the safetensors files of transformers have in common."""

from vit_jax.checkpoints import layout
from vit_jax.checkpoints.keys import Rule
from vit_jax.checkpoints.layouts import timm
from vit_jax.core import errors

_NAMES = {"q": "query", "k": "key", "v": "value"}
# (theirs, its axes, ours, its axes) of a pre-norm block.
_BLOCK = (
  ("layernorm_before.weight", "D", "norm_attention/scale", "D"),
  ("layernorm_before.bias", "D", "norm_attention/bias", "D"),
  *((f"attention.{a}_proj.weight", "(H K) D", f"attention/{b}/kernel", "D H K")
    for a, b in _NAMES.items()),
  *((f"attention.{a}_proj.bias", "(H K)", f"attention/{b}/bias", "H K")
    for a, b in _NAMES.items()),
  ("attention.o_proj.weight", "D (H K)", "attention/out/kernel", "H K D"),
  ("attention.o_proj.bias", "D", "attention/out/bias", "D"),
  ("layernorm_after.weight", "D", "norm_mlp/scale", "D"),
  ("layernorm_after.bias", "D", "norm_mlp/bias", "D"),
  ("mlp.fc1.weight", "M D", "mlp/hidden/kernel", "D M"),
  ("mlp.fc1.bias", "M", "mlp/hidden/bias", "M"),
  ("mlp.fc2.weight", "D M", "mlp/out/kernel", "M D"),
  ("mlp.fc2.bias", "D", "mlp/out/bias", "D"),
)  # fmt: skip

# Names of a block before version 5, such as every file of the hub has.
RENAMED = (
  (r"\.attention\.(attention|self)\.query\.", ".attention.q_proj."),
  (r"\.attention\.(attention|self)\.key\.", ".attention.k_proj."),
  (r"\.attention\.(attention|self)\.value\.", ".attention.v_proj."),
  (r"\.attention\.output\.dense\.", ".attention.o_proj."),
  (r"\.intermediate\.dense\.", ".mlp.fc1."),
  (r"\.output\.dense\.", ".mlp.fc2."),
)

# Names of activations that a config.json may have.
_GELU = {
  "gelu": "exact",
  "gelu_python": "exact",
  "gelu_new": "tanh",
  "gelu_pytorch_tanh": "tanh",
}


def block(
  theirs: str, ours: str, layers: tuple[str, ...] = (), more: tuple = ()
) -> list[Rule]:
  """The rules of a block, or of a stack of them; see `timm.block`."""
  labels = {"L": layers} if layers else {}
  stack = "L " if layers else ""
  return [
    Rule(f"{theirs}.{a}", x, f"{ours}/{b}", stack + y, labels)
    for a, x, b, y in (*_BLOCK, *more)
  ]


def embedding(theirs: str) -> list[Rule]:
  """The rules of the patch embedding."""
  name = f"{theirs}.embeddings.patch_embeddings.projection"
  return timm.linear(name, "embedding", "O I kh kw", "kh kw I O")


def gelu(source: layout.Source) -> str:
  """The form of the GELU that config.json names.

  Raises:
    CheckpointError: it is no GELU.
  """
  name = source.config.get("hidden_act", "gelu")
  if name not in _GELU:
    raise errors.CheckpointError(
      f"{source.path}: hidden_act={name} of its config.json is not supported"
      f" (there are: {', '.join(_GELU)})"
    )
  return _GELU[name]


class HuggingFace(layout.Layout):
  """A model of transformers."""

  format = "hf"
  container = layout.SAFETENSORS
  resize = "bicubic"
  ignored = (r".*relative_position_index", r".*\.position_ids")
