"""The visiting order: uniform, and a function of (seed, epoch) alone."""

from itertools import permutations
from types import FunctionType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import stats

from sgdbench.kernels.data.order import permutation
from sgdbench.kernels.loops import order

GOLDEN = [1, 3, 0, 8, 2, 6, 7, 9, 4, 5]  # of seed 0, epoch 1
# Chance alone fails a test with this significance once in a million seeds; the seeds are fixed.
SIGNIFICANCE = 1e-6


def plain(function):
    """A function of the order as Python runs it."""
    return getattr(function, "py_func", function)


@pytest.fixture(scope="module")
def compiled():
    """`permute`, compiled on its own: what becomes of the places 0..n-1, behind others that stay."""
    names = dict(vars(order))
    for name in ("sfc64", "swap_with_random", "start_generator", "swap_down"):
        names[name] = njit(FunctionType(plain(getattr(order, name)).__code__, names))
    shuffle = njit(FunctionType(plain(order.permute).__code__, names))

    def permutation(n, seed, epoch):
        places = np.concatenate([[7, 7, 7], np.arange(n)]).astype(np.uint32)
        shuffle(places, 3, n, np.uint64(seed), epoch)
        assert places[:3].tolist() == [7, 7, 7]
        return places[3:].astype(int)

    return permutation


def test_short_orders_never_change(compiled):
    """Golden: whoever changes them breaks the repetition of every shuffled run."""
    assert compiled(10, 0, 0).tolist() == [9, 6, 1, 2, 4, 0, 8, 3, 7, 5]
    assert compiled(10, 0, 1).tolist() == GOLDEN
    assert compiled(10, 2**64 - 1, 99).tolist() == [4, 2, 7, 9, 5, 8, 0, 6, 1, 3]


@given(st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 2**53))
def test_it_is_the_order_of_the_reference(compiled, n, seed, epoch):
    np.testing.assert_array_equal(compiled(n, seed, epoch), permutation(n, seed, epoch))


def lemire(draws, below):
    """Lemire's algorithm 5 in Python's integers: a number below `below`, and how many draws of 32 bits it took.

    None where all draws are rejected.
    """
    for taken, draw in enumerate(draws, 1):
        product = draw * below
        if product % 2**32 >= 2**32 % below:
            return product // 2**32, taken
    return None


def draw_with_remainder(left, below):
    """The smallest draw whose product with `below` is `left` modulo 2**32."""
    twos = below & -below
    return left // twos * pow(below // twos, -1, 2**32 // twos) % (2**32 // twos)


def draws_at_the_threshold(below):
    """Draws next to where rejection begins and ends, as far as there are such, and the extremes of all draws.

    The remainder is a multiple of the largest power of 2 in `below`, as the threshold 2**32 % below is too.
    """
    twos, threshold = below & -below, 2**32 % below
    lefts = [0, twos, *range(threshold - 2 * twos, threshold + 3 * twos, twos), below - twos, below, below + twos]
    draws = [draw_with_remainder(left, below) for left in lefts if 0 <= left < 2**32]
    return sorted({*draws, 1, 2**31, 2**32 - 1})


class Untouched(dict):
    """Places of any number in which place i is i, until it is swapped."""

    def __missing__(self, place):
        return place


BOUNDS = [2, 3, 5, 6, 7, 11, 12, 64, 100, 641, 800, 4097, 65_537, 99_999]


@pytest.mark.parametrize("below", [*BOUNDS, 10**6 + 3, 2**31 - 1, 2**31])
def test_a_draw_is_rejected_where_lemire_rejects_it(below):
    rejected = 0
    for draw in draws_at_the_threshold(below):
        places = Untouched()
        left = plain(order.swap_with_random)(places, np.uint64(0), np.uint64(below), np.uint64(draw))
        if accepted := lemire([draw], below):
            j, _ = accepted
            assert (left, places) == (below - 1, {below - 1: j, j: below - 1})
        else:
            rejected += 1
            assert (left, places) == (below, {})
    assert (rejected > 0) is (2**32 % below > 0)


@pytest.fixture(scope="module")
def compiled_placed():
    return njit(FunctionType(plain(order.swap_with_random).__code__, vars(order)))


@pytest.mark.parametrize("below", BOUNDS)
def test_compiled_code_rejects_the_same_draws(compiled_placed, below):
    for draw in draws_at_the_threshold(below):
        places, expected = np.arange(below, dtype=np.uint32), np.arange(below, dtype=np.uint32)
        asked = np.uint64(0), np.uint64(below), np.uint64(draw)
        assert compiled_placed(places, *asked) == plain(order.swap_with_random)(expected, *asked)
        np.testing.assert_array_equal(places, expected)


def draws_of(seed, epoch, size):
    """That many draws of NumPy's SFC64, started as the reference starts it."""
    bits = np.random.SFC64()
    words = np.array([seed, epoch, 0, 1], dtype=np.uint64)
    bits.state = {"bit_generator": "SFC64", "state": {"state": words}, "has_uint32": 0, "uinteger": 0}
    bits.random_raw(order.WARM_UP, output=False)
    return [half for raw in bits.random_raw(-(-size // 2)).tolist() for half in (raw % 2**32, raw // 2**32)]


@pytest.mark.parametrize("seed", [233, 993, 2375])
def test_an_order_in_which_a_draw_is_rejected(compiled, seed):
    """One in seven hundred orders of 5,000 has one; these were searched for."""
    n = 5000
    draws = iter(draws_of(seed, 0, n + 10))
    places, taken = list(range(n)), 0
    for i in range(n - 1, 0, -1):
        j, used = lemire(draws, i + 1)
        places[i], places[j] = places[j], places[i]
        taken += used
    assert taken == n
    assert compiled(n, seed, 0).tolist() == places
    assert permutation(n, seed, 0).tolist() == places


def test_seeds_and_epochs_give_different_orders(compiled):
    orders = {compiled(20, seed, epoch).tobytes() for seed in range(30) for epoch in range(30)}
    assert len(orders) == 900


def test_every_permutation_is_as_likely(compiled):
    epochs = 24 * 400
    counts = dict.fromkeys(permutations(range(4)), 0)
    for epoch in range(epochs):
        counts[tuple(compiled(4, 11, epoch).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("by", ["seed", "epoch"])
def test_every_place_is_as_likely_for_every_element(compiled, by):
    n, repeats = 30, 10_000
    counts = np.zeros((n, n))
    for i in range(repeats):
        counts[np.arange(n), compiled(n, *((i, 5) if by == "seed" else (5, i)))] += 1
    # (n - 1)**2 counts are free: rows and columns add up to `repeats`.
    chi_square = ((counts - repeats / n) ** 2 / (repeats / n)).sum()
    assert SIGNIFICANCE < stats.chi2.sf(chi_square, (n - 1) ** 2) < 1 - SIGNIFICANCE


def test_neighbouring_epochs_are_independent(compiled):
    n, epochs = 50, 4000
    places = np.array([np.argsort(compiled(n, 3, epoch)) for epoch in range(epochs)])
    pairs = [stats.pearsonr(places[:-1, i], places[1:, i]).statistic for i in range(n)]
    # Standard normal, times sqrt(epochs), where there is no dependence.
    assert np.abs(pairs).max() < 6 / np.sqrt(epochs)
