"""Records what timm and transformers make of pictures, in peer_pixels.json.

Run it from the root of the repository in an environment of their own, which
this project does not need:

    python -m venv peers
    peers/bin/pip install timm transformers torch torchvision 'pillow<13'
    PYTHONPATH=. peers/bin/python tests/parity/make_peer_pixels.py

With `--photographs=photos.npz`, whose arrays are uint8 images [h, w, 3], it
writes what they make of those at 224 px to `--out=pixels.npz` instead, for
`compare_peer_pixels.py`. `--backend=""` is torchvision's in transformers.
"""

import argparse
import base64
import json
import pathlib
import zlib

import numpy as np
import PIL
from PIL import Image
import torch

# torchvision cannot be imported where its compiled ops do not load.
if not hasattr(torch.ops.torchvision, "nms"):
  _OPS = torch.library.Library("torchvision", "DEF")
  for _NAME in ("nms", "qnms"):
    _OPS.define(f"{_NAME}(Tensor dets, Tensor scores, float t) -> Tensor")

import timm
import timm.data
import transformers
from transformers.models.auto import image_processing_auto

from tests.parity import pictures

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "peer_pixels.json"
SHAPES = ((97, 131), (160, 90), (41, 40), (23, 35))
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def timm_case(h, w, channels=3, **cfg):
  return {
    "family": "timm",
    "size": [h, w],
    "channels": channels,
    "config": {"input_size": [channels, h, w], **cfg},
  }


def hf_case(kind, h, w, channels=3, **config):
  return {
    "family": "hf",
    "size": [h, w],
    "channels": channels,
    "config": {"image_processor_type": f"{kind}ImageProcessor", **config},
  }


CASES = {
  "timm_vit": timm_case(
    32, 32, interpolation="bicubic", crop_pct=0.9, crop_mode="center", **HALF
  ),
  "timm_defaults": timm_case(32, 32),
  "timm_swin_384": timm_case(
    39, 39, interpolation="bicubic", crop_pct=0.853, **IMAGENET
  ),
  "timm_mobilevit": timm_case(
    32,
    32,
    interpolation="bilinear",
    crop_pct=0.9,
    mean=[0.0] * 3,
    std=[1.0] * 3,
  ),
  "timm_siglip": timm_case(
    32, 32, interpolation="bicubic", crop_pct=1.0, crop_mode="squash", **HALF
  ),
  "timm_squash_crop": timm_case(
    32, 32, interpolation="bicubic", crop_pct=0.9, crop_mode="squash", **HALF
  ),
  "timm_border": timm_case(
    32,
    32,
    interpolation="bicubic",
    crop_pct=0.9,
    crop_mode="border",
    **IMAGENET,
  ),
  "timm_wide": timm_case(
    24, 37, interpolation="bicubic", crop_pct=0.9, crop_mode="center", **HALF
  ),
  "timm_tall": timm_case(
    37, 24, interpolation="bilinear", crop_pct=1.0, crop_mode="center", **HALF
  ),
  "timm_wide_squash": timm_case(
    24, 37, interpolation="bicubic", crop_pct=0.95, crop_mode="squash", **HALF
  ),
  "timm_lanczos": timm_case(
    32, 32, interpolation="lanczos", crop_pct=0.875, **IMAGENET
  ),
  "timm_grey": timm_case(
    32, 32, 1, interpolation="bicubic", crop_pct=0.9, mean=[0.13], std=[0.31]
  ),
  "hf_vit": hf_case(
    "ViT",
    32,
    32,
    do_resize=True,
    size={"height": 32, "width": 32},
    resample=2,
    do_rescale=True,
    rescale_factor=1 / 255,
    do_normalize=True,
    image_mean=HALF["mean"],
    image_std=HALF["std"],
  ),
  "hf_swin": hf_case(
    "ViT",
    32,
    32,
    size=32,
    resample=3,
    image_mean=IMAGENET["mean"],
    image_std=IMAGENET["std"],
  ),
  "hf_wide": hf_case("ViT", 24, 37, size={"height": 24, "width": 37}),
  "hf_unscaled": hf_case(
    "ViT",
    32,
    32,
    size=32,
    rescale_factor=1 / 127.5,
    image_mean=[1.0] * 3,
    image_std=[1.0] * 3,
  ),
  "hf_no_mean": hf_case("ViT", 32, 32, size=32, do_normalize=False),
  "hf_deit": hf_case("DeiT", 32, 32, size=37, crop_size=32),
  "hf_dinov2": hf_case(
    "Bit",
    32,
    32,
    size={"shortest_edge": 37},
    crop_size={"height": 32, "width": 32},
    resample=3,
    do_center_crop=True,
    image_mean=IMAGENET["mean"],
    image_std=IMAGENET["std"],
  ),
  "hf_clip": hf_case("CLIP", 33, 33, size=36, crop_size=33),
  "hf_siglip": hf_case("Siglip", 32, 32, size={"height": 32, "width": 32}),
  "hf_convnext": hf_case("ConvNext", 32, 32, size={"shortest_edge": 32}),
  "hf_padded": hf_case(
    "DeiT", 32, 32, size={"height": 27, "width": 28}, crop_size=32
  ),
  "hf_grey": hf_case(
    "ViT", 32, 32, 1, size=32, image_mean=[0.13], image_std=[0.31]
  ),
}


def prepared(case, image, backend="Pil"):
  """What the case's own code makes of uint8 [h, w, c]: float32 [h, w, c]."""
  pil = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
  config = case["config"]
  if case["family"] == "timm":
    cfg = timm.models.PretrainedCfg(**config).to_dict()
    data = timm.data.resolve_data_config({}, pretrained_cfg=cfg)
    out = timm.data.create_transform(**data)(pil).numpy()
  else:
    find = image_processing_auto.get_image_processor_class_from_name
    cls = find(config["image_processor_type"] + backend)
    out = np.asarray(cls.from_dict(config)(pil)["pixel_values"][0])
  return out.transpose(1, 2, 0)


def levels(case, out):
  """Normalised values as the pixels that they were, in [0, 255]."""
  config = case["config"]
  if case["family"] == "timm":
    cfg = timm.models.PretrainedCfg(**config)
    mean, std, factor = cfg.mean, cfg.std, 1 / 255
  else:
    find = image_processing_auto.get_image_processor_class_from_name
    p = find(config["image_processor_type"] + "Pil").from_dict(config)
    plain = ([0.0], [1.0])
    mean, std = (p.image_mean, p.image_std) if p.do_normalize else plain
    factor = p.rescale_factor
  return np.rint((out * std + mean) / factor).astype(np.uint8)


def record():
  """Writes the fixture."""
  cases = {}
  for name, case in CASES.items():
    seen = []
    for shape in SHAPES:
      out = prepared(case, pictures.picture(*shape, case["channels"]))
      sample = levels(case, out)[::2, ::3]
      seen.append(
        {
          "shape": shape,
          "sample": base64.b64encode(
            zlib.compress(sample.tobytes(), 9)
          ).decode(),
          "corner": [round(float(x), 6) for x in out[0, 0]],
        }
      )
    cases[name] = {**case, "images": seen}
  versions = ", ".join(
    f"{m.__name__} {m.__version__}" for m in (timm, transformers, PIL)
  )
  lines = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in cases.items())
  body = ",\n".join(lines)
  FIXTURE.write_text(f'{{"source": "{versions}",\n"cases": {{\n{body}\n}}}}\n')


def photographs(path, out, backend):
  """Writes what each case with three channels makes of photographs."""
  arrays = {}
  with np.load(path) as photos:
    for name, case in CASES.items():
      if case["channels"] == 3:
        sides = [224 * s // max(case["size"]) for s in case["size"]]
        big = at(case, sides)
        arrays[name] = np.array(json.dumps(big))
        for key in photos:
          made = prepared(big, photos[key], backend)
          arrays[f"{name}/{key}"] = levels(big, made)
  np.savez(out, **arrays)


def at(case, sides):
  """The case at a real size, with sizes in proportion."""
  config, old = dict(case["config"]), max(case["size"])

  def scaled(value):
    if isinstance(value, dict):
      return {k: scaled(v) for k, v in value.items()}
    return value * max(sides) // old

  for key in ("size", "crop_size"):
    if key in config:
      config[key] = scaled(config[key])
  if "input_size" in config:
    config["input_size"] = [config["input_size"][0], *sides]
  return {**case, "size": sides, "config": config}


if __name__ == "__main__":
  parser = argparse.ArgumentParser()
  parser.add_argument("--photographs")
  parser.add_argument("--out", default="pixels.npz")
  parser.add_argument("--backend", default="Pil")
  args = parser.parse_args()
  if args.photographs:
    photographs(args.photographs, args.out, args.backend)
  else:
    record()
