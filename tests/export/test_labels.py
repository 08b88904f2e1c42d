import pytest

from vit_jax.core import errors
from vit_jax.export import labels


def test_imagenet1k():
  """Labels whose numbers are known from the published models' examples."""
  names = labels.imagenet1k()
  assert len(names) == 1000
  for number, word in (
    (0, "tench"),
    (1, "goldfish"),
    (207, "golden retriever"),
    (281, "tabby"),
    (388, "giant panda"),
    (779, "school bus"),
    (985, "daisy"),
    (999, "toilet tissue"),
  ):
    assert word in names[number].split(", ")
  # Two cranes and two maillots share their first word, not their place.
  assert [i for i, n in enumerate(names) if n == "crane"] == [134, 517]


def test_what_is_known_comes_first(tmp_path):
  assert labels.choose("", ("cat", "dog"), 2)[0] == ("cat", "dog")
  file = tmp_path / "names.txt"
  file.write_text("un\ndeux\n", encoding="utf-8")
  names, source = labels.choose(str(file), ("cat", "dog"), 2)
  assert names == ("un", "deux")
  assert str(file) in source


def test_a_thousand_classes_are_imagenets_and_others_numbers():
  names, source = labels.choose("", (), 1000)
  assert names[1] == "goldfish, Carassius auratus"
  assert "as there are 1,000" in source
  assert labels.choose("", (), 3)[0] == ("0", "1", "2")


def test_wrong_files(tmp_path):
  with pytest.raises(errors.ConfigError, match="labels=nowhere cannot be read"):
    labels.choose("nowhere", (), 2)
  with pytest.raises(errors.ConfigError, match="1,000 names, but the model"):
    labels.choose("imagenet1k", (), 10)
  file = tmp_path / "names.txt"
  file.write_bytes(b"\xff\xfe\n")
  with pytest.raises(errors.ConfigError, match="it is not UTF-8 text"):
    labels.choose(str(file), (), 1)
