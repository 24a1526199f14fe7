"""The functions and the arithmetic of lanes, for arguments where they are special."""

import mpmath
import numpy as np
from numba import njit

from kernels.simd.compiled_functions import COMPILED
from kernels.simd.lanes import read_lane, write_lane

EPS = np.finfo(float).eps


LARGEST, SMALLEST_NORMAL, SMALLEST = np.finfo(float).max, np.finfo(float).tiny, np.finfo(float).smallest_subnormal


# Bounds in units in the last place of the true value: ours as `lane_exp` states them, and 4 as glibc does.
FUNCTIONS = {
    "exp": (mpmath.exp, 1.1),
    "tanh": (mpmath.tanh, 3),
    "log": (mpmath.log, 4),
    "sin": (mpmath.sin, 4),
    "cos": (mpmath.cos, 4),
    "tan": (mpmath.tan, 4),
    "arcsin": (mpmath.asin, 4),
    "arccos": (mpmath.acos, 4),
    "arctan": (mpmath.atan, 4),
    "power": (lambda u, v: abs(u) ** v * (-1 if u < 0 and v % 2 else 1), 4),
    "log1p": (mpmath.log1p, 4),
    "expm1": (mpmath.expm1, 4),
    "sinh": (mpmath.sinh, 4),
    "cosh": (mpmath.cosh, 4),
    "erf": (mpmath.erf, 4),
}


EXACT = ["add", "subtract", "multiply", "divide", "negative", "sqrt", "absolute", "sign", "minimum", "maximum"]


EXACT += ["our less", "our less_equal", "our minimum", "our maximum", "our where"]


less, less_equal, minimum, maximum, where, erf = (
    COMPILED[name] for name in ("less", "less_equal", "minimum", "maximum", "where", "erf")
)


@njit(error_model="numpy")
def all_on_lanes(u, v, out):
    """Each function of FUNCTIONS, then of EXACT, in a row of `out`."""
    for i in range(0, u.size, 16):
        p, q = read_lane(u, i, 16), read_lane(v, i, 16)
        write_lane(np.exp(p), out[0], i)
        write_lane(np.tanh(p), out[1], i)
        write_lane(np.log(p), out[2], i)
        write_lane(np.sin(p), out[3], i)
        write_lane(np.cos(p), out[4], i)
        write_lane(np.tan(p), out[5], i)
        write_lane(np.arcsin(p), out[6], i)
        write_lane(np.arccos(p), out[7], i)
        write_lane(np.arctan(p), out[8], i)
        write_lane(np.power(p, q), out[9], i)
        write_lane(np.log1p(p), out[10], i)
        write_lane(np.expm1(p), out[11], i)
        write_lane(np.sinh(p), out[12], i)
        write_lane(np.cosh(p), out[13], i)
        write_lane(erf(p), out[14], i)
        write_lane(p + q, out[15], i)
        write_lane(p - q, out[16], i)
        write_lane(p * q, out[17], i)
        write_lane(p / q, out[18], i)
        write_lane(-p, out[19], i)
        write_lane(np.sqrt(p), out[20], i)
        write_lane(np.absolute(p), out[21], i)
        write_lane(np.sign(p), out[22], i)
        write_lane(np.minimum(p, q), out[23], i)
        write_lane(np.maximum(p, q), out[24], i)
        write_lane(less(p, q), out[25], i)
        write_lane(less_equal(p, q), out[26], i)
        write_lane(minimum(p, q), out[27], i)
        write_lane(maximum(p, q), out[28], i)
        write_lane(where(q, p, q), out[29], i)


def arguments():
    """Pairs of numbers: where functions are special, all sizes a double can have, and where functions bend."""
    rng = np.random.default_rng(1)
    special = [0, SMALLEST, SMALLEST_NORMAL, 1e-310, 1e-300, 1 - EPS / 2, 1, 1 + EPS, np.log(2) / 2, np.log(2) / 4]
    special += [np.pi / 2, np.pi, 2, 19.06, 20, 22, 1e5, 1e22, 1e300, LARGEST, np.inf, np.nan]
    # Around the last finite and the first normal value of exp, and around its smallest one.
    special += [708.3964185322641, 709.782712893384, 709.7827128933841, 710.5, 745.1332191019411, 745.1332191019412]
    special += [745.5, 746.5]
    special = np.array([*special, *(-number for number in special)])
    sizes = rng.choice([-1, 1], 500) * np.exp2(rng.uniform(-1074, 1024, 500))
    x = [special, sizes, rng.uniform(-750, 715, 300), rng.uniform(-25, 25, 300), rng.uniform(-1, 1, 500)]
    x += [1 + 1e-3 * rng.standard_normal(200), np.abs(sizes), np.arange(-100, 100) * np.pi / 4]
    u = np.concatenate(x)
    v = np.concatenate([rng.choice(special, special.size), rng.uniform(-10, 10, u.size - special.size)])
    v[::3] = np.rint(v[::3])
    both = np.concatenate([u, special.repeat(special.size)]), np.concatenate([v, np.tile(special, special.size)])
    return tuple(np.resize(one, -(-one.size // 16) * 16) for one in both)


def results():
    u, v = arguments()
    out = np.empty((len(FUNCTIONS) + len(EXACT), u.size))
    with np.errstate(all="ignore"):
        all_on_lanes(u, v, out)
    return out
