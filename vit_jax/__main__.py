"""`python -m vit_jax` is the console script `vit-jax`."""

from vit_jax.cli.main import run

if __name__ == "__main__":
  run()
