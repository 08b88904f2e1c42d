"""Names as text: what is the same name, and what is read from a file."""

import pytest

from vit_jax.data import label_text

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
  assert {label_text.clean(n) for n in SAME[name]} == {name}
  assert label_text.clean(name) == name


def test_alike():
  names = [n for group in SAME.values() for n in group]
  groups = [list(group) for group in SAME.values() if len(group) > 1]
  assert label_text.alike([*names, "cat"]) == groups
  assert label_text.alike(SAME) == []


def test_read(tmp_path):
  file = tmp_path / "names.txt"
  file.write_bytes(b"\xef\xbb\xbfa\r\n\r\n b\x0bc\n\n \n")
  assert label_text.read(file) == ["a", "", " b\x0bc"]
  file.write_bytes(b"")
  assert label_text.read(file) == []
