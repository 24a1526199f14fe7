"""The arrays of one block among those of many."""

from typing import NamedTuple

import numpy as np
from numba import config, njit

from sgdbench.kernels.simd.blocks import block_at


class Pair(NamedTuple):
    tables: np.ndarray
    counts: np.ndarray


def test_a_block_is_a_row_of_each_array_and_is_written_to_in_place():
    def read_and_write(pairs, number):
        pair = block_at(pairs, number)
        pair.counts[1] = 10 * pair.counts[0]
        pair.tables[1, 2] = pair.tables[0, 0]
        return pair.tables.shape, pair.tables[1], pair.counts.size

    if not config.DISABLE_JIT:
        read_and_write = njit(read_and_write)
    pairs = Pair(np.arange(24.0).reshape(4, 2, 3), np.arange(8).reshape(4, 2))
    expected = Pair(pairs.tables.copy(), pairs.counts.copy())
    expected.counts[2, 1], expected.tables[2, 1, 2] = 40, 12.0
    shape, row, size = read_and_write(pairs, 2)
    assert (shape, size) == ((2, 3), 2)
    np.testing.assert_array_equal(row, [15, 16, 12])
    for found, wanted in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_arrays_without_rows_have_none_in_a_block():
    pairs = Pair(np.empty((3, 0, 5)), np.empty((3, 0), np.int64))
    shapes = njit(lambda pairs: (block_at(pairs, 1).tables.shape, block_at(pairs, 1).counts.shape))(pairs)
    assert shapes == ((0, 5), (0,))
