"""What is no file of weights for here is named, with what to do about it."""

import pickle

import numpy as np
import pytest

from tests.checkpoints import files
from vit_jax import checkpoints, models
from vit_jax.core import errors

POINTER = (
  b"version https://git-lfs.github.com/spec/v1\n"
  b"oid sha256:0123456789abcdef\nsize 343223968\n"
)
FILES = [
  ("model.safetensors", POINTER, r"git-lfs pointer.*git lfs pull"),
  ("weights.npz", POINTER, r"git-lfs pointer.*git lfs pull"),
  ("model.safetensors.index.json", POINTER, "git-lfs pointer"),
  ("pytorch_model.bin", pickle.dumps({"a": 1}), "pickle of PyTorch.*convert"),
  ("model.pth", pickle.dumps([1], protocol=2), "pickle of PyTorch.*convert"),
  ("model.safetensors", pickle.dumps({"a": 1}), "pickle of PyTorch.*convert"),
  ("flax_model.msgpack", b"\x81\xa1a", "msgpack file of Flax.*save_pretrained"),
  ("tf_model.h5", b"\x89HDF\r\n\x1a\n", "file of Keras"),
  ("model.onnx", b"\x08\x07", "is a graph"),
]


def refused(path, match, **kwargs):
  with pytest.raises(errors.CheckpointError, match=match) as e:
    checkpoints.load(path, **kwargs)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize(("name", "data", "match"), FILES)
def test_files_that_are_not_read(tmp_path, name, data, match):
  (tmp_path / name).write_bytes(data)
  refused(tmp_path / name, match)
  refused(tmp_path, match)


def test_a_pickle_is_not_run(tmp_path):
  class Evil:
    def __reduce__(self):
      return (pytest.fail, ("code of a file was run",))

  (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
  refused(tmp_path, "pickle of PyTorch")


def test_a_config_that_is_a_pointer(tmp_path):
  path = files.write(tmp_path, "hf_vit")
  path.with_name("config.json").write_bytes(POINTER)
  refused(path, "git-lfs pointer")


TOKEN = np.zeros((1, 1, 48), np.float32)
TENSORS = [
  ("timm_vit_token", "dist_token", TOKEN, "DeiT's token"),
  ("timm_vit_token", "reg_token", TOKEN, "register tokens"),
  ("timm_vit_token", "norm_pre.weight", TOKEN[0, 0], "as in CLIP"),
  ("timm_vit_token", "attn_pool.latent", TOKEN, "attention pooling"),
  ("timm_vit_token", "decoder_pred.bias", TOKEN, "masked autoencoder"),
  ("timm_vit_token", "blocks.0.attn.q_norm.weight", TOKEN, "norm of queries"),
  ("hf_vit", "vit.embeddings.distillation_token", TOKEN, "DeiT's token"),
  ("hf_vit", "vit.embeddings.register_tokens", TOKEN, "register tokens"),
  ("hf_vit", "vit.embeddings.detection_tokens", TOKEN, "YOLOS"),
  ("hf_vit", "vit.layers.0.layer_scale1.lambda1", TOKEN, "layer scale"),
]


@pytest.mark.parametrize(("name", "tensor", "value", "match"), TENSORS)
def test_tensors_of_other_models(tmp_path, name, tensor, value, match):
  def add(arrays):
    arrays[tensor] = value

  refused(files.write(tmp_path, name, add), f"has {tensor}: .*{match}")


def test_a_vit_of_transformers_without_a_class_token(tmp_path):
  def ijepa(arrays):
    del arrays["vit.embeddings.cls_token"]

  refused(files.write(tmp_path, "hf_vit", ijepa), "no vit.embeddings.cls_token")


def model(**fields):
  sizes = dict(
    image_size=(32, 32), patch_size=(8, 8), width=48, depth=3, mlp_dim=96,
    num_heads=4, num_classes=10,
  )  # fmt: skip
  return models.create("vit", **sizes | fields)


@pytest.mark.parametrize(
  ("name", "pool", "match"),
  [
    ("vit_token", "gap", r"a class token \(cls\).*pool=gap.*token or patches"),
    ("hf_vit", "gap", "a class token .*set its pool to token or patches"),
    ("bv_gap_scan", "token", r"no class token \(cls\).*set its pool to gap"),
  ],
)
def test_a_pooling_that_the_weights_do_not_have(tmp_path, name, pool, match):
  refused(files.write(tmp_path, name), match, model=model(pool=pool))


def test_positions_of_more_tokens(tmp_path):
  """Resolution is no remedy for tokens that no model here has."""

  def add(arrays):
    table = arrays["pos_embed"]
    arrays["pos_embed"] = np.concatenate([table, table[:, :1]], axis=1)

  path = files.write(tmp_path, "timm_vit_token", add)
  for kwargs in ({}, {"resolution": 40}):
    refused(path, "one of 4 x 4 and 1 more, of tokens that no model", **kwargs)


def test_a_grid_that_a_given_size_does_not_have(tmp_path):
  def cut(arrays):
    arrays["pos_embed"] = arrays["pos_embed"][:, :13]

  path = files.write(tmp_path, "timm_vit_token", cut)
  refused(path, r"nor the grid of images of \(40, 40\)", resolution=40)
  assert checkpoints.load(path, resolution=(24, 32)).model.config.grid == (3, 4)
