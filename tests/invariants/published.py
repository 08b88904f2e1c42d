"""Training configs of published code bases, translated into ours.

Every field of theirs is used or refused; none is ignored.
"""

import re

from tests.invariants import hand_names
from vit_jax.core import config as config_lib, parts
from vit_jax.train import experiment as experiment_lib

# Their name of an optimiser -> our file, our field -> their argument, and
# what their default is where it is not ours.
_SGD = dict(nesterov="nesterov")
OPTIMISERS = {
  "scale_by_adam": (
    "adamw",
    dict(b1="b1", b2="b2", eps="eps", mu_dtype="mu_dtype"),
    {},
  ),
  "big_vision.scale_by_adafactor": (
    "adafactor",
    dict(
      b1="momentum",
      mu_dtype="dtype_momentum",
      decay_rate="decay_rate",
      b2_cap="beta2_cap",
      eps="eps",
      min_factored_dim="min_dim_size_to_factor",
      clip_rms="clipping_threshold",
    ),
    {},
  ),
  "big_vision.momentum_hp": (
    "sgd",
    dict(_SGD, momentum="momentum", accumulator_dtype="dtype"),
    {"accumulator_dtype": "bfloat16"},
  ),
  "trace": (
    "sgd",
    dict(_SGD, momentum="decay", accumulator_dtype="accumulator_dtype"),
    {},
  ),
  "big_vision.sgd": ("sgd", {}, {"momentum": 0.0}),
  "identity": ("sgd", {}, {"momentum": 0.0}),
}


class _Fields:
  """Fields that each have to be taken before the block ends."""

  def __init__(self, values):
    self.left = dict(values)

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    assert kind or not self.left, f"without a translation: {self.left}"

  def take(self, name, *default):
    return self.left.pop(name, *default)

  def taken(self, **names):
    """{our name: value} of those that are given."""
    return {n: self.take(m) for n, m in names.items() if m in self.left}

  def length(self, name, default="0 steps"):
    """Our text of a length that is given in one of several units."""
    if f"{name}_percent" in self.left:
      return f"{100 * self.take(f'{name}_percent')} %"
    for unit in ("steps", "epochs", "examples"):
      if f"{name}_{unit}" in self.left:
        return f"{self.take(f'{name}_{unit}')} {unit}"
    return default


def our_layer_name(name):
  """Our name of a published parameter; of its layer where we stack it."""
  block = re.fullmatch(r"Transformer/encoderblock_(\d+)/(.*)", name)
  if not block:
    return hand_names.our_name(name)
  ours = hand_names.our_name(f"Transformer/encoderblock/{block[2]}")
  return ours.replace("blocks/", f"blocks/{block[1]}/", 1)


def by_name(patterns, names):
  """(regex, value) of theirs to (our name, value); the first match wins."""
  out = []
  for name in names:
    values = [v for p, v in patterns if re.fullmatch(p.rstrip("$"), name)]
    out += [(re.escape(our_layer_name(name)), value) for value in values[:1]]
  return out


def schedule(theirs):
  """Our fields of a schedule of big_vision."""
  with _Fields(theirs) as fields:
    decay = fields.take("decay_type", "stair")
    ours = {name: fields.length(name) for name in ("warmup", "cooldown")}
    if decay == "stair":
      starts = [f"{step} steps" for step in fields.take("steps", ())]
      stairs = tuple(zip(starts, fields.take("mults", ()), strict=True))
      ours |= {"decay": "stairs", "stairs": stairs} if stairs else {}
      ours.setdefault("decay", "constant")
    elif decay == "rsqrt":
      scale = f"{fields.take('timescale', 10_000)} steps"
      scale = fields.length("timescale", scale)
      shift = f"{fields.take('shift', 0)} steps"
      ours |= {"decay": "rsqrt", "timescale": scale, "shift": shift}
    elif decay == "cosine":
      ours["decay"] = decay
    else:
      assert decay in ("linear", "polynomial"), decay
      end = fields.take("end", fields.take("linear_end", 0.0))
      power = fields.take("power", 1.0)
      ours |= {"decay": "linear", "end_value": end, "power": power}
  return ours


def _big_vision(theirs, fixture):
  """Our fields for a config of big_vision's `optax.make`."""
  names = fixture["params"]
  with _Fields(theirs) as fields:
    name, ours_of_theirs, defaults = OPTIMISERS[fields.take("optax_name")]
    with _Fields(fields.take("optax", {})) as rule:
      ours = {"name": name, **defaults, **rule.taken(**ours_of_theirs)}
    schedules = fields.take("schedule")
    if isinstance(schedules, dict):
      schedules = [[".*", schedules]]
    (sched,) = [dict(value) for _, value in schedules if value is not None]
    patterns = by_name(schedules, names)
    ours["frozen"] = [n for n, value in patterns if value is None]
    size = fixture["batch"]["size"]
    scale = size / 256 if sched.pop("scale_with_batchsize", False) else 1.0
    ours["schedule"] = schedule(sched)
    ours["peak_lr"] = fields.take("lr") * scale
    ours["clip_norm"] = fields.take("grad_clip_norm", None) or 0.0
    ours["weight_decay"] = (fields.take("wd", None) or 0.0) * scale
    ours["weight_decay_scaling"] = "schedule"
    decays = by_name(fields.take("wd_mults", [[".*/kernel$", 1.0]]), names)
    decays = [(name, value) for name, value in decays if value]
    if ours["weight_decay"]:
      ours["weight_decay_mask"] = [name for name, _ in decays]
      ours["weight_decay_multipliers"] = decays
    ours["lr_multipliers"] = by_name(fields.take("lr_mults", []), names)
  return ours


def _vision_transformer(theirs, fixture):
  """Our fields for fine-tuning by google-research's vision_transformer."""
  with _Fields(theirs) as fields:
    assert fields.take("total_steps") == fixture["steps"]
    peak, decay = fields.take("base_lr"), fields.take("decay")
    ours = {
      "name": fields.take("name"),
      "peak_lr": peak,
      "clip_norm": fields.take("clip"),
      "schedule": {"decay": decay, "warmup": fields.length("warmup")},
      **fields.taken(
        momentum="momentum", accumulator_dtype="accumulator_dtype"
      ),
    }
    end = fields.take("linear_end", 1e-5)
    if decay == "linear":
      ours["schedule"]["end_value"] = end / peak
  return ours


def model(fixture):
  """Our model config, made from theirs as the parity tests make it."""
  batch, source = fixture["batch"], fixture["source"]
  theirs = {"resolution": batch["resolution"], "num_classes": batch["classes"]}
  with _Fields(fixture["config"]["model"]) as fields:
    if "big_vision" in source:
      theirs |= fields.taken(
        **{n: n for n in ("width", "depth", "mlp_dim", "num_heads")},
        **{n: n for n in ("pool_type", "posemb", "rep_size")},
      )
      theirs["patch_size"] = [fields.take("patch_size")] * 2
    else:
      theirs |= fields.taken(
        hidden_size="hidden_size",
        classifier="classifier",
        representation_size="representation_size",
      )
      theirs["patches"] = {"size": [fields.take("patches")] * 2}
      theirs["transformer"] = fields.taken(
        num_layers="num_layers", mlp_dim="mlp_dim", num_heads="num_heads"
      )
    for name in ("dropout", "dropout_rate", "attention_dropout_rate"):
      assert not fields.take(name, 0.0), "dropout draws other numbers"
  return hand_names.our_config({"config": theirs, "source": source})


def experiment(fixture, **runtime):
  """The Experiment of a fixture of `fixtures/train_*.json`."""
  batch, theirs = fixture["batch"], fixture["config"]
  c = config_lib.to_config_dict(experiment_lib.Experiment())
  with _Fields(theirs) as fields:
    fields.take("model")
    loss = fields.take("loss").removesuffix("_xent")
    if "optax" in theirs:
      optim = _big_vision(fields.take("optax"), fixture)
    else:
      optim = _vision_transformer(fields.take("optim"), fixture)
  c.duration = f"{fixture['steps']} steps"
  c.model = {"name": "vit", **config_lib.to_config_dict(model(fixture))}
  c.task.loss = loss
  c.optim = _complete(optim)
  side, size = batch["resolution"], batch["size"]
  c.data.batch_size = size
  # Of the size of a run, so that epochs mean the same; no op on the device.
  examples = size * fixture["steps"]
  c.data.train.name = f"synthetic:{examples}x{side}x{side}x3x{batch['classes']}"
  c.data.train.preprocess = f"resize({side})"
  c.runtime.update(runtime)
  return config_lib.build(experiment_lib.Experiment, c)


def _complete(optim):
  """All fields of an optimiser, from some."""
  module = parts.find("vit_jax.optim", optim["name"])
  fields = config_lib.to_config_dict(module.Config())
  fields.update(optim)
  return fields
