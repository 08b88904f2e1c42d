"""What of a config makes a run, and what differs between two of them."""

import dataclasses
import json

import ml_collections

from vit_jax.core import config as config_lib, identity
from vit_jax.core.duration import Duration


@dataclasses.dataclass(frozen=True)
class Crop:
  size: tuple[int, int] = (224, 224)
  rates: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Runtime:
  workers: int = 0


@dataclasses.dataclass(frozen=True)
class Root:
  seed: int = 0
  length: Duration = Duration(3, "epochs")
  crop: Crop = dataclasses.field(default_factory=Crop)
  runtime: Runtime = dataclasses.field(default_factory=Runtime)


def default():
  return config_lib.to_config_dict(Root())


def test_fingerprint_covers_everything_but_runtime():
  base = identity.fingerprint(default())
  assert len(base) == 64
  config = default()
  config.runtime.workers = 8
  assert identity.fingerprint(config) == base
  for path, value in {
    "seed": 1,
    "crop.size": (224, 225),
    "length": "4 epochs",
  }.items():
    config = default()
    config.update_from_flattened_dict({path: value})
    assert identity.fingerprint(config) != base, path


def test_fingerprint_does_not_depend_on_the_order_of_fields():
  one = ml_collections.ConfigDict({"a": 1, "b": {"c": 2, "d": 3}})
  two = ml_collections.ConfigDict({"b": {"d": 3, "c": 2}, "a": 1})
  assert identity.fingerprint(one) == identity.fingerprint(two)
  assert config_lib.to_json(one) == config_lib.to_json(two)


@dataclasses.dataclass(frozen=True)
class _Inner:
  old: int = 1
  new: tuple[int, ...] = config_lib.added((2, 3))


@dataclasses.dataclass(frozen=True)
class _Outer:
  inner: _Inner = dataclasses.field(default_factory=_Inner)


def test_a_config_on_record_lacks_added_fields():
  config = config_lib.to_config_dict(_Outer())
  earlier = ml_collections.ConfigDict({"inner": {"old": 1}})
  assert config_lib.build(_Outer, earlier) == _Outer()
  added = identity.added_fields(_Outer, config)
  assert added == {"inner.new": [2, 3]}
  same = identity.fingerprint(earlier)
  assert identity.fingerprint(config, added) == same
  assert identity.fingerprint(config) != same
  config.inner.new = (2, 4)
  assert identity.fingerprint(config, added) != same
  assert identity.difference(
    identity.of_run(config, added), identity.of_run(earlier, added)
  ) == ["inner.new: '(absent)' -> [2, 4]"]


def test_identity_survives_json():
  config = default()
  config.crop.rates = (("head", 0.5),)
  ours = identity.of_run(config)
  assert ours["crop.size"] == [224, 224]
  assert "runtime.workers" not in ours
  assert identity.difference(ours, json.loads(json.dumps(ours))) == []


def test_difference_shows_both_values_of_each_leaf():
  ours = {"a": 1, "b": [2], "new": "x"}
  theirs = {"a": 1, "b": [3], "old": 0.5}
  assert identity.difference(ours, theirs) == [
    "b: [3] -> [2]",
    "new: '(absent)' -> 'x'",
    "old: 0.5 -> '(absent)'",
  ]
