"""Look inside a Vision Transformer: pictures and one HTML page.

It shows attention rollout over images, mean attention distance by layer and
head, similarity of the position embeddings, and principal components of the
patch filters. Images go through the preprocessing that the checkpoint was
trained with. A file that cannot be read is named on stderr, and the exit code
is then 1. The page needs no network and no other file.
"""

import argparse
from collections.abc import Iterator, Sequence
import pathlib
import sys
from typing import Any

from vit_jax.cli import flags
from vit_jax.core import errors, parts

# Images between two progress lines.
_EVERY = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
  flags.add_checkpoint(parser)
  parser.add_argument(
    "--images",
    required=True,
    nargs="+",
    metavar="IMAGE|DIR",
    help="image files, and folders of them",
  )
  parser.add_argument(
    "--out",
    type=flags.place,
    required=True,
    metavar="DIR",
    help="folder for the page and the pictures",
  )
  parser.add_argument(
    "--overlays",
    type=int,
    default=24,
    metavar="N",
    help="draw rollouts for the first N images; distances use all of them",
  )


def run(args: argparse.Namespace) -> None:
  flags.refuse_rest(args)
  if args.overlays < 1:
    raise errors.ConfigError(f"overlays={args.overlays} must be >= 1")
  from vit_jax import checkpoints
  from vit_jax.analysis import inside, inside_page, pictures
  from vit_jax.core import files as files_lib, owners, storage
  from vit_jax.export import predict

  out = storage.path(args.out)
  owners.check_folder("out", out)
  owners.check_file(
    "out", out / "index.html", flags.is_page, "a page of analyze"
  )
  paths = predict.images(args.images)
  checkpoint = checkpoints.load(args.checkpoint, **flags.loading(args))
  bad: list[str] = []
  findings = inside.analyze(
    checkpoint, _read(checkpoint, paths, bad), overlays=args.overlays
  )
  files = pictures.files(findings)
  title = storage.path(args.checkpoint).absolute().name
  page = inside_page.page(title, _facts(checkpoint), findings, files)
  try:
    out.mkdir(parents=True, exist_ok=True)
  except OSError as e:
    raise errors.StorageError(f"out={out}: {e.strerror}") from e
  for name, data in {**files, "index.html": page.encode()}.items():
    files_lib.write(out / name, data)
  print(f"wrote {out / 'index.html'} and {len(files)} files beside it")
  if bad:
    raise errors.DataError(
      f"{len(bad)} of {len(paths)} files are not readable images; see the lines"
      " above"
    )


def _read(
  checkpoint: Any, paths: Sequence[pathlib.Path], bad: list[str]
) -> Iterator[tuple[str, Any]]:
  """Names and images, as the checkpoint's preprocessing leaves them.

  `bad` receives the errors of files that cannot be read.
  """
  from vit_jax.export import predict

  pipeline = predict.pipeline_for(checkpoint)
  size = checkpoint.model.config.image_size
  resized = 0
  for i, path in enumerate(paths, 1):
    image, changed = predict.read_image(pipeline, path, size)
    if isinstance(image, str):
      print(image, file=sys.stderr)
      bad.append(image)
    else:
      resized += changed
      yield path.name, image
    if i % _EVERY == 0:
      print(f"{i} of {len(paths)} images", file=sys.stderr)
  if resized:
    print(
      f"{resized} of {len(paths)} images were resized to the model's size,"
      " which the checkpoint's preprocessing does not do",
      file=sys.stderr,
    )
  if len(bad) == len(paths):
    raise errors.DataError(f"none of {len(paths)} files is a readable image")


def _facts(checkpoint: Any) -> dict[str, str]:
  """The facts about the checkpoint that the page shows."""
  config = checkpoint.model.config
  h, w = config.image_size
  ph, pw = config.patch_size
  gh, gw = config.grid
  kind = parts.name_of(checkpoint.model)
  unit = "the feature map's cells" if kind == "hybrid" else "px"
  return {
    "format": checkpoint.source_format,
    "model": (
      f"{kind}: width {config.width:,}, depth {config.depth},"
      f" {config.num_heads} heads, MLP {config.mlp_dim:,}"
    ),
    "patches": (
      f"{gh} x {gw} of {ph} x {pw} {unit}, in images of {h} x {w} px"
    ),
    "what represents the image": config.pool,
    "position embeddings": f"{config.posemb}, {config.posemb_at}",
    "preprocessing": checkpoint.preprocess,
    "assumed": "; ".join(checkpoint.report.assumptions) or "nothing",
  }
