"""Quotients and square roots of lanes: by the divider, or with AVX-512 from the processor's estimates of 14 bits.

A Xeon's divider takes 16 cycles for eight quotients and 18 for eight roots, in which the units that add and multiply
could do more than 30 operations; an update of adam leaves them idle. So where operations may be fused, these make all
roots and every other quotient, within 2 units in the last place (ULP). A cubic in the relative error of the estimate
corrects it, which is as good as two of Newton's steps and takes as many operations.
"""

from typing import Any

from llvmlite import ir

from kernels.base.numba_internals import allows_fma, features_of
from kernels.simd.vector import (
    REGISTER,
    Vector,
    concatenate,
    estimate_reciprocal,
    estimate_reciprocal_root,
    exponent,
    keep_zeros_and_infinity,
    scale,
    significand,
    split,
)

# 1/sqrt(1 - e) - 1 in rising powers of e, from the first on. Up to |e| = 2**-13 the error is 1.1e-17 at most, the least
# there is for three terms of which the first and the last are those of the series.
ROOT = (0.5, 0.375 + 0.2265 * 2.0**-26, 0.3125)


def divide(context: Any, builder: Any, _sig: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """Emit a / b: to the bit, or within 2 ULP where operations may be fused."""
    if not _uses_estimates(context, a.type):
        return builder.fdiv(a, b)
    pairs = zip(_registers(builder, a), _registers(builder, b), strict=True)
    # Every other one: the other units have the roots and the rest of the update to do.
    quotients = [u / v if place % 2 else _close_quotient(u, v) for place, (u, v) in enumerate(pairs)]
    return concatenate(builder, [quotient.value for quotient in quotients])


def sqrt(context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit the square root: to the bit, or within 2 ULP where operations may be fused."""
    if not _uses_estimates(context, x.type):
        return Vector(builder, x).call("llvm.sqrt").value
    return concatenate(builder, [_close_root(part).value for part in _registers(builder, x)])


def _uses_estimates(context: Any, kind: ir.Type) -> bool:
    """Return whether last bits may differ in the code that is emitted, and there are estimates for lanes of a type."""
    fits = isinstance(kind, ir.VectorType) and kind.element == ir.DoubleType() and kind.count % REGISTER == 0
    return fits and allows_fma(context) and "+avx512f" in features_of(context)


def _registers(builder: Any, lane: ir.Value) -> list[Vector]:
    return [Vector(builder, part) for part in split(builder, lane, REGISTER)]


def _close_quotient(a: Vector, b: Vector) -> Vector:
    """Return a / b within 2 ULP.

    The significands' quotient is scaled at last, so that nothing is out of range on the way. It is a * y / (1 - e) with
    the estimate y of 1/b and e = 1 - b*y, up to 2**-14. Zeros, infinities and nan come out right by their exponents.
    """
    m = significand(b)
    y = estimate_reciprocal(m)
    e = (-m).fma(y, 1.0)
    q = significand(a) * y
    return scale(q.fma(e.fma(e.fma(e, e), e), q), exponent(a) - exponent(b))


def _close_root(x: Vector) -> Vector:
    """Return sqrt(x) within 2 ULP, as x * y / sqrt(1 - e) with the estimate y of 1/sqrt(x) and e = 1 - x * y**2."""
    y = estimate_reciprocal_root(x)
    g = x * y
    e = (-g).fma(y, 1.0)
    first, second, third = ROOT
    return keep_zeros_and_infinity((g * e).fma(e.fma(e.fma(third, second), first), g), x)
