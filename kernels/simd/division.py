"""Quotients and square roots of lanes: by the divider, or with AVX-512 from the processor's estimates of 14 bits.

A Xeon's divider takes 16 cycles for eight quotients and 18 for eight roots, in which the units that add and multiply
could do more than 30 operations; an update of adam leaves them idle. So where operations may be fused, these make all
roots and quotients, within 2 units in the last place (ULP). A cubic in the relative error of the estimate
corrects it, which is as good as two of Newton's steps and takes as many operations.

Elsewhere quotients have the bits of IEEE 754. Beside roots, which keep the divider busy, they are made by fused
operations all the same: a remainder without a rounding error tells which of two neighbours is right. P. Markstein,
Computation of elementary functions on the IBM RISC System/6000 processor, IBM Journal of Research and Development 34
(1990). AMD's dividers are two to three times as fast, and are left to do it.
"""

from functools import reduce
from typing import Any

from llvmlite import ir

from kernels.base.numba_internals import allows_fma, features_of
from kernels.simd.vector import (
    MASK,
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

# Quotients of a smaller exponent may be subnormal; that of a zero is infinite.
NORMAL, ZERO = -1021.0, -3000.0
# Divisors with a significand from here on are left to the divider; see `_exact_quotient`.
NEAR_2 = 2.0 - 2.0**-28


def divide(context: Any, builder: Any, _sig: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """Emit a / b: to the bit, or within 2 ULP where operations may be fused."""
    if not _has_estimates(context, a.type):
        return builder.fdiv(a, b)
    pairs = list(zip(_registers(builder, a), _registers(builder, b), strict=True))
    if not allows_fma(context):
        beside_roots = any(name.startswith("llvm.sqrt") for name in builder.module.globals)
        return _divide_exactly(pairs) if beside_roots and not _is_of_amd(context) else builder.fdiv(a, b)
    # All of them, though the divider is idle then: a run has the same bits wherever it stands in a lane.
    return concatenate(builder, [_close_quotient(*pair).value for pair in pairs])


def sqrt(context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit the square root: to the bit, or within 2 ULP where operations may be fused."""
    if not (_has_estimates(context, x.type) and allows_fma(context)):
        return Vector(builder, x).call("llvm.sqrt").value
    return concatenate(builder, [_close_root(part).value for part in _registers(builder, x)])


def _has_estimates(context: Any, kind: ir.Type) -> bool:
    """Return whether there are estimates for lanes of this type."""
    fits = isinstance(kind, ir.VectorType) and kind.element == ir.DoubleType() and kind.count % REGISTER == 0
    return fits and "+avx512f" in features_of(context)


def _is_of_amd(context: Any) -> bool:
    return "+sse4a" in features_of(context)


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


def _divide_exactly(pairs: list[tuple[Vector, Vector]]) -> ir.Value:
    """Return quotients to the bit: by fused operations, and anew by the divider where these may not be exact."""
    builder = pairs[0][0].builder
    found, doubts = zip(*(_exact_quotient(*pair) for pair in pairs), strict=True)
    doubtful = builder.bitcast(reduce(builder.or_, doubts), MASK)
    before = builder.block
    with builder.if_then(builder.icmp_unsigned("!=", doubtful, ir.Constant(MASK, 0)), likely=False):
        divided = [builder.fdiv(a.value, b.value) for a, b in pairs]
        inside = builder.block
    quotients = []
    for one, other in zip(found, divided, strict=True):
        quotient = builder.phi(other.type)
        quotient.add_incoming(one.value, before)
        quotient.add_incoming(other, inside)
        quotients.append(quotient)
    return concatenate(builder, quotients)


def _exact_quotient(a: Vector, b: Vector) -> tuple[Vector, ir.Value]:
    """Return a / b, and where that is not known to be exact.

    The significands' quotient is exact (Markstein's theorem) if y is 1/b rounded correctly, and also if it is the other
    neighbour of a 1/b that lies within 2**-84, the error of y before it is rounded, of the middle between two numbers,
    as long as b is below `NEAR_2`. Scaling rounds quotients that are subnormal a second time.
    """
    builder, kind = a.builder, a.value.type
    m, n = significand(b), significand(a)
    y = estimate_reciprocal(m)
    e = (-m).fma(y, 1.0)
    y = y.fma(e.fma(e, e), y)
    y = y.fma((-m).fma(y, 1.0), y)
    q = n * y
    q = (-m).fma(q, n).fma(y, q)
    size = exponent(a) - exponent(b)
    subnormal = builder.fcmp_ordered("<", size.value, ir.Constant(kind, NORMAL))
    nonzero = builder.fcmp_ordered(">", size.value, ir.Constant(kind, ZERO))
    near_2 = builder.fcmp_ordered(">", m.call("llvm.fabs").value, ir.Constant(kind, NEAR_2))
    return scale(q, size), builder.or_(builder.and_(subnormal, nonzero), near_2)
