"""`python -m vit_jax` is the console script `vit-jax`."""

import sys

from vit_jax.cli.main import main

if __name__ == "__main__":
  sys.exit(main())
