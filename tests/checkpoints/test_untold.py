"""What a file of timm or transformers does not tell is never guessed."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from tests.checkpoints import files
from tests.parity import rule
from vit_jax import checkpoints, models
from vit_jax.checkpoints import base, layouts, safetensors_io, tensors
from vit_jax.checkpoints.layouts import facts, timm_vit, vit_readings
from vit_jax.cli.main import main
from vit_jax.core import errors


def vit_source(width, patch, mlp, depth=12, *, token=True, **kwargs):
  """A file with the tensors of a ViT of timm, at 4 x 4 patches; no data."""
  block = {
    "norm1.weight": (width,), "norm1.bias": (width,),
    "attn.qkv.weight": (3 * width, width), "attn.qkv.bias": (3 * width,),
    "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
    "norm2.weight": (width,), "norm2.bias": (width,),
    "mlp.fc1.weight": (mlp, width), "mlp.fc1.bias": (mlp,),
    "mlp.fc2.weight": (width, mlp), "mlp.fc2.bias": (width,),
  }  # fmt: skip
  shapes = {
    "pos_embed": (1, 16 + token, width),
    "patch_embed.proj.weight": (width, 3, patch, patch),
    "patch_embed.proj.bias": (width,),
    "norm.weight": (width,), "norm.bias": (width,),
    **({"cls_token": (1, 1, width)} if token else {}),
    **{f"blocks.{i}.{k}": v for i in range(depth) for k, v in block.items()},
  }  # fmt: skip
  content = {
    name: tensors.Tensor(
      *(shape, np.dtype("f4"), lambda shape=shape: np.zeros(shape, "f4"))
    )
    for name, shape in shapes.items()
  }
  return base.Source(pathlib.Path("bare.safetensors"), content, **kwargs)


def infer(source):
  layout = next(
    x for x in layouts.named("timm_vit") if type(x) is timm_vit.TimmVit
  )
  return layout.infer(source, None)


def vit_file(folder, *args, **kwargs):
  path = folder / "bare.safetensors"
  safetensors_io.write(path, vit_source(*args, **kwargs).tensors)
  return path


def configured(path, content):
  path.with_name("config.json").write_text(json.dumps(content))
  return path


def refused(path, match, **kwargs):
  with pytest.raises(errors.CheckpointError, match=match) as e:
    checkpoints.load(path, **kwargs)
  assert "\n" not in str(e.value)


def test_one_reading_of_the_shapes_is_assumed_and_told():
  inferred = infer(vit_source(192, 16, 768))
  assert inferred.config.num_heads == 3
  assert inferred.config.gelu == "exact"
  assert any("num_heads=3" in x for x in inferred.assumptions)


def test_several_readings_are_refused_by_name():
  """timm's siglip_gap has 12 heads, its gap_224 has 16; both names are told."""
  with pytest.raises(errors.CheckpointError) as e:
    infer(vit_source(768, 16, 3072, token=False))
  for words in (
    *("vit_base_patch16_siglip_gap_224 has num_heads=12", "num_heads=16"),
    *("vit_base_patch16_gap_224", "--num_heads", "config.json"),
  ):
    assert words in str(e.value)
  source = vit_source(768, 16, 3072, token=False, num_heads=16)
  assert infer(source).config.num_heads == 16


def test_no_reading_is_refused_until_the_caller_says_it(tmp_path):
  """A width of 192 was taken for 3 heads, whatever the depth."""
  path = vit_file(tmp_path, 192, 16, 768, 3)
  refused(path, r"nothing tells num_heads.*--num_heads")
  got = checkpoints.load(path, num_heads=4)
  assert got.model.config.num_heads == 4
  assert any("by default" in x for x in got.report.assumptions)
  model = models.create("vit", **{
    **dict(image_size=(64, 64), patch_size=(16, 16), width=192, depth=3),
    **dict(mlp_dim=768, num_heads=6, num_classes=0),
  })  # fmt: skip
  assert checkpoints.load(path, model=model).model.config.num_heads == 6


def test_the_command_line_says_it(tmp_path, capsys):
  path = vit_file(tmp_path, 192, 16, 768, 1)
  assert main(["inspect", f"--checkpoint={path}"]) == 1
  assert "--num_heads" in capsys.readouterr().err
  assert main(["inspect", f"--checkpoint={path}", "--num_heads=4"]) == 0
  assert "num_heads = 4" in capsys.readouterr().out
  out = f"--out={tmp_path / 'out.npz'}"
  argv = ["convert", f"--checkpoint={path}", "--to=npz", out, "--num_heads=6"]
  assert main(argv) == 0
  config = checkpoints.load(tmp_path / "out.npz").model.config
  assert config.num_heads == 6


def test_heads_of_transformers(tmp_path):
  path = files.write(tmp_path, "hf_vit", config=False)
  refused(path, "nothing tells num_heads")
  got = checkpoints.load(path, num_heads=4)
  assert got.model.config.num_heads == 4
  # The definition of the class tells it too.
  configured(path, {"model_type": "vit"})
  assert checkpoints.load(path).model.config.num_heads == 12


def test_heads_that_contradict_the_file(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  refused(path, "has num_heads=4, not num_heads=3", num_heads=3)
  path = files.write(tmp_path / "npz", "vit_token")
  refused(path, "has num_heads=4, not num_heads=3", num_heads=3)
  loaded = checkpoints.load(path)
  checkpoints.save(loaded, "orbax", tmp_path / "run")
  with pytest.raises(errors.ConfigError, match="num_heads=4 is for files"):
    checkpoints.load(tmp_path / "run", num_heads=4)


def test_a_model_of_other_heads_than_the_config(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  model = checkpoints.load(path).model
  other = model.clone(config=dataclasses.replace(model.config, num_heads=3))
  refused(path, "has num_heads=4, not num_heads=3", model=other)


ARCHITECTURES = {
  # heads were guessed 18, 24, 12 and 1; GELU was taken for exact.
  "vit_so400m_patch14_siglip_gap_224": (16, "exact"),
  "vit_so400m_patch16_siglip_gap_256": (16, "tanh"),
  "vit_giantopt_patch16_siglip_gap_256": (16, "tanh"),
  "vit_base_patch16_gap_224": (16, "exact"),
  "vit_base_patch32_siglip_gap_256": (12, "tanh"),
  "test_vit": (2, "exact"),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_architecture_tells_heads_and_gelu(name):
  args = facts.architectures(vit_readings.CONSTRUCTOR)[name]
  width, token = args["embed_dim"], args["class_token"]
  config = infer(
    vit_source(
      *(width, args["patch_size"], int(width * args["mlp_ratio"])),
      *(args["depth"],),
      token=token,
      side_files={base.CONFIG: {"architecture": f"{name}.tag"}},
    )
  ).config
  assert (config.num_heads, config.gelu) == ARCHITECTURES[name]
  assert config.pool == ("token" if token else "gap")


REFUSED_ARGS = [
  ("timm_vit_gap", {"global_pool": "max"}, "global_pool=max, where only"),
  ("timm_vit_gap", {"global_pool": "avgmax"}, "global_pool=avgmax"),
  ("timm_vit_gap", {"pool_include_prefix": True}, "pool_include_prefix=True"),
  ("timm_vit_token", {"act_layer": "relu"}, "act_layer=relu, where only"),
  ("timm_vit_token", {"act_layer": "quick_gelu"}, "act_layer=quick_gelu"),
  ("timm_vit_token", {"norm_layer": "rmsnorm"}, "norm_layer=rmsnorm"),
  ("timm_vit_token", {"reg_tokens": 4}, "reg_tokens=4"),
  ("timm_vit_token", {"new_arg": 4}, "new_arg=4, which is not understood"),
  ("timm_swin", {"global_pool": "avgmax"}, "global_pool=avgmax"),
  ("timm_swin", {"always_partition": True}, "always_partition=True"),
  ("timm_swin", {"window_size": [4, 2, 2]}, "one for each stage"),
  ("timm_mobilevit_xxs", {"global_pool": "max"}, "global_pool=max"),
  ("timm_mobilevit_xxs", {"act_layer": "relu"}, "act_layer=relu, which is not"),
]


@pytest.mark.parametrize(("name", "args", "match"), REFUSED_ARGS)
def test_arguments_of_timm_that_make_another_model(tmp_path, name, args, match):
  path = files.write(tmp_path, name)
  content = files.hub_config(rule.load(name))
  content["model_args"] |= args
  refused(configured(path, content), match)


@pytest.mark.parametrize(
  ("args", "match"),
  [
    ({"global_pool": "max"}, "global_pool=max"),
    ({"act_layer": "silu"}, "act_layer=silu, where only relu"),
    ({"stem_type": ""}, "stem_type="),
  ],
)
def test_arguments_of_bit(tmp_path, args, match):
  model = models.create(
    *("bit",), image_size=(32, 32), depths=(1, 1), width_factor=0.5,
    num_classes=3, root_padding="zeros", standardization="var + 1e-8",
  )  # fmt: skip
  files.save_random(model, "timm", tmp_path / "out")
  path = tmp_path / "out/model.safetensors"
  content = json.loads(path.with_name("config.json").read_text())
  del content["vit_jax"]
  changed = content["model_args"] | args
  for _ in ("with", "without an architecture"):
    same = checkpoints.load(configured(path, content))
    assert same.model.config == model.config
    refused(configured(path, content | {"model_args": changed}), match)
    content.pop("architecture", None)


def test_a_pooling_outside_of_the_arguments(tmp_path):
  """timm builds the model without it; both readings are named."""
  path = files.write(tmp_path, "timm_vit_token")
  content = files.hub_config(rule.load("timm_vit_token"))
  refused(
    configured(path, {**content, "global_pool": "avg"}),
    "says global_pool=avg, but vit_base_patch16_224 has global_pool=token",
  )
  configured(path, {**content, "global_pool": "token"})
  assert checkpoints.load(path).model.config.pool == "token"


def test_a_pooling_without_an_architecture():
  content = {"global_pool": "avg", "num_classes": 0}
  sizes = (192, 16, 768, 3)
  source = vit_source(*sizes, side_files={base.CONFIG: content}, num_heads=3)
  assert infer(source).config.pool == "patches"
  content["model_args"] = {"num_heads": 6, "global_pool": "token"}
  source = vit_source(*sizes, side_files={base.CONFIG: content})
  assert infer(source).config.pool == "token"
  assert infer(source).config.num_heads == 6


def test_an_architecture_of_another_class(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  for name in ("swin_tiny_patch4_window7_224", "no_such", "eva02_tiny"):
    refused(configured(path, {"architecture": name}), f"architecture={name}")


def test_entries_that_are_not_understood(tmp_path):
  path = files.write(tmp_path, "timm_vit_token")
  content = files.hub_config(rule.load("timm_vit_token"))
  refused(configured(path, content | {"temperature_x": 2}), "temperature_x in")
  hub = {"pretrained_cfg": {"scale_x": 2}}
  refused(configured(path, content | hub), r"pretrained_cfg\.scale_x in its")
  path = files.write(tmp_path, "hf_vit")
  content = files.hub_config(rule.load("hf_vit"))
  refused(configured(path, content | {"attn_scale": 2}), "attn_scale in its")


REFUSED_HF = [
  ("hf_vit", {"model_type": "vit", "hidden_act": "relu"}, "hidden_act=relu"),
  ("hf_vit", {"model_type": "beit"}, "model_type=beit .* is not supported"),
  ("hf_swin", {"hidden_act": "relu"}, "hidden_act=relu"),
  ("hf_swin", {"hidden_act": "gelu_new"}, "hidden_act=gelu_new"),
  ("hf_swin", {"layer_norm_eps": 1e-3}, "layer_norm_eps=0.001"),
]


@pytest.mark.parametrize(("name", "change", "match"), REFUSED_HF)
def test_settings_of_transformers(tmp_path, name, change, match):
  path = files.write(tmp_path, name)
  content = files.hub_config(rule.load(name)) | change
  refused(configured(path, content), match)


def without_head(arrays):
  for name in ("classifier.weight", "classifier.bias"):
    del arrays[name]


def pooler(arrays):
  arrays["vit.pooler.dense.weight"] = np.ones((48, 48), np.float32)
  arrays["vit.pooler.dense.bias"] = np.ones(48, np.float32)


def test_the_pooler_of_transformers(tmp_path):
  def pooled(arrays):
    without_head(arrays)
    pooler(arrays)

  path = files.write(tmp_path, "hf_vit", pooled)
  content = files.hub_config(rule.load("hf_vit"))
  assert checkpoints.load(path).model.config.pre_logits_dim == 48
  refused(configured(path, content | {"pooler_act": "relu"}), "pooler_act=relu")
  # ViTForImageClassification has none, and passes the file's by.
  path = files.write(tmp_path / "both", "hf_vit", pooler)
  got = checkpoints.load(path)
  assert got.model.config.pre_logits_dim == 0
  assert any("pooler" in x for x in got.report.assumptions)


def test_the_epsilon_of_the_class(tmp_path):
  """ViTMSN's is 1e-6; a config.json leaves defaults out."""
  path = files.write(tmp_path, "hf_vit")
  content = files.hub_config(rule.load("hf_vit"))
  for model_type, epsilon in (("vit_msn", 1e-6), ("vit", 1e-12)):
    configured(path, content | {"model_type": model_type})
    assert checkpoints.load(path).model.config.norm_epsilon == epsilon


def test_a_mean_that_big_vision_may_not_take(tmp_path):
  """pool_type "0" and "none" have the tensors of "gap"."""
  got = checkpoints.load(files.write(tmp_path, "bv_gap_scan"))
  assert got.model.config.pool == "gap"
  assert any('pool_type="0"' in x for x in got.report.assumptions)


def test_every_argument_of_timm_is_understood_or_refused():
  """A new release of timm with other arguments fails here, not in silence."""
  for layout in layouts.named("timm"):
    known = {*layout.supported, *layout.free, "img_size", "layers"}
    assert not set(facts.defaults(layout.constructor)) - known, layout
    for args in facts.architectures(layout.constructor).values():
      assert not set(args) - known, layout
