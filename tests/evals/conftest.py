"""Tests of evaluators compile more than they compute."""

import jax
import pytest


@pytest.fixture
def quick_compile():
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)
