"""TFDS builders of our own: one module each, with a class `Builder`."""
