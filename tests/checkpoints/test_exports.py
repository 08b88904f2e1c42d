"""What is written for others to load: sizes, channels, names of classes.

Whether the real timm and transformers load it: tests/parity/peers.py.
"""

import json

import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints, models
from vit_jax.checkpoints import tensors
from vit_jax.core import errors

VIT = dict(
  image_size=(32, 32), patch_size=(8, 8), width=16, depth=2, mlp_dim=32,
  num_heads=2, num_classes=3,
)  # fmt: skip
SWIN = dict(
  image_size=(32, 32), patch_size=(4, 4), window_size=(4, 4), width=8,
  depths=(2, 2), num_heads=(1, 2), num_classes=3,
)  # fmt: skip
BIT = dict(
  image_size=(32, 32), depths=(1, 1), width_factor=0.5, num_classes=3,
  root_padding="zeros",
)  # fmt: skip
LABELS = ("tabby cat", "dog", "Zürich")


def config_of(saved):
  return json.loads(saved.path.with_name("config.json").read_text())


@pytest.mark.parametrize(
  "to", ["npz", "timm", "hf", "orbax", "big_vision_scan"]
)
def test_names_of_classes_travel(tmp_path, to):
  model = models.create("vit", **VIT)
  if to == "big_vision_scan":
    model = models.create("vit", **VIT, class_token_position=False)
    to = "npz"
  out = tmp_path / "out"
  files.save_random(model, to, out, labels=LABELS)
  assert checkpoints.load(out, resolution=32).labels == LABELS


def test_names_of_classes_in_the_words_of_others(tmp_path):
  model = models.create("vit", **VIT)
  _, saved = files.save_random(model, "hf", tmp_path / "hf", labels=LABELS)
  config = config_of(saved)
  assert config["id2label"] == {"0": "tabby cat", "1": "dog", "2": "Zürich"}
  assert config["label2id"] == {"tabby cat": 0, "dog": 1, "Zürich": 2}
  _, saved = files.save_random(model, "timm", tmp_path / "timm", labels=LABELS)
  assert config_of(saved)["label_names"] == list(LABELS)
  # Names that are not known are not made up.
  _, saved = files.save_random(model, "hf", tmp_path / "none")
  config = config_of(saved)
  assert config["num_labels"] == 3
  assert "id2label" not in config
  assert checkpoints.load(saved.path).labels == ()


def test_names_of_timm_by_number(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  content = files.hub_config(rule.load("timm_vit_token"))
  names = {str(i): f"class {i}" for i in range(10)}
  for place in (content, content.setdefault("pretrained_cfg", {})):
    place["label_names"] = names
    path.with_name("config.json").write_text(json.dumps(content))
    assert checkpoints.load(path).labels[3] == "class 3"
    del place["label_names"]


@pytest.mark.parametrize("to", ["timm", "hf", "npz"])
def test_one_channel(tmp_path, to):
  model = models.create("vit", **VIT)
  checkpoint, saved = files.save_random(model, to, tmp_path / "out", channels=1)
  if to != "npz":
    config = config_of(saved)
    del config["vit_jax"]
    saved.path.with_name("config.json").write_text(json.dumps(config))
  if to == "timm":
    assert config["model_args"]["in_chans"] == 1
    assert config["pretrained_cfg"]["input_size"] == [1, 32, 32]
    assert config["pretrained_cfg"]["mean"] == [0.5]
  elif to == "hf":
    assert config["num_channels"] == 1
    name = saved.path.with_name("preprocessor_config.json")
    assert json.loads(name.read_text())["image_std"] == [0.5]
  again = checkpoints.load(saved.path)
  files.same(again.params, checkpoint.params)
  # Pictures are decoded to as many channels.
  assert again.preprocess.startswith("decode(channels=1)|")


@pytest.mark.parametrize(
  ("name", "fields", "fixed"),
  [("vit", VIT, True), ("swin", SWIN, True), ("bit", BIT, False)],
)
def test_models_of_timm_that_take_any_size(tmp_path, name, fields, fixed):
  model = models.create(name, **fields)
  _, saved = files.save_random(model, "timm", tmp_path / "out")
  config = config_of(saved)
  assert config["pretrained_cfg"]["fixed_input_size"] is fixed
  assert ("img_size" in config["model_args"]) is fixed


REFUSED = [
  ("swin", SWIN | dict(patch_size=(2, 4)), "timm", r"patch_size=\(2, 4\)"),
  ("swin", SWIN | dict(window_size=(8, 8)), "hf", "a last stage of"),
  ("bit", BIT | dict(root_padding="none"), "timm", "root_padding=none"),
  ("vit", VIT | dict(pre_logits_dim=5), "timm", "pre_logits_dim=5"),
]


@pytest.mark.parametrize(("name", "fields", "to", "why"), REFUSED)
def test_models_that_a_peer_cannot_load(tmp_path, name, fields, to, why):
  model = models.create(name, **fields)
  with pytest.raises(errors.CheckpointError, match=why):
    files.save_random(model, to, tmp_path / "out")


def test_a_norm_of_the_pooled_class_token(tmp_path):
  """timm's fc_norm=True with token pooling, in and out."""
  loaded = checkpoints.load(files.write(tmp_path, "timm_vit_fc_norm_token"))
  config = loaded.model.config
  assert (config.pool, config.norm_at) == ("token", "pooled")
  saved = checkpoints.save(loaded, "timm", tmp_path / "out")
  args = config_of(saved)["model_args"]
  assert (args["global_pool"], args["fc_norm"]) == ("token", True)


def test_no_array_of_ours_is_in_an_npz(tmp_path):
  loaded = checkpoints.load(files.write(tmp_path, "hf_vit"))
  out = tmp_path / "out.npz"
  saved = checkpoints.save(loaded, "npz", out)
  assert saved.notes
  with np.load(out) as arrays:
    assert not [name for name in arrays if "vit_jax" in name]
  own = json.loads((tmp_path / "out.npz.json").read_text())["vit_jax"]
  assert own["model"]["gelu"] == "exact"
  again = checkpoints.load(out)
  assert again.model == loaded.model
  assert again.preprocess == loaded.preprocess
  # The note as it was written earlier, among the arrays.
  (tmp_path / "out.npz.json").unlink()
  with np.load(out) as arrays:
    text = np.frombuffer(json.dumps(own).encode(), np.uint8)
    arrays = {**arrays, "vit_jax": text}
  kind = files.container("vit_token")
  kind.write(out, {k: tensors.from_array(v) for k, v in arrays.items()})
  assert checkpoints.load(out).model == loaded.model


def test_a_file_of_somebody_else_is_left_alone(tmp_path):
  (tmp_path / "a.npz.json").write_text("{}")
  with pytest.raises(errors.ConfigError, match=r"a\.npz\.json"):
    files.save_random(models.create("vit", **VIT), "npz", tmp_path / "a.npz")
  assert (tmp_path / "a.npz.json").read_text() == "{}"


def test_numbers_of_modules_that_every_reader_knows(tmp_path):
  """timm reads the numbers of before Linen alone, the published code both."""
  model = models.create("vit", **VIT)
  checkpoint, saved = files.save_random(model, "npz", tmp_path / "a.npz")
  assert saved.format == "vision_transformer"
  block = "Transformer/encoderblock_1"
  with np.load(saved.path) as arrays:
    names = {x for x in arrays if x.startswith(f"{block}/")}
  assert {x.split("/")[2] for x in names} == {
    *("LayerNorm_0", "LayerNorm_2", "MlpBlock_3"),
    "MultiHeadDotProductAttention_1",
  }
  files.same(checkpoints.load(saved.path).params, checkpoint.params)
