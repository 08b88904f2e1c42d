"""A shim for tools that ask for setup.py; pyproject.toml is the truth."""

import setuptools

setuptools.setup()
