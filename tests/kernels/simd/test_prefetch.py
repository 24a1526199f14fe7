"""Samples that are loaded ahead: which addresses, and that no bit changes by it."""

import re

import numpy as np
import pytest
from llvmlite import binding as llvm
from numba import config, njit

from kernels import fit, models
from kernels.loops.loops import MANY
from kernels.simd.prefetch import LINES, PREFETCHED, prefetch

N = int(MANY) + 2 * PREFETCHED + 3


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_the_lines_of_each_column_are_loaded_and_none_has_to_be_there():
    @njit
    def load(x, y, place):
        prefetch(x, y, place)
        return y[0]

    y = np.arange(3.0)
    assert load((y, y), y, 10**9) == 0.0
    (assembly,) = load.inspect_asm().values()
    instruction = "prefetcht0" if llvm.get_process_triple().startswith("x86_64") else "prfm"
    assert len(re.findall(rf"\n\s+{instruction}\s", assembly)) == 3 * LINES


@pytest.mark.parametrize("batch_size", [1, 48])
def test_many_samples_have_the_bits_of_the_reference(batch_size):
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (2, N))
    y = x[0] - 2 * x[1] + 0.1 * rng.standard_normal(N)
    settings = {"init": [0.1, 0.2, 0.3], "lr": 0.01, "epochs": 1, "batch_size": batch_size, "drop_last": False}
    found, expected = (fit(models.plane, x.T, y, kernel=kernel, **settings) for kernel in ("fused", "reference"))
    assert found.params.tobytes() == expected.params.tobytes()
    assert found.loss.tobytes() == expected.loss.tobytes()
