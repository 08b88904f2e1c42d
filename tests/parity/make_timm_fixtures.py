"""Writes fixtures of timm's models; needs torch and timm, and no JAX.

  python tests/parity/make_timm_fixtures.py [NAME ...]

The project does not depend on either of them: an environment for this script
is made apart. The fixtures that were made are in `fixtures`.
"""

import json
import sys

import numpy as np
import rule
import timm
import torch

_SIZES = dict(
  img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=10
)
# What `create_model` is given for each fixture, and the architecture.
FIXTURES = {
  "timm_vit_layer_scale": ("vit_small_patch14_dinov2", dict(_SIZES)),
  "timm_vit_tanh_gap": ("vit_base_patch32_siglip_gap_256", dict(_SIZES)),
  # The norm follows the pooling of the class token.
  "timm_vit_fc_norm_token": (
    "vit_base_patch16_224",
    dict(_SIZES, fc_norm=True),
  ),
}


def kind(name, shape):
  """How a parameter is drawn, see `rule.params`."""
  if name.endswith("running_var"):
    return {"kind": "var"}
  if "norm" in name and name.endswith("weight"):
    return {"kind": "scale"}
  if name.endswith(".weight"):
    return {"kind": "weight", "std": round(np.prod(shape[1:]) ** -0.5, 6)}
  # A layer scale far from one, to be noticed where it is left out.
  return {"kind": "scale" if name.endswith(".gamma") else "small"}


def make(name):
  architecture, args = FIXTURES[name]
  model = timm.create_model(architecture, **args).eval()
  specs = {
    key: {"shape": list(value.shape), **kind(key, value.shape)}
    for key, value in model.state_dict().items()
    if value.dtype == torch.float32
  }
  size = args.get("img_size", 64)
  fixture = {
    "name": name,
    "source": f"timm {timm.__version__}, {architecture}",
    "salt": "open",
    "config": {"model": architecture, "resolution": size, **args},
    "image_shape": [2, size, size, 3],
    "params": specs,
  }
  state = {k: torch.from_numpy(v) for k, v in rule.params(fixture).items()}
  missing, extra = model.load_state_dict(state, strict=False)
  assert not extra, extra
  assert set(missing).isdisjoint(specs), missing
  images = torch.from_numpy(rule.image(fixture)).permute(0, 3, 1, 2)
  with torch.no_grad():
    features = model.forward_features(images)
    outputs = {
      "logits": model(images),
      "pre_logits": model.forward_head(features, pre_logits=True),
    }
  fixture["outputs"] = {
    key: np.round(value.double().numpy(), 7).tolist()
    for key, value in outputs.items()
  }
  path = rule.FIXTURES / f"{name}.json"
  path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
  print(path, path.stat().st_size)


if __name__ == "__main__":
  for fixture_name in sys.argv[1:] or FIXTURES:
    make(fixture_name)
