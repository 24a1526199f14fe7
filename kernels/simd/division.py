"""Quotients and square roots of lanes: by the divider, or on AVX-512 from the processor's 14-bit estimates.

A Xeon's divider takes 16 cycles for eight quotients and 24 for eight roots; meanwhile the units that add and multiply
could do more than 30 operations. If operations may be fused, these units therefore compute all roots and quotients,
within 2 units in the last place (ULP). A cubic in the relative error of the estimate corrects it, which is as accurate
as two Newton steps and takes as many operations.

Otherwise both have the bits of IEEE 754. The divider computes the quotients, and fused operations next to it the roots:
a remainder without rounding error decides which of two neighbours is correct. P. Markstein, Computation of elementary
functions on the IBM RISC System/6000 processor, IBM Journal of Research and Development 34 (1990).

AMD's dividers are two to three times as fast. They compute all quotients, and half of the exact roots.
"""

from functools import reduce
from typing import Any

from llvmlite import ir

from sgdbench.kernels.base.numba_internals import allows_fma, features_of
from sgdbench.kernels.simd.vector import (
    EVERY,
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

# 1/sqrt(1 - e) - 1 in ascending powers of e, from the first. Up to |e| = 2**-13 the error is at most 1.1e-17, the
# minimum for three terms of which the first and the last are those of the series.
ROOT = (0.5, 0.375 + 0.2265 * 2.0**-26, 0.3125)

# Below this, exact roots come from the divider, because remainders might be subnormal.
SMALLEST = 2.0**-900


def divide(context: Any, builder: Any, _sig: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """Emit a / b: correctly rounded, or within 2 ULP if operations may be fused."""
    if not (_has_estimates(context, a.type) and allows_fma(context)) or has_fast_divider(context):
        return builder.fdiv(a, b)
    pairs = zip(_registers(builder, a), _registers(builder, b), strict=True)
    # All of them, although the divider is idle then: a run has the same bits at any position in a lane.
    return concatenate(builder, [_close_quotient(*pair).value for pair in pairs])


def sqrt(context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit the square root: correctly rounded, or within 2 ULP if operations may be fused."""
    if not _has_estimates(context, x.type):
        return Vector(builder, x).call("llvm.sqrt").value
    if allows_fma(context):
        return concatenate(builder, [_close_root(part).value for part in _registers(builder, x)])
    if not has_fast_divider(context):
        return _exact_roots(builder, x)
    if x.type.count == REGISTER:
        return Vector(builder, x).call("llvm.sqrt").value
    fused, divided = split(builder, x, x.type.count // 2)
    return concatenate(builder, [_exact_roots(builder, fused), Vector(builder, divided).call("llvm.sqrt").value])


def has_fast_divider(context: Any = None) -> bool:
    """Return whether the processor is AMD's, recognized by SSE4a; see `features_of` for the context."""
    return "+sse4a" in features_of(context)


def wait_for(context: Any, builder: Any, lane: ir.Value, earlier: ir.Value) -> ir.Value:
    """Emit a lane unchanged, but scheduled only after another one has been computed.

    An inline assembly without instructions appears to depend on both. Without it, LLVM places the roots of all
    parameters before the first quotient, and the divider is idle until then: an update of adam takes 3.3 ns, not 2.5.
    """
    if not (_has_estimates(context, lane.type) and lane.type == earlier.type):
        return lane
    parts = [split(builder, value, REGISTER) for value in (lane, earlier)]
    kind = ir.FunctionType(parts[0][0].type, [parts[0][0].type] * 2)
    assembly = ir.InlineAsm(kind, "", "=v,0,v")
    return concatenate(builder, [builder.call(assembly, pair) for pair in zip(*parts, strict=True)])


def _has_estimates(context: Any, kind: ir.Type) -> bool:
    """Return whether the processor has estimates for lanes of this type."""
    fits = isinstance(kind, ir.VectorType) and kind.element == ir.DoubleType() and kind.count % REGISTER == 0
    return fits and "+avx512f" in features_of(context)


def _registers(builder: Any, lane: ir.Value) -> list[Vector]:
    return [Vector(builder, part) for part in split(builder, lane, REGISTER)]


def _close_quotient(a: Vector, b: Vector) -> Vector:
    """Return a / b within 2 ULP.

    The quotient of the significands is scaled last, so that no intermediate result is out of range. It is
    a * y / (1 - e) with the estimate y of 1/b and e = 1 - b*y, up to 2**-14. Exponents handle zeros, inf and nan.
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


def _exact_roots(builder: Any, x: ir.Value) -> ir.Value:
    """Return correctly rounded square roots: by fused operations, or all by the divider if those may not be exact."""
    numbers = _registers(builder, x)
    certain = builder.bitcast(reduce(builder.and_, map(_is_certain, numbers)), MASK)
    with builder.if_else(builder.icmp_unsigned("==", certain, EVERY), likely=True) as (fused, divided):
        with fused:
            roots = concatenate(builder, [_exact_root(part).value for part in numbers])
            after_fused = builder.block
        with divided:
            others = Vector(builder, x).call("llvm.sqrt").value
            after_divided = builder.block
    result = builder.phi(x.type)
    result.add_incoming(roots, after_fused)
    result.add_incoming(others, after_divided)
    return result


def _exact_root(x: Vector) -> Vector:
    """Return sqrt(x) rounded correctly, where `_is_certain`.

    A power of 4 changes no rounding error, so let s = sqrt(x) be in [1, 2], where numbers are u = 2**-52 apart. The
    estimate gives g, close to s, and h, close to 1 / (2s). The relative error of h is at most d = (s + 1.25) u/4: s
    from its rounding, 1 from half of the rounding error of x * y, 1/4 from the cubic. The error of g before rounding is
    below 0.6 u. The value rounded last, g + (s**2 - g**2) h, is within 3 u**2 of s. So the result is correct if s is
    farther than that from m = (k + 1/2) u, the midpoint of two numbers. Otherwise g is m + u/2 or m - u/2, the
    remainder s**2 - g**2 is exact, and the error is at most d u/2 + u**2 / (8s). It must be less than the distance from
    s to m, D u**2 / (2s) with D = |X - k**2 - k - 1/4| and x = X u**2. So 4 D > s**2 + 1.25s + 1 is sufficient. The
    right side is below 7.5, and below 7 up to s = 1.9. X and k**2 + k are even, so 4 D is

    - 1 if X = k**2 + k. X is a multiple of 2**52, and from x = 2 on of 2**53, which leaves x = 1 + u and x = 4 - 2u.
    - 7 if X = k**2 + k + 2. Modulo 2**53 that is 0 for k / 2**52 = 0.352 and 1.648, so not from s = 1.9 on.
    - 9, 15 or more otherwise.
    """
    y = estimate_reciprocal_root(x)
    g, h = x * y, y * 0.5
    e = (-g).fma(y, 1.0)
    first, second, third = ROOT
    correction = e * e.fma(e.fma(third, second), first)
    g, h = g.fma(correction, g), h.fma(correction, h)
    return keep_zeros_and_infinity((-g).fma(g, x).fma(h, g), x)


def _is_certain(x: Vector) -> ir.Value:
    """Return where `_exact_root` is exact: not from 0 to `SMALLEST`, both excluded, nor next to a power of two."""
    builder, kind = x.builder, ir.VectorType(ir.IntType(64), REGISTER)
    bits, one = builder.bitcast(x.value, kind), ir.Constant(kind, [1] * REGISTER)
    smallest = builder.bitcast(ir.Constant(x.value.type, SMALLEST), kind)
    # As unsigned integers, 1 minus the bits exceeds its value for SMALLEST only for numbers from 2**-1073 to SMALLEST.
    # Its significand bits are 0 or 2 next to powers of two, and 1 for 0.
    turned = builder.sub(one, bits)
    is_large = builder.icmp_unsigned("<=", turned, builder.sub(one, smallest))
    significand_but_2 = builder.and_(turned, ir.Constant(kind, [2**52 - 3] * REGISTER))
    return builder.and_(is_large, builder.icmp_unsigned("!=", significand_but_2, ir.Constant(kind, [0] * REGISTER)))
