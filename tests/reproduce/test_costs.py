"""Parameters, operations, exaFLOPs and tokens against others' counts."""

import pytest

from tests.reproduce import golden
from vit_jax.core import errors
from vit_jax.reproduce import costs, paper

GRIDS = paper.grids()
# Quick to trace; the rest is the same code.
VITS = ("ViT-B/32", "ViT-B/16", "ViT-L/32", "ViT-L/16", "ViT-H/14")


@pytest.mark.parametrize("label", VITS)
def test_parameters_and_multiply_adds(label):
  counts = GRIDS["counts"]
  for column, size_px, classes in (
    ("224 px, 1k head", 224, 1000),
    ("224 px, no head", 224, 0),
    ("384 px, 1k head", 384, 1000),
  ):
    known = counts.number((label,), column)
    if known:
      assert costs.parameters(label, size_px, classes) == known.value
  macs = GRIDS["macs"].number((label,), "GMAC").value
  assert costs.macs(label) / 1e9 == pytest.approx(macs, abs=5e-4)


@pytest.mark.parametrize(
  "label", [*VITS, "ResNet50x1", "R50x1+ViT-B/32", "Axial-ViT-B/32"]
)
def test_operations_agree_with_xla(label):
  counted = golden.row(label)["flops"]
  assert 2 * costs.macs(label) == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize(
  "label, epochs",
  [*((v, 7) for v in VITS[:4]), ("ViT-L/16", 14), ("ViT-H/14", 14)],
)
def test_exaflops_of_vit(label, epochs):
  """Within 2 % of what rounds to the paper's number."""
  known = GRIDS["table6"].number((label, str(epochs)), "exaFLOPs").value
  ours = costs.exaflops(label, epochs)
  assert abs(ours - known) <= 0.02 * known + 0.5
  if label != "ViT-B/32":
    assert ours == pytest.approx(known, rel=0.003)


@pytest.mark.parametrize("label", ["ResNet50x1", "R50x1+ViT-B/32"])
def test_exaflops_of_resnet_and_hybrid(label):
  known = GRIDS["table6"].number((label, "7"), "exaFLOPs").value
  assert costs.exaflops(label, 7) == pytest.approx(known, rel=0.01)


def test_tokens():
  assert costs.tokens("ViT-B/32", 64) == 5
  assert costs.tokens("ViT-B/16", 224) == 197
  assert costs.tokens("R50x1+ViT-B/16", 224) == 197
  with pytest.raises(errors.ConfigError, match="has no tokens"):
    costs.tokens("R50x1", 224)
  with pytest.raises(errors.ConfigError, match="multiple of"):
    costs.tokens("ViT-H/14", 384)


def test_labels():
  assert costs.model_of("ResNet50x1 (BiT)") == ("bit", "R50x1", {})
  assert costs.model_of("R50+ViT-B/16") == ("hybrid", "R50+B/16", {})
  half = costs.model_of("ViT-b/32")[2]
  assert half == {"width": 384, "mlp_dim": 1536, "num_heads": 6}
  with pytest.raises(errors.ConfigError, match="not here"):
    costs.model_of("EfficientNet")
