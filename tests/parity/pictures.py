"""Pictures made by a rule, the same with every program's numpy."""

import numpy as np


def picture(h, w, channels=3):
  """Waves, an edge and a flat part, uint8 [h, w, channels].

  No value is so near to black or white that a kernel with negative weights
  would go beyond it. Where it does, Pillow 12 and 13 differ by more than one
  level, for 13 resizes the columns of a tall image first.
  """
  y, x, c = np.meshgrid(*map(np.arange, (h, w, channels)), indexing="ij")
  # Whole numbers alone, as the sine of another library may differ by a level.
  image = 64 + np.abs((y * (7 + c) + x * (5 + 2 * c) + y * x // 3) % 256 - 128)
  image[h // 4 : h // 2, w // 3 : w // 2] = np.array([70, 71, 180])[:channels]
  image[:, w // 2] = 255 - image[:, w // 2]
  return image.astype(np.uint8)
