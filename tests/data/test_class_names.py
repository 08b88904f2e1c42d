"""Two lists of class names: the same classes, in which order, or others."""

import pathlib
import random
import re

import pytest

from vit_jax.core import errors
from vit_jax.data import class_names


def numbers(names, known):
  return class_names.numbers(names, known, "a=A", "b=B")


def test_imagenet1k():
  """Labels whose numbers are known from the published models' examples."""
  names = class_names.imagenet1k()
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
  assert names[281] == "tabby, tabby cat"
  # Two cranes and two maillots share their first word, not their place.
  assert [i for i, n in enumerate(names) if n == "crane"] == [134, 517]


@pytest.mark.parametrize("seed", range(20))
def test_any_order_is_mapped_by_name(seed):
  draw = random.Random(seed)
  size = draw.randint(1, 12)
  words = ["cat", "Cat", "hot dog", "hot_dog", "ÄÖ", "7", "x7", "a", "b", "c"]
  known = draw.sample([*words, "LABEL_3", "n01440764"], size)
  names = draw.sample(known, size)
  found = numbers(names, known)
  if found is None:
    assert not class_names.are_known(names)
  else:
    assert [known[k] for k in found] == names


def test_spelling_does_not_matter():
  assert numbers(["Hot_Dog", "cafe\u0301 "], ["caf\xe9", "hot dog"]) == (1, 0)
  assert numbers(["00", "01", "10", "02"], [*"012", "10"]) == (0, 1, 3, 2)
  # Unless it is all that tells two classes apart.
  assert numbers(["Cat", "cat"], ["cat", "Cat"]) == (1, 0)


def test_the_same_list_is_the_same_order():
  """Even where names do not tell its classes apart."""
  cranes = ("crane", "cock", "crane")
  assert numbers(cranes, cranes) == (0, 1, 2)
  assert numbers(("LABEL_0", "LABEL_0"), ("LABEL_0", "LABEL_0")) == (0, 1)


NAMELESS = (
  (),
  ("LABEL_0", "LABEL_1", "LABEL_2"),
  ("0", "1", "2"),
  ("1", "2", "3"),
  ("00", "01", "02"),
)


@pytest.mark.parametrize("names", NAMELESS)
def test_placeholders_and_numbers_are_no_names(names):
  words = ("ant", "bee", "cat")
  assert not class_names.are_known(names)
  assert numbers(names, words) is None
  assert numbers(words, names) is None
  assert numbers(names, names) == tuple(range(len(names)))
  assert class_names.are_known(words)
  # A word beside a placeholder is a name.
  assert class_names.are_known((*words, "LABEL_3"))
  assert class_names.are_known(("no LABEL_0", "LABEL_1 of 2"))


REFUSED = {
  "others": (
    ("apple", "zebra"),
    ("cat", "dog"),
    "a=A has other classes than b=B: it alone has 'apple', 'zebra' (2 of 2"
    " names) and it lacks 'cat', 'dog' (2 of 2 names); give both the same"
    " names, in any order, or leave out those of one side if the order is the"
    " same",
  ),
  "one other": (
    ("ant", "cat"),
    ("ant", "bee"),
    "it alone has 'cat' (1 of 2 names) and it lacks 'bee' (1 of 2 names)",
  ),
  "a part": (("ant",), ("ant", "bee"), "it lacks 'bee' (1 of 2 names)"),
  "long lists": (
    tuple("abcde"),
    tuple("vwxyz"),
    "alone has 'a', 'b', 'c', ... (5 of 5 names)",
  ),
  "three names": (
    tuple("abc"),
    tuple("xyz"),
    "it alone has 'a', 'b', 'c' (3 of 3 names) and it lacks 'x', 'y', 'z' (3",
  ),
  "twice": (
    ("cock", "crane", "crane"),
    ("crane", "cock", "crane"),
    "several classes are named 'crane', so that names do not tell them",
  ),
  "other numbers": (("0", "1"), ("1", "2"), "it alone has '0' (1 of 2"),
  "numbers in the order of words": (
    ("0", "1", "10", "2"),
    ("ant", "bee", "cat", "dog"),
    "the class '10' may be label 10 or label 2",
  ),
  "the same the other way round": (
    ("ant", "bee", "cat", "dog"),
    ("0", "1", "10", "2"),
    "the class '10' may be label 10 or label 2",
  ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_classes_are_refused_in_one_line(case):
  names, known, message = REFUSED[case]
  with pytest.raises(errors.ConfigError) as caught:
    numbers(names, known)
  assert message in str(caught.value)
  assert "\n" not in str(caught.value)


def wnids():
  text = pathlib.Path(class_names.__file__).with_name("imagenet1k.txt")
  return re.findall(r"^n\d{8}", text.read_text(), re.MULTILINE)


def test_imagenet_in_other_words():
  words = class_names.imagenet1k()
  first = [synset.partition(",")[0].title() for synset in words]
  # A third of the classes has other words, as in lists that were tidied up.
  tidy = [f"kind {i}" if i % 3 == 0 else name for i, name in enumerate(first)]
  every = tuple(range(1000))
  for names in (words, first, tidy):
    assert numbers(names, wnids()) == every
    assert numbers(wnids(), names) == every
    assert numbers(names, words) == every
  # Where spelling alone differs it is the words that tell.
  own = list(dict.fromkeys(words))
  own += [f"another {i}" for i in range(1000 - len(own))]
  swapped = [name.upper() for name in (own[1], own[0], *own[2:])]
  assert numbers(swapped, own) == (1, 0, *range(2, 1000))


def test_imagenet_with_another_class():
  """Only what differs is named, though no word is the same as an id."""
  others = [*wnids()[:-1], "n00000001"]
  with pytest.raises(errors.ConfigError) as caught:
    numbers(class_names.imagenet1k(), others)
  assert "lacks 'n00000001' (1 of 1000 names)" in str(caught.value)


def test_imagenets_ids_in_another_order():
  order = random.Random(0).sample(range(1000), 1000)
  ids = wnids()
  shuffled = [ids[k] for k in order]
  assert numbers(shuffled, class_names.imagenet1k()) == tuple(order)
  assert numbers(shuffled, ids) == tuple(order)


def test_imagenets_words_in_the_order_of_the_alphabet():
  """As folders of these names sort."""
  words = list(dict.fromkeys(class_names.imagenet1k()))
  words += [f"another {i}" for i in range(1000 - len(words))]
  folders = sorted(words)
  assert [words[k] for k in numbers(folders, words) or ()] == folders


def test_a_thousand_words_in_alphabetical_order_are_not_imagenets():
  words = sorted(class_names.imagenet1k())
  with pytest.raises(errors.ConfigError, match=r"\(1000 of 1000 names\)"):
    numbers(words, wnids())


SAME = {
  "cat": ("cat", " cat", "cat\t", "\u00a0cat\n"),
  "caf\u00e9": ("caf\u00e9", "cafe\u0301", " cafe\u0301 "),
  "hot dog": ("hot dog", "hot dog "),
  # Compatible characters are others: only the form is unified.
  "\u2460": ("\u2460",),
  "Cat": ("Cat",),
}


@pytest.mark.parametrize("name", SAME)
def test_clean(name):
  assert {class_names.clean(n) for n in SAME[name]} == {name}
  assert class_names.clean(name) == name


def test_alike():
  names = [n for group in SAME.values() for n in group]
  groups = [list(group) for group in SAME.values() if len(group) > 1]
  assert class_names.alike([*names, "cat"]) == groups
  assert class_names.alike(SAME) == []


def test_read(tmp_path, monkeypatch):
  file = tmp_path / "names.txt"
  file.write_bytes(b"\xef\xbb\xbfa\r\n\r\n b\x0bc\n\n \n")
  assert class_names.read(file) == ["a", "", " b\x0bc"]
  monkeypatch.setenv("HOME", str(tmp_path))
  assert class_names.read("~/names.txt") == ["a", "", " b\x0bc"]
  file.write_bytes(b"")
  assert class_names.read(file) == []
