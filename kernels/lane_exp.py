"""exp and tanh on LLVM vectors, written out in instructions that every processor has.

A call of a library would spill all registers. What emits a function here has the arguments ``(context, builder,
signature, vector)``, as numba calls it.
"""

from typing import Any

from llvmlite import ir

from kernels.lane_vector import Vector, constant, llvm_function

LOG2_E = 1.4426950408889634
# ln(2) in two parts. The first has 32 bits: its product with a whole number of up to 21 bits is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
BIAS = 1023  # of the exponent of a double
# Doubles of this size are whole numbers: to add it is to round.
ROUNDER = 1.5 * 2.0**52 + 2 * BIAS
# (exp(r) - 1 - r) / r**2 in rising powers of r. Up to |r| = ln(2)/2 that gives exp(r) with a relative error of 3.7e-18
# at most, the least there is for this degree (Remez' algorithm in 50 digits).
EXP = (
    0.5000000000000011,
    0.16666666666666413,
    0.041666666666530267,
    0.008333333333494338,
    0.0013888888943597944,
    0.00019841269506766388,
    2.4801493135891248e-05,
    2.755758627893524e-06,
    2.7630234036733407e-07,
    2.5000068172121073e-08,
)

# exp is 0 below, and infinite above; tanh is 1 from here on.
LEAST, MOST, ONE_FROM = -746.0, 710.0, 20.0


def exp(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit exp(x), within 1.1 ULP. It is 0 below -746, and infinite above 710."""
    u, s, t = _exp_parts(Vector(builder, x).replace(LEAST, "<", LEAST).replace(MOST, ">", MOST))
    return ((u * s + s) * t).value


def tanh(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit tanh(x) = e / (e + 2) with e = exp(2|x|) - 1 and the sign of x, within 3 ULP. It is 1 from 20 on."""
    size = Vector(builder, llvm_function(builder, "llvm.fabs", x)).replace(ONE_FROM, ">", ONE_FROM)
    u, s, t = _exp_parts(size * 2.0)
    power = s * t
    e = u * power + (power - 1.0)
    return llvm_function(builder, "llvm.copysign", (e / (e + 2.0)).value, x)


def _exp_parts(x: Vector) -> tuple[Vector, Vector, Vector]:
    """u, s and t with exp(x) = (1 + u) * s * t, for x from -746 to 710.

    With x = k*ln(2) + r and k whole, u is exp(r) - 1, and s*t is 2**k: two factors, since 2**k alone can be out of
    range where exp(x) is not.
    """
    shifted = x * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    r = x - k * LN2_HIGH - k * LN2_LOW
    square = r * r
    # In pairs of terms, which need not wait for each other.
    polynomial, *pairs = [r * odd + even for even, odd in zip(EXP[-2::-2], EXP[::-2], strict=True)]
    for pair in pairs:
        polynomial = polynomial * square + pair
    u = polynomial * square + r

    # The last bits of `shifted` are k + 2*BIAS, the sum of the two biased exponents.
    builder, whole = x.builder, ir.VectorType(ir.IntType(64), x.value.type.count)
    both = builder.bitcast(shifted.value, whole)
    half = builder.lshr(both, constant(whole, 1))
    s, t = (
        Vector(builder, builder.bitcast(builder.shl(exponent, constant(whole, 52)), x.value.type))
        for exponent in (half, builder.sub(both, half))
    )
    return u, s, t
