"""Standardised convolutions, group norm and ResNet units, by slow formulas."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiling
from tests.nn.arrays import apply
from vit_jax.core import tree
from vit_jax.nn import resnet, std_convolution


def random(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def shapes(module, x):
  params = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
  return {k: v.shape for k, v in tree.flatten(params).items()}


def init_random(module, x):
  rng = np.random.default_rng(1)
  draw = lambda s: rng.standard_normal(s).astype(np.float32)  # noqa: E731
  return tree.unflatten({k: draw(s) for k, s in shapes(module, x).items()})


DIVISORS = {
  "std + 1e-5": lambda v: np.sqrt(v) + 1e-5,
  "var + 1e-10": lambda v: np.sqrt(v + 1e-10),
  "var + 1e-8": lambda v: np.sqrt(v + 1e-8),
}


@pytest.mark.parametrize("form", DIVISORS)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_standardized_kernels(form, scale):
  """Small kernels tell the forms apart."""
  kernel = scale * (random(3, 3, 4, 6) + 2)
  ours = np.asarray(std_convolution.standardize(jnp.asarray(kernel), form))
  exact = kernel.astype(np.float64)
  for i in range(6):
    k = exact[..., i]
    expected = (k - k.mean()) / DIVISORS[form](k.var())
    np.testing.assert_allclose(ours[..., i], expected, rtol=2e-4, atol=1e-5)
    assert abs(ours[..., i].mean()) < 1e-5


PADS = [
  ("same", 7, 2, (8, 8), (2, 3)),
  ("symmetric", 7, 2, (8, 8), (3, 3)),
  ("same", 3, 2, (8, 6), (0, 1)),
  ("symmetric", 3, 2, (8, 6), (1, 1)),
  ("same", 3, 2, (7, 5), (1, 1)),
  ("same", 3, 1, (5, 4), (1, 1)),
  ("symmetric", 3, 1, (5, 4), (1, 1)),
  ("symmetric", 1, 2, (5, 4), (0, 0)),
]


@pytest.mark.parametrize(("padding", "size", "stride", "hw", "pads"), PADS)
def test_convolution_by_loops(padding, size, stride, hw, pads):
  x = random(1, *hw, 3)
  conv = std_convolution.StdConv(4, size, stride, padding=padding)
  params = init_random(conv, x)
  ours = np.asarray(apply(conv, {"params": params}, x))
  kernel = jnp.asarray(params["kernel"])
  kernel = std_convolution.standardize(kernel, "std + 1e-5")
  kernel = np.asarray(kernel, np.float64)
  padded = np.pad(x[0].astype(np.float64), [pads, pads, (0, 0)])
  out_hw = [-(-n // stride) for n in hw]
  assert ours.shape == (1, *out_hw, 4)
  for i in range(out_hw[0]):
    for j in range(out_hw[1]):
      top, left = i * stride, j * stride
      window = padded[top : top + size, left : left + size]
      expected = np.einsum("hwc,hwcf->f", window, kernel)
      np.testing.assert_allclose(ours[0, i, j], expected, rtol=1e-3, atol=1e-3)


def test_convolution_in_bfloat16_standardizes_in_float32():
  x = random(1, 4, 4, 3)
  conv = std_convolution.StdConv(4, 3, dtype=jnp.bfloat16)
  # The differences between these weights are lost in bfloat16.
  params = {"kernel": 100 + 0.01 * random(3, 3, 3, 4)}
  ours = apply(conv, {"params": params}, x)
  exact = apply(std_convolution.StdConv(4, 3), {"params": params}, x)
  assert ours.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    np.asarray(ours, np.float32), exact, atol=0.03 * np.abs(exact).max()
  )


@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_group_norm_by_loops(mean):
  """Also where the mean is far larger than the deviations from it."""
  x = mean + random(2, 3, 4, 64)
  norm = resnet.GroupNorm()
  params = init_random(norm, x)
  as_usual = jax.jit(norm.apply, compiler_options=compiling.AS_USERS_DO)
  ours = np.asarray(as_usual({"params": params}, jnp.asarray(x)))
  for b in range(2):
    for g in range(0, 64, 2):
      group = x[b, :, :, g : g + 2].astype(np.float64)
      expected = (group - group.mean()) / np.sqrt(group.var() + 1e-5)
      expected *= params["scale"][g : g + 2]
      expected += params["bias"][g : g + 2]
      np.testing.assert_allclose(ours[b, :, :, g : g + 2], expected, atol=2e-4)


def test_group_norm_in_bfloat16_is_rounded_once():
  x = random(2, 3, 4, 64).astype(jnp.bfloat16)
  params = init_random(resnet.GroupNorm(), x)
  ours = apply(resnet.GroupNorm(dtype=jnp.bfloat16), {"params": params}, x)
  exact = apply(resnet.GroupNorm(), {"params": params}, x)
  np.testing.assert_array_equal(ours, exact.astype(jnp.bfloat16))


V2 = functools.partial(
  resnet.PreActivationUnit,
  conv=functools.partial(
    std_convolution.StdConv, standardization="var + 1e-10"
  ),
  norm=resnet.GroupNorm,
)
V1 = functools.partial(
  resnet.PostActivationUnit,
  conv=std_convolution.StdConv,
  norm=functools.partial(nn.GroupNorm, num_groups=32),
)


def test_pre_activation_unit_by_its_parts():
  x = random(1, 6, 6, 64)
  unit = V2(32, 2)
  p = init_random(unit, x)
  conv = lambda name, x, stride=1: apply(  # noqa: E731
    std_convolution.StdConv(
      p[name]["kernel"].shape[-1], p[name]["kernel"].shape[0], stride,
      "var + 1e-10",
    ), {"params": p[name]}, x,
  )  # fmt: skip
  norm = lambda name, x: np.maximum(  # noqa: E731
    apply(resnet.GroupNorm(), {"params": p[name]}, x), 0
  )
  y = norm("norm1", x)
  shortcut = conv("conv_shortcut", y, 2)
  y = conv("conv2", norm("norm2", conv("conv1", y)), 2)
  expected = shortcut + conv("conv3", norm("norm3", y))
  ours = apply(unit, {"params": p}, x)
  assert ours.shape == (1, 3, 3, 128)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-3)


def test_post_activation_unit_by_its_parts():
  x = random(1, 6, 6, 64)
  unit = V1(32, 2)
  p = init_random(unit, x)
  conv = lambda name, x, stride=1: apply(  # noqa: E731
    std_convolution.StdConv(
      p[name]["kernel"].shape[-1], p[name]["kernel"].shape[0], stride
    ),
    {"params": p[name]},
    x,
  )
  norm = lambda name, x: apply(nn.GroupNorm(32), {"params": p[name]}, x)  # noqa: E731
  y = np.maximum(norm("norm1", conv("conv1", x)), 0)
  y = np.maximum(norm("norm2", conv("conv2", y, 2)), 0)
  y = norm("norm3", conv("conv3", y))
  shortcut = norm("norm_shortcut", conv("conv_shortcut", x, 2))
  expected = np.maximum(y + shortcut, 0)
  ours = apply(unit, {"params": p}, x)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-3)


def test_units_add_to_what_they_get():
  """A unit that adds nothing hands on its input, or its positive part."""
  x = random(1, 4, 4, 128)
  v1, v2 = V1(32, 1), V2(32, 1)
  p = init_random(v2, x)
  p["conv3"]["kernel"] = np.zeros_like(p["conv3"]["kernel"])
  np.testing.assert_array_equal(apply(v2, {"params": p}, x), x)
  initial = v1.init(jax.random.key(0), jnp.asarray(x))
  np.testing.assert_array_equal(apply(v1, initial, x), np.maximum(x, 0))


@pytest.mark.parametrize(
  ("channels", "stride", "projects"), [(128, 1, False), (64, 1, True),
                                       (128, 2, True)]
)  # fmt: skip
def test_only_a_change_of_shape_is_projected(channels, stride, projects):
  x = random(1, 4, 4, channels)
  for unit, extra in ((V2(32, stride), 1), (V1(32, stride), 3)):
    found = [k for k in shapes(unit, x) if "shortcut" in k]
    assert len(found) == extra * projects


def test_stages_double_the_width_and_number_their_units():
  stem = resnet.Stem(
    (2, 1), 32, std_convolution.StdConv,
    functools.partial(nn.GroupNorm, num_groups=32),
  )  # fmt: skip
  x = random(1, 30, 16, 3)
  found = shapes(stem, x)
  kernels = {k: s for k, s in found.items() if k.endswith("conv2/kernel")}
  assert kernels == {
    "stage1_unit01/conv2/kernel": (3, 3, 32, 32),
    "stage1_unit02/conv2/kernel": (3, 3, 32, 32),
    "stage2_unit01/conv2/kernel": (3, 3, 64, 64),
  }
  assert found["conv_root/kernel"] == (7, 7, 3, 32)
  out = jax.eval_shape(stem.init_with_output, jax.random.key(0), x)[0]
  assert out.shape == (1, 4, 2, 256)
