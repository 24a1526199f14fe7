"""Hashes that identify the samples of a run."""

from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels import Model
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import NUMBERS_AT_A_TIME, check_samples


def fingerprint(model: Model, x: Inputs, y: ArrayLike) -> str:
    """Return the hash of samples, trained on or held out, that a run of this model has in its identity."""
    columns, target = check_samples(model, x, y)
    return hash_columns(*columns, target)


def hash_columns(*columns: Floats) -> str:
    """Return a hash of all values, computed in pieces, so that a memory map of any size is read without a copy."""
    digest = blake2b(digest_size=16)
    for column in columns:
        for first in range(0, column.size, NUMBERS_AT_A_TIME):
            digest.update(np.ascontiguousarray(column[first : first + NUMBERS_AT_A_TIME]).data)
    return digest.hexdigest()
