"""Local searches by SciPy."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from sgdbench.kernels.train.local_search import descend


def threads():
    """Those of the BLAS that SciPy brings, and of NumPy's, by their folders."""
    return {Path(one.filepath).parent.name: one.num_threads for one in ThreadpoolController().lib_controllers}


def test_steps_are_taken_in_one_thread_and_the_objective_has_its_own():
    inside = []

    def bowl(theta):
        inside.append(threads())
        return float((theta - 3) @ (theta - 3)), 2 * (theta - 3)

    descend(bowl, np.zeros(4))  # SciPy's is loaded now
    if not {"scipy.libs", "numpy.libs"} <= threads().keys():
        pytest.skip("NumPy and SciPy share a BLAS here")
    with ThreadpoolController().limit(limits=2):
        before = threads()
        inside.clear()
        value, where, _ = descend(bowl, np.zeros(4), times=1)
        assert threads() == before
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(where, 3)
    assert set(before.values()) == {2}
    # The first and the last value, of the start and of the end, are no part of the search.
    assert inside[1:-1] == [before | {"scipy.libs": 1}] * (len(inside) - 2)
