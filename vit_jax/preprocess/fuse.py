"""Host ops that are run as one, because that is faster."""

from vit_jax.preprocess import decode, geometry, op


class DecodeCrop(op.HostOp):
  """`decode|inception_crop`, without decoding what the crop leaves out.

  Takes the same part of the image as the two ops on their own, drawn from the
  same numbers. Its pixels are equal too, unless a JPEG is decoded at a smaller
  scale. That is where the part is at least twice as large as the result on
  both axes and the crop is bilinear without antialiasing, which there would
  skip pixels: the result is smoother. See `Decode.part`.
  """

  def __init__(self, first: decode.Decode, second: geometry.InceptionCrop):
    self._decode, self._crop = first, second

  def begin(self, example, rng):
    return self._decode.draw(example, lambda h, w: self._crop.draw(h, w, rng))

  def __call__(self, example, rng):
    if not isinstance(example["image"], decode.Begun):
      example = self.begin(example, rng)
    crop = self._crop
    part, box = self._decode.part(example, crop.size if crop.is_fast else None)
    image = part["image"]
    whole = (0, 0, *image.shape[:2])
    return {**part, "image": crop.fit(image, None if box == whole else box)}


def fused(ops: list[op.HostOp]) -> list[tuple[op.HostOp, int]]:
  """The ops to run in place of `ops`, and how many each stands for."""
  match ops:
    case [decode.Decode() as first, geometry.InceptionCrop() as second, *rest]:
      return [(DecodeCrop(first, second), 2), *((o, 1) for o in rest)]
  return [(o, 1) for o in ops]
