"""Quotients and roots of lanes, in code where operations may be fused and in code where they may not."""

import numpy as np
from numba import njit

from sgdbench.kernels.simd.lanes import read_lane, write_lane

WIDTH = 32


def _on_lanes(u, v, out):
    for i in range(0, u.size, WIDTH):
        write_lane(np.sqrt(read_lane(u, i, WIDTH)), out[1], i)
        write_lane(read_lane(u, i, WIDTH) / read_lane(v, i, WIDTH), out[0], i)


FUNCTIONS = {"exact": njit(error_model="numpy")(_on_lanes)}
FUNCTIONS["fma"] = njit(error_model="numpy", fastmath={"contract"})(_on_lanes)


def quotients_and_roots(mode, u, v):
    """u / v and sqrt(u) in two rows."""
    out = np.empty((2, u.size))
    with np.errstate(all="ignore"):
        FUNCTIONS[mode](u, v, out)
    return out


def arguments():
    """Pairs of numbers: all special ones, any bits, quotients of all sizes, and those that are hard to round.

    Roots are taken of the first ones.
    """
    rng = np.random.default_rng(12)
    n = 2**18
    info = np.finfo(float)
    special = np.array([0, 1, 3, info.max, info.tiny, info.smallest_subnormal, 1e-310, 2.0**-1024, 2.0**1022, np.inf])
    special = np.concatenate([special, np.nextafter(special, 0), np.nextafter(special, 2), [np.nan, info.tiny * 1.5]])
    special = np.concatenate([special, -special])
    bits = rng.integers(0, 2**64, (2, n), dtype=np.uint64).view(float)
    # Quotients that overflow, are subnormal or vanish, as often as not.
    large = rng.integers(-1073, 1025, n)
    small = large - rng.choice([-1074, -1022, 0, 1024], n) + rng.integers(-2, 3, n)
    sizes = np.stack([large, np.clip(small, -1073, 1024)])
    ends = np.ldexp(rng.uniform(0.5, 1, (2, n)), sizes)
    ordinary = rng.uniform(1, 2, (2, n))
    # Divisors just below 2, whose reciprocals lie halfway between two numbers.
    below = np.stack([rng.uniform(1, 2, n), 2 - np.ldexp(rng.integers(1, 2**13, n).astype(float), -52)])
    specials = [special.repeat(special.size), np.tile(special, special.size)]
    roots = hard_numbers(rng)
    lists = [specials, bits, ends, ordinary, below, hard_pairs(rng), np.stack([roots, roots[::-1]])]
    u, v = np.concatenate(lists, axis=1)
    size = -(-u.size // WIDTH) * WIDTH
    return np.resize(u, size), np.resize(v, size)


def hard_pairs(rng):
    """Numbers from 1 to 2 whose quotients lie next to the middle between two neighbours, as close as there are.

    With whole numbers a and b of 53 bits, 2**s * a = q * b + r with an odd q of 54 bits and a small r.
    """
    found = []
    divisors = [*rng.integers(2**52, 2**53, 4000), *(2**53 - np.arange(1, 4097)), *(2**52 + np.arange(1, 65))]
    for b in map(int, divisors):
        for s in (53, 54):
            for r in (1, -1, 3, -3) if b % 2 else ():
                q = -r * pow(b, -1, 2**s) % 2**s
                for odd in (q, q + 2**s):
                    a, rest = divmod(odd * b + r, 2**s)
                    if 2**53 <= odd < 2**54 and 2**52 <= a < 2**53 and rest == 0:
                        found.append((a * 2.0**-52, b * 2.0**-52))
    return np.array(found).T


def hard_numbers(rng):
    """Numbers of all exponents whose roots are hard to round.

    Those next to powers of two and to squares are, those around the smallest number that fused operations take, and
    those whose roots are next to the middle between two numbers.
    """
    squares = np.square(rng.integers(2**25, 2**26, 2000) / 2.0**25)
    near = [*middle_squares(), 1.0 + np.arange(-64, 65) * 2.0**-52, squares, np.nextafter(squares, 0)]
    near = np.hstack([*near, np.nextafter(squares, 9)])
    near = np.concatenate([near, 2 * near])
    sized = [
        np.ldexp(near, 2 * rng.integers(low, high, near.size)) for low, high in ((-538, 511), (-455, -445), (0, 1))
    ]
    every = np.ldexp([[1.0], [1 + 2.0**-52], [1 - 2.0**-53]], np.arange(-1074, 1024)).ravel()
    return np.concatenate([*sized, every])


def middle_squares():
    """Numbers x from 1 to 4 next to ((k + 1/2) / 2**52)**2.

    x * 2**104 is k**2 + k + c for a small c. It is a multiple of 2**places, with 52 places, and 53 from x = 2 on. For
    each even c there are two such k modulo 2**places, found from the last place on.
    """
    for places, least in ((52, 1), (53, 2)):
        for c in range(-600, 602, 2):
            for k in (0, 1):
                for place in range(1, places + 1):
                    k += (k * k + k + c) % 2**place  # noqa: PLW2901 (0, or half of the divisor)
                k = 2**52 + k % 2**52  # noqa: PLW2901
                x = (k * k + k + c) / 2**104
                if (k * k + k + c) % 2**places == 0 and least <= x < 2 * least:
                    yield x
