"""Writes what timm and transformers define their models by; no JAX.

  python tests/parity/make_facts.py

The result is vit_jax/checkpoints/layouts/facts.json. The project depends on
neither of the two: an environment with torch, timm and transformers is made
apart, for instance once for each of their releases.
"""

import dataclasses
import functools
import inspect
import json
import pathlib

import timm
from timm.models import (
  _pretrained,
  _registry,
  byobnet,
  resnetv2,
  swin_transformer,
  vision_transformer,
)
import torch
import transformers

OUT = pathlib.Path(__file__).parents[2] / "vit_jax/checkpoints/layouts"
MODULES = (
  *("vision_transformer", "vision_transformer_hybrid", "deit"),
  *("swin_transformer", "resnetv2", "mobilevit"),
)
CONSTRUCTORS = (
  vision_transformer.VisionTransformer,
  swin_transformer.SwinTransformer,
  resnetv2.ResNetV2,
  byobnet.ByobNet,
)
# Decided by whoever makes a model, or by the weights.
LEFT_OUT = ("num_classes", "in_chans", "weight_init", "device", "dtype", "cfg")
CONFIGS = {
  "vit": transformers.ViTConfig,
  "vit_mae": transformers.ViTMAEConfig,
  "vit_msn": transformers.ViTMSNConfig,
  "dpt": transformers.DPTConfig,
  "swin": transformers.SwinConfig,
}
# Keys that the base class of version 4 wrote into every config.json.
OLD_KEYS = """
_commit_hash _name_or_path add_cross_attention attn_implementation auto_map
bad_words_ids begin_suppress_tokens bos_token_id cross_attention_hidden_size
decoder_start_token_id diversity_penalty do_sample early_stopping
encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty
finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing
is_decoder is_encoder_decoder length_penalty max_length min_length
no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences
output_scores pad_token_id path_norm prefix problem_type remove_invalid_values
repetition_penalty return_dict_in_generate sep_token_id suppress_tokens
task_specific_params temperature tf_legacy_loss tie_encoder_decoder
tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript
typical_p use_bfloat16
"""


def plain(value):
  """The value as JSON; classes by name, in lower case, with their epsilon."""
  if isinstance(value, functools.partial):
    words = {k: plain(v) for k, v in value.keywords.items()}
    if isinstance(words.get("eps"), float):
      return f"{plain(value.func)}(eps={words['eps']:g})"
    return plain(value.func)
  if inspect.isclass(value) or inspect.isfunction(value):
    return value.__name__.lower()
  if isinstance(value, (list, tuple)):
    return [plain(x) for x in value]
  return value


def recorded():
  """Has each model note the arguments that it is made with; the defaults."""

  def record(cls):
    constructor = cls.__init__
    signature = inspect.signature(constructor)

    def init(self, *args, **kwargs):
      bound = dict(signature.bind(self, *args, **kwargs).arguments)
      bound.pop("self")
      self.__dict__.setdefault("made_with", bound | bound.pop("kwargs", {}))
      constructor(self, *args, **kwargs)

    cls.__init__ = init
    return {
      name: plain(p.default)
      for name, p in signature.parameters.items()
      if p.default is not p.empty and name not in LEFT_OUT
    }

  return {cls.__name__: record(cls) for cls in CONSTRUCTORS}


def of_timm():
  defaults = recorded()
  architectures = {}
  for module in MODULES:
    for name in timm.list_models(module=module):
      with torch.device("meta"):
        model = timm.create_model(name)
      cls = next(
        x.__name__ for x in type(model).__mro__ if x.__name__ in defaults
      )
      args = {k: plain(v) for k, v in model.made_with.items()}
      args = {
        k: v
        for k, v in args.items()
        if k not in LEFT_OUT and v != defaults[cls].get(k)
      }
      if type(model).__name__ != cls:
        args["class"] = type(model).__name__
      architectures[name] = [cls, args]
  renamed = {
    old: new.partition(".")[0]
    for old, new in _registry._deprecated_models.items()
    if new and new.partition(".")[0] in architectures
  }
  keys = [field.name for field in dataclasses.fields(_pretrained.PretrainedCfg)]
  return {
    "version": timm.__version__,
    "pretrained_cfg": keys,
    "defaults": defaults,
    "renamed": dict(sorted(renamed.items())),
    "architectures": dict(sorted(architectures.items())),
  }


def of_transformers():
  common = {*transformers.PretrainedConfig().to_dict(), *OLD_KEYS.split()}
  configs = {}
  for model_type, cls in CONFIGS.items():
    content = cls().to_dict()
    configs[model_type] = {
      key: value
      for key, value in sorted(content.items())
      if key not in common and not isinstance(value, dict)
    }
  return {
    "version": transformers.__version__,
    "common": sorted(common),
    "configs": configs,
  }


def lines(value, depth=3, indent=""):
  """JSON with one line for each entry of the inner tables."""
  if not depth or not isinstance(value, dict):
    return json.dumps(value)
  inner = indent + " "
  entries = (
    f"{inner}{json.dumps(k)}: {lines(v, depth - 1, inner)}"
    for k, v in value.items()
  )
  return "{\n" + ",\n".join(entries) + "\n" + indent + "}"


if __name__ == "__main__":
  facts = {"timm": of_timm(), "transformers": of_transformers()}
  (OUT / "facts.json").write_text(lines(facts) + "\n")
  print(OUT / "facts.json", (OUT / "facts.json").stat().st_size)
