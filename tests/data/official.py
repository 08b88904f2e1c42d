"""Official-looking files of ImageNet, made from two real photographs."""

import functools
import hashlib
import io
import tarfile

import cv2
from sklearn import datasets

from vit_jax.datasets.builders import imagenet2012

# Training images of each class; TFDS's labels 0, 1 and 999.
TRAIN = {"n01440764": 70, "n01443537": 60, "n15075141": 30}
# Of the validation images in the order of their names.
VALIDATION = ("n15075141", "n01440764", "n01443537", "n01440764") * 5


@functools.cache
def _photos():
  return datasets.load_sample_images().images


@functools.cache
def jpeg(number):
  """A part of a photograph, another for each number."""
  photo = _photos()[number % 2]
  y, x = number % 97, number % 89
  part = photo[y : y + 80, x : x + 100, ::-1]
  return cv2.imencode(".jpg", part)[1].tobytes()


def train_files():
  """Bytes by name of the training images, by class."""
  out = {}
  for c, (wnid, count) in enumerate(TRAIN.items()):
    out[wnid] = {f"{wnid}_{i}.JPEG": jpeg(1000 * c + i) for i in range(count)}
  return out


def validation_files():
  """Bytes by name of the validation images."""
  return {
    f"ILSVRC2012_val_{i + 1:08d}.JPEG": jpeg(5000 + i)
    for i in range(len(VALIDATION))
  }


def tar(files):
  """A tar file's bytes, of files by name."""
  out = io.BytesIO()
  with tarfile.open(fileobj=out, mode="w") as archive:
    for name, data in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(data)
      archive.addfile(member, io.BytesIO(data))
  return out.getvalue()


def train_tar():
  return tar({f"{w}.tar": tar(files) for w, files in train_files().items()})


def write_tars(folder):
  """The two official tar files; validation is not in the order of names."""
  folder.mkdir(parents=True)
  (folder / "ILSVRC2012_img_train.tar").write_bytes(train_tar())
  val = dict(reversed(validation_files().items()))
  (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(val))
  return folder


def facts(folder):
  """What would be published about these files."""
  return imagenet2012.Facts(
    images={"train": sum(TRAIN.values()), "validation": len(VALIDATION)},
    classes=len(TRAIN),
    images_per_class={"train": (30, 70), "validation": (5, 10)},
    tars={
      tar.name: (
        tar.stat().st_size,
        hashlib.sha256(tar.read_bytes()).hexdigest(),
      )
      for tar in folder.glob("*.tar")
    },
    validation=VALIDATION,
  )
