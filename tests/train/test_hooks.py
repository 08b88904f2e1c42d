"""What the user is told."""

from vit_jax.train import hooks


def test_counts_are_whole_numbers():
  text = hooks.scores_text({"top_1": 0.25, "examples": 50_000, "skipped": 0})
  assert text == "top_1 0.2500  examples 50,000  skipped 0"
