"""Every stage is timed, of every source, and the slowest is named."""

import time

import numpy as np
import pytest

from tests.data import trees
from vit_jax.cli import main
from vit_jax.core import errors
from vit_jax.data import benchmark
from vit_jax.preprocess.pipeline import Pipeline

OPS = "decode|inception_crop(8)|flip_lr|keep('image', 'label')"


def quick(preprocess, **kwargs):
  return benchmark.Options(
    preprocess=Pipeline.parse(preprocess), batch_size=4, seconds=0, **kwargs
  )


@pytest.mark.parametrize("kind", ["digits", "folder", "mix", "synthetic"])
def test_stages_of_every_source(kind, digits_dir, tmp_path):
  trees.classes(tmp_path / "a", {"ant": 5, "bee": 4})
  name = {
    "digits": "tfds:digits",
    "folder": f"folder:{tmp_path / 'a'}",
    "mix": f"mix:1*folder:{tmp_path / 'a'}+3*folder:{tmp_path / 'a'}",
    "synthetic": "synthetic:20x8x8x3x5",
  }[kind]
  facts = benchmark.benchmark(
    name, digits_dir, quick(f"{OPS}|value_range(-1, 1)")
  )
  assert list(facts["stages"]) == [
    "read",
    "decode|inception_crop(8)",
    "flip_lr",
    "keep('image', 'label')",
    "batch",
    "transfer",
    "value_range(-1.0, 1.0)",
  ]
  assert all(rate > 0 for rate in facts["stages"].values())
  assert facts["together"] > 0
  assert facts["bottleneck"] == min(facts["stages"], key=facts["stages"].get)
  assert 1 / 7 < facts["share"] < 1


@pytest.mark.parametrize("slow", ["read", "flip_lr"])
def test_the_slow_stage_is_named(slow, monkeypatch):
  if slow == "read":
    place = "vit_jax.data.sources.synthetic.Synthetic.__getitem__"
    out = {"image": np.zeros((9, 9, 3), np.uint8), "label": 1, "id": 0}
  else:
    place = "vit_jax.preprocess.geometry.FlipLr.__call__"
    out = None

  def sleep(self, example, rng=None):
    time.sleep(0.05)
    return out or example

  monkeypatch.setattr(place, sleep)
  facts = benchmark.benchmark("synthetic:20x9x9x3x5", "", quick(OPS))
  assert facts["bottleneck"] == slow
  assert facts["stages"][slow] < 20
  shown = benchmark.text(facts)
  assert f"bottleneck: {slow}, " in shown
  assert "synthetic:20x9x9x3x5, split train, batches of 4" in shown
  assert "4 threads of one process" in shown


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ({"workers": -1}, "workers=-1 must be at least 0"),
    ({"seconds": -1.0}, "seconds=-1.0 must be at least 0"),
  ],
)
def test_options_are_checked(fields, said):
  with pytest.raises(errors.ConfigError, match=said):
    benchmark.Options(**fields)


def test_the_command(capsys, digits_dir):
  arguments = ["data", "benchmark", "tfds:digits", f"--data_dir={digits_dir}"]
  arguments += ["--batch_size=4", "--seconds=0"]
  assert main.main([*arguments, "--preprocess=decode(1)"]) == 0
  out = capsys.readouterr().out
  assert "decode(channels=1)" in out and "bottleneck: " in out
  assert main.main([*arguments, "--preprocess=decode|rezise(8)"]) == 2
  err = capsys.readouterr().err
  assert "preprocess" in err and "did you mean resize" in err
