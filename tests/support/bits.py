"""Numbers as bits."""

import numpy as np


def bits(numbers):
    """The bits of numbers, so that -0 is not 0; those of a nan, which say nothing, are always the same."""
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.int64)
