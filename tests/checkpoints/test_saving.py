"""Out again: the same bytes, the same names, the same outputs."""

import json

import jax
import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints
from vit_jax.core import errors

OWN = {"timm": "timm", "hf": "hf"}
NAMES = [
  *("vit_token", "vit_gap", "vit_token_prelogits", "bv_gap_learn_rep"),
  *("bv_gap_scan", "bv_gap_sincos", "bv_map_learn", "bv_tok_learn"),
  *("bit_r1211_x05", "hybrid_r_b11", "hybrid_r_stem", "timm_vit_token"),
  *("timm_vit_gap", "timm_swin", "timm_swin_3stage", "timm_mobilevit_s"),
  *("timm_mobilevit_xxs", "hf_vit", "hf_swin"),
]


def load(tmp_path, name):
  fixture = rule.load(name)
  size = tuple(fixture["image_shape"][1:3])
  return checkpoints.load(files.write(tmp_path, name), resolution=size)


def logits(loaded, images):
  return np.asarray(
    jax.jit(loaded.model.apply)(loaded.variables, images)["logits"]
  )


@pytest.mark.parametrize("name", NAMES)
def test_import_then_export_is_the_identity(tmp_path, name):
  loaded = load(tmp_path, name)
  to = OWN.get(name.split("_")[0], "npz")
  saved = checkpoints.save(loaded, to, tmp_path / "out")
  assert saved.format == loaded.source_format
  assert not saved.notes
  theirs = rule.params(rule.load(name))
  ours = files.read(saved.path, name)
  assert ours.keys() == theirs.keys()
  for key, value in theirs.items():
    assert ours[key].dtype == value.dtype
    assert ours[key].shape == value.shape
    assert ours[key].tobytes() == value.tobytes(), key


# To every format that has such a model, and none to the others.
TO = {
  "vit_token": ("timm", "hf", "orbax", "npz"),
  "vit_gap": ("timm", "orbax"),
  "vit_token_prelogits": ("orbax",),
  "bv_gap_scan": ("timm", "orbax"),
  "bv_gap_sincos": ("timm", "orbax"),
  "bv_tok_learn": ("timm", "hf", "orbax"),
  "bv_map_learn": ("orbax",),
  "hybrid_r_b11": ("timm", "orbax"),
  "bit_r1211_x05": ("orbax",),
  "timm_vit_token": ("npz", "hf", "orbax"),
  "timm_vit_gap": ("orbax",),
  "timm_swin": ("hf", "orbax"),
  "timm_mobilevit_xxs": ("orbax",),
  "hf_vit": ("npz", "timm", "orbax"),
  "hf_swin": ("timm", "orbax"),
}


@pytest.mark.parametrize(
  ("name", "to"), [(name, to) for name, formats in TO.items() for to in formats]
)
def test_export_then_import_gives_the_same_outputs(tmp_path, name, to):
  loaded = load(tmp_path, name)
  checkpoints.save(loaded, to, tmp_path / "out")
  # The file itself says how large its images are, if that can be said.
  size = {"resolution": loaded.model.config.image_size} if to == "npz" else {}
  again = checkpoints.load(tmp_path / "out", **size)
  assert again.source_format != loaded.source_format or to == "npz"
  assert again.preprocess == loaded.preprocess
  if again.model == loaded.model:
    files.same(again.variables, loaded.variables)
    return
  # Only positions are ever written in another way.
  assert again.model.config.posemb == "learned_1d"
  images = rule.image(rule.load(name))
  np.testing.assert_allclose(
    logits(again, images), logits(loaded, images), atol=2e-6
  )


REFUSED = [
  ("bit_r1211_x05", "timm", "root_padding=none"),
  ("vit_token_prelogits", "timm", "pre_logits_dim=36"),
  ("bv_map_learn", "timm", "pool=map"),
  ("bv_gap_scan", "hf", "pool=gap"),
  ("vit_token_prelogits", "hf", "pre_logits_dim=36"),
  ("timm_vit_gap", "npz", "norm_at=pooled"),
  ("timm_swin", "npz", "npz has no such swin"),
  ("bit_r1211_x05", "hf", "hf has no such bit"),
]


@pytest.mark.parametrize(("name", "to", "why"), REFUSED)
def test_a_format_without_such_a_model(tmp_path, name, to, why):
  with pytest.raises(errors.CheckpointError, match=why):
    checkpoints.save(load(tmp_path, name), to, tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_what_is_different_there_is_told(tmp_path):
  saved = checkpoints.save(load(tmp_path, "hf_vit"), "npz", tmp_path / "out")
  assert any("gelu=exact" in note for note in saved.notes)
  assert any("norm_epsilon=1e-12" in note for note in saved.notes)
  # The published code finds the names that it knows.
  with np.load(tmp_path / "out", allow_pickle=False) as found:
    assert "Transformer/encoderblock_0/LayerNorm_0/scale" in found


@pytest.mark.parametrize(
  ("name", "like"),
  [("vit_token", "timm_vit_token"), ("hf_swin", "timm_swin")],
)
def test_names_and_shapes_of_timm(tmp_path, name, like):
  saved = checkpoints.save(load(tmp_path, name), "timm", tmp_path / "out")
  ours = files.read(saved.path, "timm_")
  theirs = rule.load(like)["params"]
  assert ours.keys() == theirs.keys()
  for key, spec in theirs.items():
    assert ours[key].ndim == len(spec["shape"])


def test_a_bare_stem_as_timm_names_it(tmp_path):
  saved = checkpoints.save(
    load(tmp_path, "hybrid_r_stem"), "timm", tmp_path / "out"
  )
  ours = files.read(saved.path, "timm_")
  stem = {k: v.shape for k, v in ours.items() if k.startswith("patch_embed.")}
  assert stem == {
    "patch_embed.backbone.conv.weight": (32, 3, 7, 7),
    "patch_embed.backbone.norm.weight": (32,),
    "patch_embed.backbone.norm.bias": (32,),
    "patch_embed.proj.weight": (48, 32, 8, 8),
    "patch_embed.proj.bias": (48,),
  }


def test_config_of_timm(tmp_path):
  checkpoints.save(load(tmp_path, "vit_token"), "timm", tmp_path / "out")
  said = json.loads((tmp_path / "out/config.json").read_text())
  assert said["architecture"] == "vit_base_patch16_224"
  args = said["model_args"]
  assert args["img_size"] == [32, 32]
  assert args["num_heads"] == 4
  assert args["act_layer"] == "gelu_tanh"
  hub = said["pretrained_cfg"]
  assert hub["mean"] == [0.5] * 3
  assert hub["input_size"] == [3, 32, 32]
  # Without our own entry timm's is enough.
  del said["vit_jax"]
  (tmp_path / "out/config.json").write_text(json.dumps(said))
  again = checkpoints.load(tmp_path / "out")
  assert again.model.config == load(tmp_path, "vit_token").model.config
  assert again.preprocess == (
    "decode|resize(32, method='pillow_bilinear')|value_range(-1.0, 1.0)"
  )


def test_config_of_transformers(tmp_path):
  checkpoints.save(load(tmp_path, "vit_token"), "hf", tmp_path / "out")
  said = json.loads((tmp_path / "out/config.json").read_text())
  assert said["model_type"] == "vit"
  assert said["hidden_act"] == "gelu_pytorch_tanh"
  assert said["layer_norm_eps"] == 1e-6
  del said["vit_jax"]
  (tmp_path / "out/config.json").write_text(json.dumps(said))
  again = checkpoints.load(tmp_path / "out")
  assert again.model.config == load(tmp_path, "vit_token").model.config


def test_labels_travel(tmp_path):
  path = files.write(tmp_path, "hf_vit")
  said = rule.load("hf_vit")["config"]
  said["id2label"] = {str(i): f"class {i}" for i in range(10)}
  path.with_name("config.json").write_text(json.dumps(said))
  for to in ("timm", "hf", "orbax"):
    loaded, _ = checkpoints.convert(path, to, tmp_path / to)
    assert checkpoints.load(tmp_path / to).labels == loaded.labels
  assert loaded.labels[9] == "class 9"


def test_a_single_file_of_safetensors(tmp_path):
  out = tmp_path / "a.safetensors"
  saved = checkpoints.save(load(tmp_path, "vit_token"), "timm", out)
  assert saved.path == out
  assert (tmp_path / "config.json").exists()


def test_an_unknown_format(tmp_path):
  with pytest.raises(errors.ConfigError, match="did you mean timm"):
    checkpoints.save(load(tmp_path, "vit_token"), "tim", tmp_path / "out")


def test_a_place_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("")
  loaded = load(tmp_path, "vit_token")
  for to in ("npz", "timm"):
    with pytest.raises(errors.StorageError):
      checkpoints.save(loaded, to, tmp_path / "file" / "x")
