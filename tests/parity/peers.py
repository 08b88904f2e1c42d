"""Loads what is exported here with the real timm and transformers.

  python tests/parity/peers.py export OUT       here
  python tests/parity/peers.py load OUT         where timm and transformers are

The first writes small models with random weights in every format that has such
a model, and their logits for two images; the second loads them with the strict
loaders of the peers and compares. The project depends on no peer. What came of
it is in results/interop.
"""

import json
import pathlib
import sys

import numpy as np

_VIT = dict(
  image_size=(32, 32), patch_size=(8, 8), width=48, depth=3, mlp_dim=96,
  num_heads=4, num_classes=10,
)  # fmt: skip
_SWIN = dict(
  image_size=(64, 64), patch_size=(4, 4), window_size=(4, 4), width=24,
  depths=(2, 3), num_heads=(2, 4), num_classes=10,
)  # fmt: skip
_GAP = dict(pool="gap", class_token_position=False)
_BIT = dict(
  variant="R50x1", image_size=(64, 64), num_classes=10, root_padding="zeros",
  standardization="var + 1e-8",
)  # fmt: skip
_HYBRID = _VIT | dict(
  image_size=(64, 64), gelu="exact", standardization="var + 1e-8",
  group_norm_epsilon=1e-5,
)  # fmt: skip
# The model, its fields, the formats, the channels of its images.
MODELS = {
  "vit": ("vit", _VIT, ("npz", "timm", "hf"), 3),
  "vit_exact": ("vit", _VIT | dict(gelu="exact"), ("timm", "hf"), 3),
  "vit_hf": (
    *("vit", _VIT | dict(gelu="exact", norm_epsilon=1e-12), ("hf",), 3),
  ),
  "vit_gap": ("vit", _VIT | _GAP, ("npz", "timm"), 3),
  "vit_patches": ("vit", _VIT | dict(pool="patches"), ("timm",), 3),
  "vit_pooled_norm": (
    *("vit", _VIT | dict(pool="patches", norm_at="pooled"), ("timm",), 3),
  ),
  "vit_token_pooled_norm": (
    *("vit", _VIT | dict(norm_at="pooled"), ("timm",), 3),
  ),
  "vit_deit3": (
    *("vit", _VIT | dict(class_token_position=False), ("npz", "timm", "hf"), 3),
  ),
  "vit_wide": ("vit", _VIT | dict(image_size=(32, 64)), ("timm", "hf"), 3),
  "vit_features": ("vit", _VIT | dict(num_classes=0), ("timm", "hf"), 3),
  "vit_grey": ("vit", _VIT, ("timm", "hf"), 1),
  "swin": ("swin", _SWIN, ("timm", "hf"), 3),
  "swin_grey": ("swin", _SWIN, ("timm", "hf"), 1),
  "swin_padded_after_shift": (
    "swin",
    _SWIN | dict(image_size=(72, 72), window_pad="after_shift"),
    ("timm",),
    3,
  ),
  "swin_padded_before_shift": (
    *("swin", _SWIN | dict(image_size=(72, 72)), ("hf",), 3),
  ),
  "swin_small_grid": (
    *("swin", _SWIN | dict(image_size=(24, 24), window_size=(7, 7))),
    *(("timm",), 3),
  ),
  "mobilevit": (
    *("mobilevit", dict(variant="XXS", image_size=(64, 64), num_classes=10)),
    *(("timm",), 3),
  ),
  "mobilevit_grey": (
    *("mobilevit", dict(variant="XXS", image_size=(64, 64), num_classes=10)),
    *(("timm",), 1),
  ),
  "bit": ("bit", _BIT, ("timm",), 3),
  "hybrid_stem": ("hybrid", _HYBRID | dict(resnet_depths=()), ("timm",), 3),
  "hybrid_r26": (
    "hybrid",
    _HYBRID | dict(patch_size=(1, 1), resnet_depths=(2, 2, 2, 2)),
    ("timm",),
    3,
  ),
}
_LABELS = tuple(f"class {i}" for i in range(10))


def export(out):
  """Writes the models, and the logits of two images."""
  import jax
  import jax.numpy as jnp

  from vit_jax import checkpoints, models

  for name, (kind, fields, formats, channels) in MODELS.items():
    model = models.create(kind, **fields)
    size = model.config.image_size
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, *size, channels)).astype(np.float32)
    drawn = model.init(jax.random.key(0), jnp.asarray(images))
    leaves, tree = jax.tree.flatten(dict(drawn))
    # Variances stay positive, and the head's zeros do not remain.
    noise = [0.05 * np.abs(rng.standard_normal(x.shape)) for x in leaves]
    leaves = [np.float32(x + n) for x, n in zip(leaves, noise, strict=True)]
    variables = jax.tree.unflatten(tree, leaves)
    with jax.default_matmul_precision("highest"):
      logits = jax.jit(model.apply)(variables, images)
    logits = logits["logits" if model.config.num_classes else "pre_logits"]
    checkpoint = checkpoints.Loaded(
      *(model, variables["params"], variables.get("batch_stats", {}), ""),
      *(checkpoints.Report(()), f"decode|resize({size[0]})|value_range(-1, 1)"),
      labels=_LABELS[: model.config.num_classes],
    )
    for to in formats:
      place = pathlib.Path(out, f"{name}-{to}")
      place.mkdir(parents=True, exist_ok=True)
      where = place / "model.npz" if to == "npz" else place
      saved = checkpoints.save(checkpoint, to, where)
      np.savez(
        place / "expected_outputs", images=images, logits=np.asarray(logits)
      )
      row = {"name": name, "to": to, "layout": saved.format}
      row |= {"notes": list(saved.notes), "fields": _args(model.config)}
      (place / "case").write_text(json.dumps(row))
      print(place, saved.notes)


def _args(config):
  """What timm makes a ViT with, whose npz has no config.json."""
  if not hasattr(config, "mlp_dim"):
    return {}
  return dict(
    img_size=config.image_size,
    patch_size=config.patch_size,
    embed_dim=config.width,
    depth=config.depth,
    num_heads=config.num_heads,
    mlp_ratio=config.mlp_dim / config.width,
    class_token=config.class_token,
    no_embed_class=not config.class_token_position,
    global_pool="token" if config.class_token else "avg",
    fc_norm=False,
    act_layer="gelu_tanh" if config.gelu == "tanh" else "gelu",
    num_classes=config.num_classes,
  )


def load(out):
  """Loads all of them, and writes OUT/peers.jsonl."""
  import timm
  import torch
  import transformers

  rows = []
  for place in sorted(path.parent for path in pathlib.Path(out).glob("*/case")):
    row = json.loads((place / "case").read_text())
    fields = row.pop("fields")
    expected = np.load(place / "expected_outputs.npz")
    images = torch.from_numpy(expected["images"]).permute(0, 3, 1, 2)
    try:
      if row["to"] == "hf":
        row["peer"] = f"transformers {transformers.__version__}"
        outputs = _of_transformers(transformers, torch, place, images)
      else:
        row["peer"] = f"timm {timm.__version__}"
        outputs = _of_timm(timm, torch, place, images, row["to"], fields)
      theirs, ours = outputs.numpy(), expected["logits"]
      difference = np.abs(theirs - ours).max() / theirs.std()
      row["difference"] = float(f"{difference:.2g}")
    except Exception as e:  # noqa: BLE001, whatever it is is the result
      row["error"] = f"{type(e).__name__}: {e}".splitlines()[0][:300]
    rows.append(row)
    print(row)
  text = "".join(json.dumps(row) + "\n" for row in rows)
  pathlib.Path(out, "peers.jsonl").write_text(text)


def _of_transformers(transformers, torch, place, images):
  config = transformers.AutoConfig.from_pretrained(place)
  headless = not config.architectures[0].endswith("Classification")
  auto = (
    transformers.AutoModel
    if headless
    else transformers.AutoModelForImageClassification
  )
  options = {"add_pooling_layer": False} if headless else {}
  model, info = auto.from_pretrained(place, output_loading_info=True, **options)
  for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    if info[kind]:
      raise ValueError(f"{kind}: {info[kind]}")
  if not headless and list(config.id2label.values()) != list(_LABELS):
    raise ValueError(f"id2label: {config.id2label}")
  with torch.no_grad():
    outputs = model.eval()(images)
  return outputs.last_hidden_state[:, 0] if headless else outputs.logits


def _of_timm(timm, torch, place, images, to, fields):
  if to == "npz":
    model = timm.create_model("vit_base_patch16_224", **fields)
    model.load_pretrained(str(place / "model.npz"))
  else:
    model = timm.create_model(f"local-dir:{place}", pretrained=True)
    names = model.pretrained_cfg.get("label_names")
    if model.num_classes and list(names) != list(_LABELS):
      raise ValueError(f"label_names: {names}")
  with torch.no_grad():
    return model.eval()(images)


if __name__ == "__main__":
  {"export": export, "load": load}[sys.argv[1]](sys.argv[2])
