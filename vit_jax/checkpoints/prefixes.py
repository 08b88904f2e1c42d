"""Prefixes that wrappers of PyTorch put before the names of all tensors."""

from vit_jax.checkpoints.tensors import Tensors

# DistributedDataParallel, Lightning and the like, models with several heads,
# torch.compile.
_PREFIXES = ("module.", "model.", "backbone.", "_orig_mod.")


def stripped(tensors: Tensors) -> tuple[dict[str, str], list[str]]:
  """The names in the file by those without prefixes, and words about it.

  A prefix is left out if most names have it and no two names become one.
  """
  names, sentences = {name: name for name in tensors}, []
  # A wrapper may be in another one; each round leaves out one of them.
  for _ in range(len(_PREFIXES)):
    for prefix in _PREFIXES:
      count = sum(name.startswith(prefix) for name in names)
      shorter = {k.removeprefix(prefix): v for k, v in names.items()}
      if 2 * count > len(names) and len(shorter) == len(names):
        names = shorter
        sentences.append(f"the prefix {prefix} of {count} names is left out")
  return names, sentences
