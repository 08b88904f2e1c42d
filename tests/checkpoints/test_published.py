"""What a file is, and what becomes of it, from its contents alone."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints, models
from vit_jax.checkpoints import npz, tensors
from vit_jax.core import errors


def renamed(arrays, *pairs):
  for name in list(arrays):
    new = name
    for pattern, replacement in pairs:
      new = re.sub(pattern, replacement, new)
    arrays[new] = arrays.pop(name)


def write(path, arrays, how=npz):
  how.write(path, {k: tensors.from_array(v) for k, v in arrays.items()})
  return path


def test_the_config_is_inferred(tmp_path):
  config = checkpoints.load(files.write(tmp_path, "vit_token")).model.config
  theirs = rule.load("vit_token")["config"]
  assert config.width == theirs["hidden_size"]
  assert config.depth == theirs["transformer"]["num_layers"]
  assert config.mlp_dim == theirs["transformer"]["mlp_dim"]
  assert config.num_heads == theirs["transformer"]["num_heads"]
  assert config.patch_size == tuple(theirs["patches"]["size"])
  assert config.image_size == (theirs["resolution"],) * 2
  assert config.num_classes == theirs["num_classes"]


def test_module_numbers_of_before_linen(tmp_path):
  def old(arrays):
    renamed(
      arrays,
      (r"MultiHeadDotProductAttention_0", "MultiHeadDotProductAttention_1"),
      (r"LayerNorm_1", "LayerNorm_2"),
      (r"MlpBlock_0", "MlpBlock_3"),
    )

  new = checkpoints.load(files.write(tmp_path, "vit_token"))
  old = checkpoints.load(files.write(tmp_path / "old", "vit_token", old))
  files.same(new.params, old.params)
  assert any("MlpBlock_3" in name for name in old.report.used)


def test_a_whole_training_state(tmp_path):
  def state(arrays):
    renamed(arrays, (r"^", "params/"))
    arrays["opt/0/count"] = np.zeros((), np.int64)

  got = checkpoints.load(files.write(tmp_path / "a", "bv_gap_scan", state))
  files.same(
    got.params, checkpoints.load(files.write(tmp_path, "bv_gap_scan")).params
  )
  assert got.report.ignored == ("opt/0/count",)


def test_attention_pooling_that_is_no_module_of_its_own(tmp_path):
  def old(arrays):
    renamed(arrays, (r"^MAPHead_0/", ""))

  got = checkpoints.load(files.write(tmp_path / "a", "bv_map_learn", old))
  assert got.model.config.pool == "map"
  files.same(
    got.params, checkpoints.load(files.write(tmp_path, "bv_map_learn")).params
  )


def test_a_class_token_with_a_position(tmp_path):
  def with_position(arrays):
    table = arrays["pos_embedding"]
    arrays["pos_embedding"] = np.concatenate([table[:, :1], table], axis=1)

  got = checkpoints.load(files.write(tmp_path, "bv_tok_learn", with_position))
  assert got.model.config.class_token_position
  assert got.params["posemb"]["table"].shape == (17, 48)


def test_no_position_embeddings_are_sines(tmp_path):
  got = checkpoints.load(files.write(tmp_path, "bv_gap_sincos"), resolution=32)
  assert got.model.config.posemb == "sincos_2d"
  assert any("sincos_2d" in x for x in got.report.assumptions)


def test_group_norms_of_four_axes(tmp_path):
  def old(arrays):
    for name in arrays:
      if re.search(r"gn(\d|_root|_proj)/", name):
        arrays[name] = arrays[name].reshape(1, 1, 1, -1)

  got = checkpoints.load(files.write(tmp_path / "a", "hybrid_r_b11", old))
  files.same(
    got.params, checkpoints.load(files.write(tmp_path, "hybrid_r_b11")).params
  )


def first_release(arrays):
  """BiT's names in the files of big_transfer, written down by hand."""
  parts = {"1": "a", "2": "b", "3": "c"}
  for name in list(arrays):
    value = arrays.pop(name)
    unit = re.match(r"(block\d/unit\d\d)/(\w+?)(\d|_proj)/(\w+)$", name)
    if unit and unit[3] == "_proj":
      new = f"resnet/{unit[1]}/a/proj/standardized_conv2d/kernel"
    elif unit and unit[2] == "conv":
      # Some files number these.
      new = f"resnet/{unit[1]}/{parts[unit[3]]}/standardized_conv2d_7/kernel"
    elif unit:
      end = {"scale": "gamma", "bias": "beta"}[unit[4]]
      new = f"resnet/{unit[1]}/{parts[unit[3]]}/group_norm/{end}"
    else:
      new = {
        "root_block/conv_root/kernel": (
          "resnet/root_block/standardized_conv2d/kernel"
        ),
        "norm-pre-head/scale": "resnet/group_norm/gamma",
        "norm-pre-head/bias": "resnet/group_norm/beta",
        "head/kernel": "resnet/head/conv2d/kernel",
        "head/bias": "resnet/head/conv2d/bias",
      }[name]
    if "group_norm" in new:
      value = value.reshape(-1)
    if new == "resnet/head/conv2d/kernel":
      value = value[None, None]
    arrays[new] = value


def test_bit_of_the_first_release(tmp_path):
  got = checkpoints.load(
    files.write(tmp_path / "a", "bit_r1211_x05", first_release)
  )
  assert got.source_format == "bit_first_release"
  assert got.model.config.root_padding == "zeros"
  new = checkpoints.load(files.write(tmp_path, "bit_r1211_x05"))
  files.same(got.params, new.params)
  assert got.model.config.depths == new.model.config.depths == (1, 2, 1, 1)


# transformers 4's names, which the files of the hub have.
OLD_VIT = (
  (r"vit\.layers\.", "vit.encoder.layer."),
  (r"attention\.q_proj", "attention.attention.query"),
  (r"attention\.k_proj", "attention.attention.key"),
  (r"attention\.v_proj", "attention.attention.value"),
  (r"attention\.o_proj", "attention.output.dense"),
  (r"mlp\.fc1", "intermediate.dense"),
  (r"mlp\.fc2", "output.dense"),
)
OLD_SWIN = (
  (r"attention\.q_proj", "attention.self.query"),
  (r"attention\.k_proj", "attention.self.key"),
  (r"attention\.v_proj", "attention.self.value"),
  (r"attention\.o_proj", "attention.output.dense"),
  (r"attention\.relative_position_bias\.rel", "attention.self.rel"),
  (r"mlp\.fc1", "intermediate.dense"),
  (r"mlp\.fc2", "output.dense"),
)


@pytest.mark.parametrize(
  ("name", "pairs"), [("hf_vit", OLD_VIT), ("hf_swin", OLD_SWIN)]
)
def test_names_of_transformers_4(tmp_path, name, pairs):
  def old(arrays):
    renamed(arrays, *pairs)

  got = checkpoints.load(files.write(tmp_path / "a", name, old))
  files.same(got.params, checkpoints.load(files.write(tmp_path, name)).params)


def test_vit_model_with_a_pooler(tmp_path):
  def base(arrays):
    renamed(arrays, (r"^vit\.", ""))
    del arrays["classifier.weight"], arrays["classifier.bias"]
    arrays["pooler.dense.weight"] = np.eye(48, dtype=np.float32)
    arrays["pooler.dense.bias"] = np.ones(48, np.float32)

  got = checkpoints.load(files.write(tmp_path, "hf_vit", base))
  assert got.model.config.num_classes == 0
  assert got.model.config.pre_logits_dim == 48


@pytest.mark.parametrize("name", ["timm_swin", "timm_mobilevit_xxs", "hf_swin"])
def test_buffers_are_ignored_and_listed(tmp_path, name):
  buffers = {
    "timm_swin": "layers.0.blocks.1.attn_mask",
    "timm_mobilevit_xxs": "stem.bn.num_batches_tracked",
    "hf_swin": (
      "swin.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    ),
  }

  def more(arrays):
    arrays[buffers[name]] = np.zeros(4, np.int64)

  got = checkpoints.load(files.write(tmp_path, name, more))
  assert got.report.ignored == (buffers[name],)


@pytest.mark.parametrize(
  ("dtype", "shown"), [(np.float16, "float16"), (jnp.bfloat16, "bfloat16")]
)
@pytest.mark.parametrize("name", ["timm_vit_token", "vit_token"])
def test_half_precision_is_read_and_reported(tmp_path, name, dtype, shown):
  def half(arrays):
    for key, value in arrays.items():
      arrays[key] = np.asarray(value.astype(dtype))

  got = checkpoints.load(files.write(tmp_path, name, half))
  kernel = got.params["head"]["kernel"]
  assert kernel.dtype == np.float32
  key = "head.weight" if name.startswith("timm") else "head/kernel"
  theirs = rule.params(rule.load(name))[key].astype(dtype).astype(np.float32)
  ours = kernel.T if name.startswith("timm") else kernel
  np.testing.assert_array_equal(ours, theirs)
  assert any(shown in x for x in got.report.assumptions)


SPOILT = {
  "vit_token": ("Transformer/encoderblock_1/LayerNorm_0/scale", "head/kernel"),
  "bv_gap_scan": ("Transformer/encoder_norm/bias", "head/kernel"),
  "bit_r1211_x05": ("block2/unit02/gn1/scale", "head/kernel"),
  "hybrid_r_b11": ("block1/unit1/gn_proj/bias", "head/kernel"),
  "timm_vit_token": ("blocks.2.attn.qkv.bias", "head.weight"),
  "timm_swin": ("layers.1.downsample.norm.weight", "head.fc.weight"),
  "timm_mobilevit_xxs": ("stem.bn.running_var", "head.fc.weight"),
  "hf_vit": ("vit.layers.0.attention.k_proj.bias", "classifier.weight"),
  "hf_swin": ("swin.embeddings.norm.bias", "classifier.weight"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_missing_extra_and_wrong_tensors_are_all_told(tmp_path, name):
  gone, wrong = SPOILT[name]

  def spoil(arrays):
    arrays[gone + "x"] = arrays.pop(gone)
    arrays[wrong] = arrays[wrong][..., :-1, :]
    arrays["unheard_of"] = np.zeros(3, np.float32)

  path = files.write(tmp_path, name, spoil)
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(path)
  text = str(e.value)
  assert "\n" not in text
  assert f"1 missing: {gone} (nearest: {gone}x)" in text
  assert f"{gone}x (nearest: {gone})" in text
  assert "unheard_of" in text
  assert f"1 of another shape: {wrong}" in text


def test_a_given_model_says_what_shapes_do_not(tmp_path):
  path = files.write(tmp_path, "timm_vit_token", config=False)
  config = dict(
    image_size=(32, 32), patch_size=(8, 8), width=48, depth=3, mlp_dim=192,
    num_heads=4, gelu="tanh",
  )  # fmt: skip
  model = models.create("vit", num_classes=10, **config)
  got = checkpoints.load(path, model=model)
  assert got.model.config == model.config
  assert got.params["blocks"]["attention"]["query"]["kernel"].shape == (
    *(3, 48, 4, 12),
  )
  # timm's GELU is another one, which is told.
  assert any("gelu=tanh" in x for x in got.report.assumptions)


def test_a_model_of_another_kind(tmp_path):
  path = files.write(tmp_path, "vit_token")
  with pytest.raises(errors.CheckpointError, match=r"holds a vit .*is a swin"):
    checkpoints.load(path, model=models.create("swin", variant="T"))


def test_a_grid_that_is_no_square(tmp_path):
  def cut(arrays):
    name = "Transformer/posembed_input/pos_embedding"
    arrays[name] = arrays[name][:, :13]

  path = files.write(tmp_path, "vit_token", cut)
  with pytest.raises(
    errors.CheckpointError, match=r"12 .* do not form a square grid"
  ):
    checkpoints.load(path)
  got = checkpoints.load(path, resolution=(24, 32))
  assert got.model.config.grid == (3, 4)
  assert not got.report.resized


def test_names_of_no_known_layout(tmp_path):
  path = write(tmp_path / "x", {"foo/kernel": np.zeros(3, np.float32)})
  with pytest.raises(errors.CheckpointError, match="foo/kernel, are not of"):
    checkpoints.load(path)


HOSTILE_CONFIGS = [
  '{"num_attention_heads": "many"}',
  '{"num_attention_heads": 7}',
  '{"layer_norm_eps": -1}',
  '{"hidden_act": "relu"}',
  '{"hidden_act": ["gelu"]}',
  '{"vit_jax": 3}',
  '{"vit_jax": {"model": {"width": 10}}}',
  "[1, 2]",
  "{",
  '{"a":' * 50_000,
]


@pytest.mark.parametrize("text", HOSTILE_CONFIGS)
def test_a_config_that_makes_no_sense(tmp_path, text):
  path = files.write(tmp_path, "hf_vit")
  path.with_name("config.json").write_text(text)
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(path)
  assert "\n" not in str(e.value)


def test_a_block_of_a_huge_number(tmp_path):
  def far(arrays):
    renamed(arrays, (r"^blocks\.2\.", "blocks.999999999."))

  path = files.write(tmp_path, "timm_vit_token", far)
  with pytest.raises(errors.CheckpointError, match=r"blocks\.999999999"):
    checkpoints.load(path)


def test_windows_of_a_huge_size(tmp_path):
  path = files.write(tmp_path, "timm_swin")
  text = {"model_args": {"window_size": 1 << 20}}
  path.with_name("config.json").write_text(json.dumps(text))
  with pytest.raises(errors.CheckpointError, match="windows of"):
    checkpoints.load(path)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_preprocessing_and_labels_of_timm(tmp_path, method):
  path = files.write(tmp_path, "timm_vit_token")
  hub = files.hub_config(rule.load("timm_vit_token"))
  names = [f"n{i}" for i in range(10)]
  hub |= {"label_names": names, "pretrained_cfg": dict(
    input_size=[3, 32, 32], crop_pct=0.875, interpolation=method,
    mean=[0.4, 0.5, 0.6], std=[0.5, 0.5, 0.25],
  )}  # fmt: skip
  path.with_name("config.json").write_text(json.dumps(hub))
  got = checkpoints.load(path)
  assert got.preprocess == (
    f"decode|resize_keep_ratio(36, method='pillow_{method}')"
    "|central_crop(32, rounding='nearest')"
    "|normalise((0.4, 0.5, 0.6), (0.5, 0.5, 0.25))"
  )
  assert got.labels == tuple(names)
  # A new head has other classes.
  assert checkpoints.load(path, num_classes=3).labels == ()


def test_preprocessing_and_labels_of_transformers(tmp_path):
  path = files.write(tmp_path, "hf_vit")
  said = rule.load("hf_vit")["config"] | {"hidden_act": "gelu"}
  said["id2label"] = {str(i): f"class {i}" for i in range(10)}
  path.with_name("config.json").write_text(json.dumps(said))
  path.with_name("preprocessor_config.json").write_text(
    json.dumps(
      dict(
        size={"shortest_edge": 40},
        do_center_crop=True,
        image_mean=[0, 0, 0],
        image_std=[1, 1, 1],
        resample=2,
      )
    )
  )
  got = checkpoints.load(path)
  assert got.labels[3] == "class 3"
  assert got.preprocess == (
    "decode|resize_keep_ratio(40, method='pillow_bilinear')"
    "|central_crop(32)|value_range(0.0, 1.0)"
  )
  assert not got.report.assumptions


def test_preprocessing_of_the_published_npz(tmp_path):
  got = checkpoints.load(files.write(tmp_path, "vit_token"))
  assert got.preprocess == "decode|resize(32)|value_range(-1.0, 1.0)"
