"""Every module has tests of its name, or a stated place that tests it."""

import pathlib

import pytest

from tests.arch import source

TESTS = source.ROOT / "tests"
# Modules that are tested with others, or by running the commands.
STATED = {
  "analysis/html_page": "analysis/test_inside_page.py",
  "checkpoints/layouts": "checkpoints/test_every_layout.py",
  "cli/confusion": "e2e/test_own_folder.py",
  "cli/convert": "cli/test_checkpoint_commands.py",
  "cli/data": "cli/test_data_commands.py",
  "cli/distributed": "cli/test_config_errors.py",
  "cli/evaluate": "train/test_evaluate.py",
  "cli/inspect": "cli/test_checkpoint_commands.py",
  "cli/main": "cli/test_config_errors.py",
  "cli/plan": "cli/test_auto_mesh.py",
  "cli/predict": "cli/test_checkpoint_commands.py",
  "cli/report": "e2e/test_readme.py",
  "cli/sweep": "e2e/test_readme.py",
  "cli/train": "e2e/test_resume.py",
  "cluster/lifeline": "cluster/test_monitor.py",
  "cluster/processes": "core/test_agreement.py",
  "cluster/signals": "e2e/test_resume.py",
  "cluster/timeouts": "cli/test_config_errors.py",
  "core/terminal": "e2e/test_hangup.py",
  "models/base": "models/test_every_model.py",
  "nn/attention": "nn/test_layers.py",
  "nn/checks": "models/test_every_model.py",
  "nn/encoder": "nn/test_layers.py",
  "nn/feed_forward": "nn/test_mobilevit_layers.py",
  "nn/inverted_residual": "nn/test_mobilevit_layers.py",
  "nn/mlp": "nn/test_layers.py",
  "nn/mobilevit_block": "nn/test_mobilevit_layers.py",
  "nn/patch": "nn/test_layers.py",
  "nn/pooling": "nn/test_layers.py",
  "nn/posemb_resize": "nn/test_posemb.py",
  "nn/stacking": "models/test_every_model.py",
  "nn/std_convolution": "nn/test_resnet.py",
  "nn/stochastic_depth": "nn/test_layers.py",
  "nn/swin_block": "nn/test_window.py",
  "optim/adafactor": "optim/test_chains.py",
  "optim/adamw": "optim/test_chains.py",
  "optim/base": "optim/test_every_optimiser.py",
  "optim/layers": "optim/test_layer_decay.py",
  "optim/sgd": "optim/test_chains.py",
  "preprocess/codecs": "preprocess/test_jpeg.py",
  "preprocess/op": "preprocess/test_every_op.py",
  "reproduce/fewshot": "reproduce/test_recipe.py",
  "reproduce/figures": "reproduce/test_results.py",
  "reproduce/paper_scale": "reproduce/test_results.py",
  "reproduce/tables": "reproduce/test_results.py",
  "train/experiment": "cli/test_config_errors.py",
  "train/mirror": "train/test_workdir.py",
  "train/profiler": "train/test_loop.py",
  "train/setup": "train/test_loop.py",
  "train/state": "invariants/test_step.py",
  "train/step": "invariants/test_step.py",
}


def expected(path: pathlib.Path):
  """Where the tests of a module are expected, by its name."""
  room, *folders = path.relative_to(source.ROOT / source.PACKAGE).parts[:-1]
  names = [path.stem, "_".join([*folders, path.stem])]
  return [TESTS / room / f"test_{name}.py" for name in names]


def place(path: pathlib.Path):
  """The key of a module in the table, which may be its folder's."""
  parts = path.relative_to(source.ROOT / source.PACKAGE).with_suffix("").parts
  return next(
    (k for k in ("/".join(parts), "/".join(parts[:-1])) if k in STATED), None
  )


def modules():
  """The modules of all rooms."""
  package = source.ROOT / source.PACKAGE
  paths = package.glob("*/**/*.py")
  return [p for p in sorted(paths) if p.stem not in {"__init__", "__main__"}]


def untested(path):
  if any(file.exists() for file in expected(path)):
    return False
  key = place(path)
  return key is None or not (TESTS / STATED[key]).exists()


def test_every_module_has_tests():
  assert not [str(path) for path in modules() if untested(path)]


def test_a_module_without_tests_is_found():
  assert untested(source.ROOT / source.PACKAGE / "core" / "new.py")
  assert not untested(source.ROOT / source.PACKAGE / "core" / "tree.py")


@pytest.mark.parametrize("key", STATED)
def test_the_table_is_of_modules_without_tests_of_their_name(key):
  package = source.ROOT / source.PACKAGE
  path = package / key
  if not path.is_dir():
    path = path.with_suffix(".py")
    assert path.exists()
    assert not any(file.exists() for file in expected(path))
