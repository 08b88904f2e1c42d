"""Files that hold weights, but not in a form that is read here."""

import pathlib

from vit_jax.core import errors

_POINTER = b"version https://git-lfs"
_PICKLE = (
  "is a pickle of PyTorch, which could run code; convert it to safetensors"
  " where it comes from (safetensors.torch.save_file of its state dict)"
)
_KINDS = {
  **dict.fromkeys((".bin", ".pth", ".pt", ".ckpt", ".pkl"), _PICKLE),
  ".msgpack": "is a msgpack file of Flax; write it as safetensors with"
  " transformers (save_pretrained of the PyTorch model)",
  ".h5": "is a file of Keras; write it as safetensors with transformers",
  ".onnx": "is a graph, not a file of weights with the names of their code",
}


def check_pointer(path: pathlib.Path) -> None:
  """Raises a CheckpointError for what git-lfs leaves in place of a file."""
  with path.open("rb") as f:
    if f.read(len(_POINTER)) == _POINTER:
      raise errors.CheckpointError(
        f"{path} is a git-lfs pointer, not the file itself; fetch that with:"
        " git lfs pull"
      )


def check(path: pathlib.Path) -> None:
  """Raises a CheckpointError that says what a file not read here is."""
  check_pointer(path)
  with path.open("rb") as f:
    head = f.read(2)
  # Old files of PyTorch are a pickle, newer ones a zip archive of one.
  if head in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
    raise errors.CheckpointError(f"{path} {_PICKLE}")
  # Names tell nothing of zip archives: an npz may have any name.
  if path.suffix in _KINDS and head != b"PK":
    raise errors.CheckpointError(f"{path} {_KINDS[path.suffix]}")


def check_folder(folder: pathlib.Path) -> None:
  """The same for a folder without a file that can be read."""
  for path in sorted(folder.iterdir()):
    if path.suffix in _KINDS and path.is_file():
      check_pointer(path)
      raise errors.CheckpointError(f"{path} {_KINDS[path.suffix]}")
