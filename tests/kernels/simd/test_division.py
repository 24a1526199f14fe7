"""Quotients and roots of lanes against those of NumPy: the same bits, or within 2 ULP where they may be fused."""

from functools import cache as once

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import config

from sgdbench.kernels.simd.division import has_fast_divider
from tests.support.bits import bits
from tests.support.divided import arguments, quotients_and_roots

HAS_ESTIMATES = bool(llvm.get_host_cpu_features().get("avx512f")) and not config.DISABLE_JIT
QUOTIENT, ROOT = 0, 1
pairs = once(arguments)


def expected():
    u, v = pairs()
    with np.errstate(all="ignore"):
        return np.stack([u / v, np.sqrt(u)])


def assert_same_bits(found, true):
    """But for the sign of a nan, which is the processor's affair."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(true))
    known = ~np.isnan(true)
    np.testing.assert_array_equal(bits(found[known]), bits(true[known]))


def test_exact_quotients_and_roots_are_those_of_numpy():
    assert_same_bits(quotients_and_roots("exact", *pairs()), expected())


@pytest.mark.parametrize("place", [QUOTIENT, ROOT], ids=["quotient", "root"])
def test_fused_ones_are_within_2_ulp(place):
    """They are NumPy's or neighbours of those, which are within half a unit of the true ones."""
    found, true = quotients_and_roots("fma", *pairs())[place], expected()[place]
    special = ~np.isfinite(true) | (true == 0)
    assert_same_bits(found[special], true[special])
    apart = np.abs(bits(found[~special]).view(np.int64) - bits(true[~special]).view(np.int64))
    of_divider = place == QUOTIENT and has_fast_divider()
    assert apart.max() == (HAS_ESTIMATES and not of_divider)


def test_subnormal_numbers_have_roots():
    u = np.ldexp(np.arange(1.0, 65.0), -1074)
    for mode in ("exact", "fma"):
        np.testing.assert_allclose(quotients_and_roots(mode, u, u), [np.ones(64), np.sqrt(u)], rtol=4.5e-16, atol=0)
