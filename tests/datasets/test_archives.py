"""Images within tar files, and tar files that nobody should trust."""

import io
import tarfile

import pytest

from tests.data import official, trees
from vit_jax.core import errors
from vit_jax.datasets import archives

FILES = {f"n01440764_{i}.JPEG": official.jpeg(i) for i in range(3)}


def listed(found):
  return {s.name: archives.read(s.path, s.offset, s.size) for s in found}


def put(tmp_path, data, name="x.tar"):
  (tmp_path / name).write_bytes(data)
  return tmp_path / name


@pytest.mark.parametrize(
  "form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_every_form_of_tar(form, tmp_path):
  """Also with folders and with names that need a header of their own."""
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode="w", format=form) as archive:
    folder = tarfile.TarInfo("some/where")
    folder.type = tarfile.DIRTYPE
    archive.addfile(folder)
    for name, data in FILES.items():
      member = tarfile.TarInfo(f"some/where/{'long/' * 25}{name}")
      member.size = len(data)
      archive.addfile(member, io.BytesIO(data))
  assert listed(archives.members(put(tmp_path, out.getvalue()))) == FILES


def test_tar_files_in_a_tar_file(tmp_path):
  whole = put(tmp_path, official.train_tar())
  found = {wnid: listed(images) for wnid, images in archives.nested(whole)}
  assert found == official.train_files()


def test_folders_and_tar_files_of_classes(tmp_path):
  files = official.train_files()
  first, second, third = files
  trees.write(
    tmp_path,
    {
      ".DS_Store": b"x",
      **{f"{first}/{name}": data for name, data in files[first].items()},
      f"{second}.tar": official.tar(files[second]),
      f"{third}.tar": official.tar(files[third]),
    },
  )
  found = {wnid: listed(images) for wnid, images in archives.classes(tmp_path)}
  assert found == files


def member(**fields):
  """A tar file of an image and of a member that is not one."""
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode="w") as archive:
    first = tarfile.TarInfo("a_1.JPEG")
    first.size = 3
    archive.addfile(first, io.BytesIO(b"abc"))
    second = tarfile.TarInfo(fields.pop("name", "a_2.JPEG"))
    for key, value in fields.items():
      setattr(second, key, value)
    archive.addfile(second, io.BytesIO(bytes(fields.get("size", 0))))
  return out.getvalue()


def claims(size):
  """A second header that claims a size which is not there."""
  whole = bytearray(member())
  head = tarfile.TarInfo("a_2.JPEG")
  head.size = size
  whole[1024:1536] = head.tobuf(tarfile.GNU_FORMAT)
  return bytes(whole)


def pax(size):
  head = tarfile.TarInfo("x")
  head.type, head.size = tarfile.XHDTYPE, size
  return head.tobuf(tarfile.USTAR_FORMAT) + b"11 path=ab\n" + bytes(10_000)


WHOLE = official.tar(FILES)
HOSTILE = {
  "symbolic link": (
    member(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a_2.JPEG' is not a plain",
  ),
  "hard link": (
    member(type=tarfile.LNKTYPE, linkname="../a"),
    "a_2.JPEG' is not a plain",
  ),
  "device": (member(type=tarfile.CHRTYPE), "a_2.JPEG' is not a plain"),
  "pipe": (member(type=tarfile.FIFOTYPE), "a_2.JPEG' is not a plain"),
  "sparse": (
    member(type=tarfile.GNUTYPE_SPARSE),
    "a_2.JPEG' is not a plain",
  ),
  "name up": (member(name="../../x_1"), "'../../x_1' has not the form"),
  "name only up": (member(name="a/.."), "'a/..' has not the form"),
  "line break": (member(name="a\nb.JPEG"), "has not the form"),
  "script": (member(name="x.sh"), "'x.sh' has not the form"),
  "twice": (member(name="b/a_1.JPEG"), "'b/a_1.JPEG' is there twice"),
  "terabytes": (claims(2**40), "claims 1099511627776 bytes"),
  "beyond the end": (claims(2**20), "a_2.JPEG' is cut off: it ends behind"),
  "negative": (claims(-1), "a_2.JPEG' claims -1 bytes"),
  "large header": (pax(2**30), "a header of 1073741824 bytes"),
  "cut in an image": (WHOLE[: len(FILES["n01440764_0.JPEG"])], "is cut off"),
  "changed header": (
    WHOLE[:10] + b"?" + WHOLE[11:],
    "is not a complete tar file",
  ),
  "empty": (b"", "is not a complete tar file: empty file"),
  "gzip": (b"\x1f\x8b" + bytes(5000), "is not a complete tar file"),
  "no tar": (b"<html>" * 500, "is not a complete tar file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile(case, tmp_path):
  data, said = HOSTILE[case]
  with pytest.raises(errors.DataError) as caught:
    list(archives.members(put(tmp_path, data)))
  assert str(caught.value).startswith(f"{tmp_path}/x.tar")
  assert said in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_damaged_header_in_the_middle(tmp_path):
  """Python's tarfile would take it for the end."""
  start = WHOLE.index(b"n01440764_1.JPEG")
  data = WHOLE[: start + 100] + b"zzz" + WHOLE[start + 103 :]
  with pytest.raises(errors.DataError, match=f"no header at byte {start}"):
    list(archives.members(put(tmp_path, data)))


def test_an_inner_tar_file_may_not_reach_beyond_itself(tmp_path):
  inner = bytearray(official.tar(FILES))
  last = tarfile.TarInfo("n01440764_2.JPEG")
  last.size = 2**20
  start = inner.index(b"n01440764_2.JPEG")
  inner[start : start + 512] = last.tobuf(tarfile.GNU_FORMAT)
  data = official.tar(
    {"n01440764.tar": bytes(inner), "n01443537.tar": bytes(2**21)}
  )
  with pytest.raises(errors.DataError, match=r"n01440764\.tar: .* is cut off"):
    for _, images in archives.nested(put(tmp_path, data)):
      list(images)


def test_a_file_that_was_changed_since(tmp_path):
  file = put(tmp_path, WHOLE)
  image = list(archives.members(file))[-1]
  file.write_bytes(WHOLE[:2000])
  with pytest.raises(errors.DataError, match=r"not the \d+ it was listed"):
    archives.read(image.path, image.offset, image.size)
  file.unlink()
  with pytest.raises(errors.DataError, match="cannot be read: No such file"):
    archives.read(image.path, image.offset, image.size)


STRANGE = {
  "readme.txt": b"x",
  "n01440764/readme.txt": b"x",
  "n01440764/x.JPEG/y.JPEG": b"x",
  "n01440764.tar.gz": b"x",
  "n0144.tar": b"x",
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_does_not_belong_into_a_folder(name, tmp_path):
  trees.write(tmp_path, {name: STRANGE[name]})
  with pytest.raises(errors.DataError) as caught:
    for _, images in archives.classes(tmp_path):
      list(images)
  assert str(caught.value).startswith(f"{tmp_path}/n") or "readme" in name
