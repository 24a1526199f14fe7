"""Numbers as bits, and files with a bit that has changed."""

import numpy as np


def bits(numbers):
    """The bits of numbers, so that -0 is not 0; those of a nan, which say nothing, are always the same."""
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.int64)


def flip_a_bit(path, place=0.5):
    """Change a bit of a file, half of the way through it or elsewhere."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
