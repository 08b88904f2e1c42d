import pytest

from vit_jax.core import errors
from vit_jax.data import class_names
from vit_jax.export import labels


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


def choose(tmp_path, names, known):
  file = tmp_path / "names.txt"
  file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
  return labels.choose(str(file), known, len(known))


def test_names_in_another_order_are_those_of_the_checkpoint(tmp_path):
  known = ("cat", "dog", "emu")
  names, source = choose(tmp_path, ("emu", "cat", "Dog"), known)
  assert names == ("cat", "Dog", "emu")
  assert source.endswith(", in the checkpoint's order")
  assert choose(tmp_path, known, known)[0] == known


def test_names_that_contradict_the_checkpoint_are_refused(tmp_path):
  message = "other classes than the checkpoint: it alone has 'zebra'"
  with pytest.raises(errors.ConfigError, match=message):
    choose(tmp_path, ("dog", "zebra"), ("cat", "dog"))


def test_other_words_are_taken_and_said(tmp_path):
  names, source = choose(tmp_path, ("chat", "chien"), ("cat", "dog"))
  assert names == ("chat", "chien")
  assert "in other words than the checkpoint's" in source
  # One of them may be the same word.
  assert choose(tmp_path, ("Katze", "Emu"), ("cat", "Emu"))[0][0] == "Katze"


def test_imagenet_is_shown_in_other_words():
  known = tuple(x.partition(",")[0] for x in class_names.imagenet1k())
  names, source = labels.choose("imagenet1k", known, 1000)
  assert names[0] == "tench, Tinca tinca"
  assert source == "ImageNet-1k's"
