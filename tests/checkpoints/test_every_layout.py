"""Every layout of the package keeps the contract of checkpoints/base.py.

A new layout is found here by itself. A model that has had no layout so far
needs a row in MODELS.
"""

import dataclasses
import importlib
import json
import pkgutil
import re
import shutil

import numpy as np
import pytest

from tests.checkpoints import files
from vit_jax import checkpoints, models
from vit_jax.checkpoints import keys, layouts, loaded as loaded_lib, tensors
from vit_jax.checkpoints.base import OWN
from vit_jax.core import errors
from vit_jax.nn import posemb_resize

LAYOUTS = {type(layout).__name__: layout for layout in layouts.find_all()}
VIT = dict(
  image_size=(16, 16), patch_size=(8, 8), width=16, depth=2, mlp_dim=32,
  num_heads=2, num_classes=3,
)  # fmt: skip
# Small models of each kind, by their fields; each layout can hold at least one.
MODELS = {
  "vit": (
    VIT,
    VIT | dict(gelu="exact", norm_epsilon=1e-12, num_classes=0),
    VIT | dict(pool="gap", class_token_position=False),
    VIT | dict(pool="patches", norm_at="pooled", pre_logits_dim=5),
    VIT | dict(pool="map", class_token_position=False),
  ),
  "hybrid": (
    VIT | dict(image_size=(32, 32), patch_size=(1, 1), resnet_depths=(1, 1)),
    VIT | dict(image_size=(32, 32), resnet_depths=(), pool="map"),
  ),
  "bit": (
    dict(image_size=(32, 32), depths=(1, 2), width_factor=0.5, num_classes=3),
    dict(image_size=(32, 32), depths=(1, 1), root_padding="zeros"),
  ),
  "swin": (
    dict(
      image_size=(32, 32), patch_size=(4, 4), window_size=(4, 4), width=8,
      depths=(1, 2), num_heads=(1, 2), num_classes=3,
    ),
    # Odd grids are padded, in one of two ways.
    dict(
      image_size=(36, 36), patch_size=(4, 4), window_size=(4, 4), width=8,
      depths=(2,), num_heads=(2,), window_pad="before_shift",
    ),
  ),
  "mobilevit": (dict(variant="XXS", num_classes=3), dict(widths=(8,) * 5)),
}  # fmt: skip


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request):
  return LAYOUTS[request.param]


@pytest.fixture(scope="module")
def saved(layout, tmp_path_factory):
  """A small model that the layout can hold, and its file."""
  checkpoint = fitting(layout)
  out = tmp_path_factory.mktemp(layout.format) / "out"
  return checkpoint, save(layout, checkpoint, out).path


@pytest.fixture
def copy(saved, tmp_path):
  """The same; a file that may be changed."""
  checkpoint, path = saved
  folder = shutil.copytree(path.parent, tmp_path / "copy")
  return checkpoint, folder / path.name


def small(layout):
  """Small models of the layout's kind, with random weights."""
  for fields in MODELS[layout.model]:
    model = models.create(layout.model, **fields)
    shapes = loaded_lib.model_shapes(model, 3)
    rng = np.random.default_rng(0)
    arrays = {
      name: rng.standard_normal(shape).astype("f4")
      for name, shape in shapes.items()
    }
    params, stats = loaded_lib.nested(arrays)
    yield checkpoints.Loaded(
      *(model, params, stats, layout.format, checkpoints.Report(())),
      "decode|resize(8)|value_range(-1.0, 1.0)",
    )


def fitting(layout):
  """A small model that the layout can hold."""
  return next(x for x in small(layout) if not layout.objections(x.model.config))


def in_one_module(layout, other):
  return (
    type(layout).__module__ == type(other).__module__
    and layout.model == other.model
  )


def save(layout, checkpoint, out):
  """In this layout's module, whose other layouts have other formats."""
  return checkpoints.save(checkpoint, type(layout).__module__, out)


def without_effect(config):
  """The config without a field that has no effect in it."""
  if "class_token_position" in dir(config) and not config.class_token:
    return dataclasses.replace(config, class_token_position=True)
  return config


def test_each_module_defines_layouts_or_helps_them():
  """No class is left out for want of an attribute."""
  for module in pkgutil.iter_modules(layouts.__path__):
    importlib.import_module(f"{layouts.__name__}.{module.name}")
  bases = {base for x in LAYOUTS.values() for base in type(x).__mro__}
  assert not set(subclasses(layouts.Layout)) - bases
  assert len(LAYOUTS) >= 13


def subclasses(cls):
  for sub in cls.__subclasses__():
    if sub.__module__.startswith("vit_jax."):
      yield sub
      yield from subclasses(sub)


def test_what_it_declares(layout):
  assert layout.format
  assert layout.marks
  for pattern in (
    *layout.marks,
    *layout.ignored,
    *layout.vectors,
    *(old for old, _ in layout.renamed),
  ):
    re.compile(pattern)
  assert layout.resize in posemb_resize.METHODS
  config = models.create(layout.model, **MODELS[layout.model][0]).config
  for field in layout.implied:
    assert hasattr(config, field)


def test_its_names_are_its_own(layout):
  """Among all layouts only this one, with its marks, takes its own files."""
  model = fitting(layout).model
  shapes = loaded_lib.model_shapes(model, 3)
  arrays = {name: np.empty(shape, "f4") for name, shape in shapes.items()}
  names = keys.save(layout.rules(model.config), arrays)
  bearing = []
  for other in layouts.find_all():
    known = {other.canonical(name) for name in names}
    if all(any(re.fullmatch(m, n) for n in known) for m in other.marks):
      bearing.append(other)
  assert bearing[0] is layout
  assert all(len(x.marks) < len(layout.marks) for x in bearing[1:])
  # Its canonical names are those of its own table.
  assert {layout.canonical(name) for name in names} == set(names)


def test_round_trips_of_all_that_it_can_hold(layout, tmp_path):
  for i, checkpoint in enumerate(small(layout)):
    config = checkpoint.model.config
    if layout.objections(config):
      continue
    saved = save(layout, checkpoint, tmp_path / str(i))
    assert saved.format == layout.format
    notes = layout.notes(config)
    notes += layout.pixel_notes(config, checkpoint.preprocess, 3)
    assert saved.notes == tuple(notes)
    with saved.path.open("rb") as f:
      assert layout.container.begins(f.read(9))
    again = checkpoints.load(saved.path, resolution=config.image_size)
    assert again.source_format == layout.format
    assert without_effect(again.model.config) == without_effect(config)
    files.same(again.variables, checkpoint.variables)
    for name in layout.side_names:
      assert json.loads(saved.path.with_name(name).read_text())


def test_a_file_without_our_own_entry(layout, copy):
  """As the other programs write it: names, shapes, their side files."""
  checkpoint, path = copy
  if layout.side_names:
    config = path.with_name("config.json")
    content = json.loads(config.read_text())
    assert content.pop(OWN)
    config.write_text(json.dumps(content))
  size = checkpoint.model.config.image_size
  again = checkpoints.load(path, resolution=size)
  files.same(again.variables, checkpoint.variables)
  assert again.preprocess.startswith("decode|")
  # Nor with a hub's files missing.
  for name in layout.side_names:
    path.with_name(name).unlink()
  given = checkpoints.load(path, model=checkpoint.model)
  files.same(given.variables, checkpoint.variables)


def test_what_it_cannot_hold_is_refused(layout, tmp_path):
  for checkpoint in small(layout):
    objections = layout.objections(checkpoint.model.config)
    # Other layouts of the same module may be able to hold it.
    others = [x for x in layouts.find_all() if in_one_module(x, layout)]
    if all(x.objections(checkpoint.model.config) for x in others):
      with pytest.raises(errors.CheckpointError) as e:
        save(layout, checkpoint, tmp_path / "x")
      assert f"{layout.format}: {', '.join(objections)}" in str(e.value)
  other = LAYOUTS["TimmBit" if layout.model != "bit" else "TimmVit"]
  with pytest.raises(errors.CheckpointError, match="has no such"):
    save(layout, fitting(other), tmp_path / "x")
  assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
  "text", ["3", '{"vit_jax": 3}', '{"vit_jax": {"model": {"width": 7}}}']
)
def test_a_config_that_makes_no_sense_is_refused(layout, copy, text):
  _, path = copy
  if layout.side_names:
    path.with_name("config.json").write_text(text)
  else:
    with layout.container.opened(path) as found:
      arrays = {name: tensors.from_array(x.read()) for name, x in found.items()}
    arrays[OWN] = tensors.from_array(np.frombuffer(text.encode(), np.uint8))
    layout.container.write(path, arrays)
  with pytest.raises(errors.CheckpointError) as e:
    checkpoints.load(path)
  assert "\n" not in str(e.value)


def test_a_file_that_is_cut_off_is_refused(copy):
  _, path = copy
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(errors.CheckpointError, match="is refused"):
    checkpoints.load(path)
