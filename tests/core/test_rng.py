import jax
import numpy as np

from vit_jax.core import rng


def bits(key):
  return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_keys_differ_by_seed_name_and_step():
  keys = {
    bits(rng.stream(rng.root(seed), name, step))
    for seed in (0, 1)
    for name in ("dropout", "mixup")
    for step in range(4)
  }
  assert len(keys) == 16


def test_the_root_can_be_saved_as_plain_words():
  root = rng.root(3)
  assert root.dtype == np.uint32
  again = jax.numpy.asarray(np.asarray(root))
  assert bits(rng.named(root, "init")) == bits(rng.named(again, "init"))


def test_streams_are_the_same_in_every_process_and_version():
  # A change of these words changes every run that is resumed after it.
  assert bits(rng.named(rng.root(0), "init")) == (3020537540, 2946840664)
  assert bits(rng.stream(rng.root(7), "dropout", 123)) == (
    1091056906,
    2860902501,
  )
  assert rng.host_seed(0, "data") == 2057188004


def test_a_traced_step_gives_the_key_of_the_concrete_one():
  root = rng.root(1)
  traced = jax.jit(lambda s: rng.stream(root, "mixup", s))(5)
  assert bits(traced) == bits(rng.stream(root, "mixup", 5))


def test_host_seeds_are_32_bits_and_differ_by_seed_and_name():
  seeds = {rng.host_seed(s, n) for s in range(50) for n in ("data", "aug")}
  assert len(seeds) == 100
  assert all(0 <= s < 2**32 for s in seeds)
