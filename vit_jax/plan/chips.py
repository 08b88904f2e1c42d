"""What the vendor and the compiler say about each kind of TPU."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
  """Peak figures of one device, as JAX counts devices.

  Attributes:
    devices: devices on a chip; a v3 has two.
    flops_per_s: rate of bfloat16 matrix multiplications.
    hbm_bytes: memory that a program may use; the compiler reserves some.
    hbm_bytes_per_s: bandwidth between the memory and the core.
    ici_bytes_per_s: bandwidth to other devices, all links together.
    source: page of the vendor's documentation, read on 2026-11-22.
  """

  devices: int
  flops_per_s: float
  hbm_bytes: int
  hbm_bytes_per_s: float
  ici_bytes_per_s: float
  source: str


_DOCS = "https://cloud.google.com/tpu/docs/"
_GIB = 2**30

# `hbm_bytes` is what libtpu 0.0.42 calls available if a program asks for more.
# `ici_bytes_per_s` of v3, v4, v5e and v6e is a pod's all-reduce bandwidth
# divided by its chips (340 TB/s of 1,024; 1.1 PB/s of 4,096; 51.2 TB/s of 256;
# 102.4 TB/s of 256), and of v5p half of the bidirectional 1,200 GB/s. The other
# figures are printed on the page.
CHIPS = {
  "v3": Chip(2, 123e12 / 2, int(15.48 * _GIB), 450e9, 166e9, _DOCS + "v3"),
  "v4": Chip(1, 275e12, int(30.75 * _GIB), 1200e9, 268e9, _DOCS + "v4"),
  "v5e": Chip(1, 197e12, int(15.75 * _GIB), 819e9, 200e9, _DOCS + "v5e"),
  "v5p": Chip(1, 459e12, int(95.74 * _GIB), 2765e9, 600e9, _DOCS + "v5p"),
  "v6e": Chip(1, 918e12, int(31.25 * _GIB), 1638e9, 400e9, _DOCS + "v6e"),
}
