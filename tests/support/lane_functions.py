"""The functions and the arithmetic of lanes, for arguments where they are special."""

import mpmath
import numpy as np
from numba import njit

from sgdbench.kernels.simd.compiled_functions import COMPILED
from sgdbench.kernels.simd.lanes import read_lane, write_lane

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
EXACT = {"add": "p + q", "subtract": "p - q", "multiply": "p * q", "divide": "p / q", "negative": "-p"}
EXACT |= {name: f"np.{name}(p)" for name in ("sqrt", "absolute", "sign")}
EXACT |= {name: f"np.{name}(p, q)" for name in ("minimum", "maximum")}
EXACT |= {f"our {name}": f"{name}(p, q)" for name in ("less", "less_equal", "minimum", "maximum")}
EXACT |= {"our where": "where(q, p, q)"}


def compile_all():
    """A function that writes each function of FUNCTIONS, then of EXACT, in a row of `out`."""
    texts = {name: f"np.{name}(p)" for name in FUNCTIONS} | {"power": "np.power(p, q)", "erf": "erf(p)"} | EXACT
    lines = ["for i in range(0, u.size, 16):", "    p, q = read_lane(u, i, 16), read_lane(v, i, 16)"]
    lines += [f"    write_lane({text}, out[{row}], i)" for row, text in enumerate(texts.values())]
    scope = {"np": np, "read_lane": read_lane, "write_lane": write_lane, **COMPILED}
    exec("def all_on_lanes(u, v, out):\n    " + "\n    ".join(lines), scope)
    return njit(error_model="numpy")(scope["all_on_lanes"])


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
        compile_all()(u, v, out)
    return out
