"""log and log1p in AVX-512 registers.

log(x) = k*ln(2) + log(c) + log(1 + r) with x = 2**k * m, m from 3/4 to 3/2, and r = m/c - 1. The sixteen values of c
are the midpoints of equal parts of that range, except one that is 1, so that nothing cancels where x is close to 1. A
permutation reads 1/c and log(c) from two registers each. The 1/c are chosen such that log(c) is a double to four more
digits than a double has: S. Gal, B. Bachelis, An accurate elementary mathematical library for the IEEE floating point
standard, ACM Transactions on Mathematical Software 17 (1991).
"""

from llvmlite import ir

from sgdbench.kernels.simd.vector import Vector, bits_of, exponent, look_up, mantissa, scale

RECIPROCALS = (
    1.2930000406340296, 1.2190285240420082, 1.1532672881467696, 1.0940108986935317,
    1.0406798661802943, 1.0, 0.9480572023325717, 0.9077737190028311,
    0.8708158802425322, 0.8365912598500023, 0.805011241868681, 0.7757881012568035,
    0.7486058192050863, 0.7231705498579544, 0.6994045476666438, 0.6772450577690483,
)  # fmt: skip
LOGARITHMS = (
    -0.2569651312158836, -0.19805424976762395, -0.14259903414921515, -0.08985066619288305,
    -0.03987421705413665, 0.0, 0.053340438534239296, 0.09676013958501568,
    0.13832471340477767, 0.1784196672554796, 0.21689903660682203, 0.2538758614787776,
    0.2895427100914655, 0.32411019272178104, 0.35752595213401844, 0.3897220955421961,
)  # fmt: skip
# (log(1 + r) - r) / r**2 in ascending powers of r. From -0.031 to 1/32 this gives log(1 + r) with a relative error of
# at most 1.1e-17 (Remez algorithm in 60 digits).
LOG = (
    -0.49999999999999695,
    0.33333333333334,
    -0.25000000004245576,
    0.19999999996832296,
    -0.16666650849391315,
    0.14285714561239907,
    -0.12521797224471656,
    0.11121869845212681,
)
# ln(2) in two parts. The first has 42 bits: its product with an exponent is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")
# Maps mantissas from [3/4, 3/2] to [1, 2].
TO_MANTISSA = 1.3333333333333333
# The distance of the sixteenths of a mantissa from its last bit.
SIXTEENTHS = 48
# From this exponent of 2 on, the rounding error of 1 + x is negligible.
LARGEST = 60.0


def log_avx512(x: Vector) -> Vector:
    """Return log(x), within 1.5 ULP: -inf at 0, nan below."""
    k, _, logarithm, r = _reduce(x)
    return _combine(k, logarithm, r)


def log1p_avx512(x: Vector) -> Vector:
    """Return log(1 + x), within 2 ULP: -inf at -1, nan below.

    The rounding error of 1 + x is added to r.
    """
    rounded = x + 1.0
    k, reciprocal, logarithm, r = _reduce(rounded)
    builder, size = x.builder, k.call("llvm.fabs")
    usual = builder.fcmp_ordered("<", size.value, ir.Constant(k.value.type, LARGEST))
    rest = scale(x - (rounded - 1.0), k * -1.0, mask=usual)
    return _combine(k, logarithm, rest.fma(reciprocal, r)).call("llvm.copysign", x)


def _reduce(x: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """Return k, 1/c, log(c) and r with x = 2**k * c * (1 + r)."""
    m, builder = mantissa(x), x.builder
    bits = bits_of(m * TO_MANTISSA)
    places = builder.lshr(bits, ir.Constant(bits.type, SIXTEENTHS))
    reciprocal, logarithm = (look_up(table, places, builder) for table in (RECIPROCALS, LOGARITHMS))
    return exponent(x) - exponent(m), reciprocal, logarithm, m.fma(reciprocal, -1.0)


def _combine(k: Vector, logarithm: Vector, r: Vector) -> Vector:
    """Return k*ln(2) + log(c) + log(1 + r), the small parts first."""
    polynomial: Vector | float = LOG[-1]
    for coefficient in LOG[-2::-1]:
        polynomial = r.fma(polynomial, coefficient)
    small = k.fma(LN2_LOW, (r * r).fma(polynomial, r))
    return k.fma(LN2_HIGH, logarithm) + small
