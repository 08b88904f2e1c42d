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


def test_lines_are_text_without_marks_and_blanks(tmp_path):
  file = tmp_path / "names.txt"
  names = "\ufeffcat\r\n cafe\u0301 \r\nhot\u2028dog\r\n\r\n \n"
  file.write_bytes(names.encode())
  assert labels.choose(str(file), (), 3)[0] == (
    "cat",
    "caf\u00e9",
    "hot\u2028dog",
  )


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  (tmp_path / "names.txt").write_text("a\nb\n")
  assert labels.choose("~/names.txt", (), 2)[0] == ("a", "b")


def test_wrong_files(tmp_path):
  with pytest.raises(errors.ConfigError, match="labels=nowhere cannot be read"):
    labels.choose("nowhere", (), 2)
  with pytest.raises(errors.ConfigError, match="1,000 names, but the model"):
    labels.choose("imagenet1k", (), 10)
  file = tmp_path / "names.txt"
  file.write_bytes(b"\xff\xfe\n")
  with pytest.raises(errors.ConfigError, match="it is not UTF-8 text"):
    labels.choose(str(file), (), 1)
