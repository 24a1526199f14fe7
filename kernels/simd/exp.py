"""exp and tanh on LLVM vectors of doubles, in portable instructions; exp, tanh and expm1 in AVX-512.

They are written out because a library call would spill all registers: exp(x) = 2**k * exp(r) with x = k*ln(2) + r, and
a polynomial for exp(r).

In AVX-512 registers, k counts sixteenths: one permutation reads 2**(j/16) from two registers, so that r is a sixteenth
as long and the polynomial has five terms instead of ten, and one instruction scales by 2**k. P. T. P. Tang,
Table-driven implementation of the exponential function in IEEE floating-point arithmetic, ACM Transactions on
Mathematical Software 15 (1989).
"""

from typing import Any, NamedTuple

from llvmlite import ir

from sgdbench.kernels.simd.vector import Vector, bits_of, llvm_function, look_up, scale

LOG2_E = 1.4426950408889634
# ln(2) in two parts. The first has 32 bits: its product with an integer of up to 21 bits is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
BIAS = 1023  # of a double's exponent
# Doubles of this size are integers, so that adding it rounds.
ROUNDER = 1.5 * 2.0**52 + 2 * BIAS
# (exp(r) - 1 - r) / r**2 in ascending powers of r. Up to |r| = ln(2)/2 this gives exp(r) with a relative error of at
# most 3.7e-18, the minimum for this degree (Remez algorithm in 50 digits).
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

# exp is 0 below LEAST and infinite above MOST; tanh is 1 from ONE_FROM on.
LEAST, MOST, ONE_FROM = -746.0, 710.0, 20.0

# ln(2) in two parts, for FMA instructions, which do not round the product.
LN2, LN2_REST = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")
# Doubles of this size are multiples of 1/16, counted by their last four bits.
ROUNDER_TO_SIXTEENTHS = 1.5 * 2.0**48
# As EXP, up to |r| = ln(2)/32: within 1.2e-17.
SHORT_EXP = (0.49999999999999606, 0.1666666666441797, 0.04166666669325097, 0.008333471920763951, 0.0013888594047628555)
# As SHORT_EXP, with an error of 8.7e-19 relative to exp(r) - 1.
SHORT_EXPM1 = (
    0.5000000000000003,
    0.1666666666666665,
    0.04166666666189588,
    0.008333333334165145,
    0.0013889092433148975,
    0.0001984129197583846,
)
# 2**(j/16), and the relative errors by which the rounded values are too small.
POWERS = (
    1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916,
    1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927,
    1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
    1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474,
)  # fmt: skip
POWERS_REST = (
    0.0, 8.189317638195515e-17, -2.7939114859515733e-17, 7.826573258636076e-17,
    3.3484623336251524e-17, 3.750854201303127e-17, 1.9572585293112036e-17, 5.68648095791174e-17,
    -6.835808657661922e-17, -2.3591094770850053e-17, 5.1548301170786783e-17, 1.5341410053603723e-17,
    4.875160526227062e-17, 1.685487290628973e-17, 1.790126907604513e-17, -5.545065618639427e-17,
)  # fmt: skip
# expm1 is -1 up to MINUS_ONE_TO, and x where |x| is at most ITSELF_TO.
MINUS_ONE_TO, ITSELF_TO = -50.0, 2.0**-60


def exp(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit exp(x), within 1.1 ULP; it is 0 below -746, and infinite above 710."""
    u, s, t = _exp_parts(Vector(builder, x).replace(LEAST, "<", LEAST).replace(MOST, ">", MOST))
    return ((u * s + s) * t).value


def tanh(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit tanh(x) = e / (e + 2) with e = exp(2|x|) - 1 and the sign of x, within 3 ULP; it is 1 from 20 on."""
    size = Vector(builder, llvm_function(builder, "llvm.fabs", x)).replace(ONE_FROM, ">", ONE_FROM)
    u, s, t = _exp_parts(size * 2.0)
    power = s * t
    e = u * power + (power - 1.0)
    return llvm_function(builder, "llvm.copysign", (e / (e + 2.0)).value, x)


def _exp_parts(x: Vector) -> tuple[Vector, Vector, Vector]:
    """Return u, s and t with exp(x) = (1 + u) * s * t, for x from -746 to 710.

    With x = k*ln(2) + r and integer k, u is exp(r) - 1, and s*t is 2**k: two factors, since 2**k alone can be out of
    range where exp(x) is not.
    """
    shifted = x * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    r = x - k * LN2_HIGH - k * LN2_LOW
    square = r * r
    # In pairs of terms, which are independent of each other.
    polynomial, *pairs = [r * odd + even for even, odd in zip(EXP[-2::-2], EXP[::-2], strict=True)]
    for pair in pairs:
        polynomial = polynomial * square + pair
    u = polynomial * square + r

    # The last bits of `shifted` are k + 2*BIAS, the sum of the two biased exponents.
    builder, integers = x.builder, ir.VectorType(ir.IntType(64), x.value.type.count)
    both = builder.bitcast(shifted.value, integers)
    half = builder.lshr(both, ir.Constant(integers, 1))
    s, t = (
        Vector(builder, builder.bitcast(builder.shl(exponent, ir.Constant(integers, 52)), x.value.type))
        for exponent in (half, builder.sub(both, half))
    )
    return u, s, t


def exp_avx512(x: Vector) -> Vector:
    """Return exp(x), within 1.1 ULP, and within 1 ULP where the result is subnormal."""
    # Arguments beyond MOST give infinity without further care, but inf - inf would be nan.
    parts = _reduce(x.replace(1000.0, ">", 1000.0))
    power = look_up(POWERS, parts.places, x.builder)
    nonzero = x.builder.fcmp_unordered(">=", parts.k.value, ir.Constant(x.value.type, LEAST * LOG2_E - 1.0))
    return scale(power.fma(_polynomial(SHORT_EXP, parts, parts.r), power), parts.k, mask=nonzero)


def tanh_avx512(x: Vector) -> Vector:
    """Return tanh(x) = e / (e + 2) with e = exp(2|x|) - 1 and the sign of x, within 3 ULP."""
    size = x.call("llvm.fabs").replace(ONE_FROM, ">", ONE_FROM)
    parts = _reduce(size + size)
    power = scale(look_up(POWERS, parts.places, x.builder), parts.k)
    e = power.fma(_small_part(parts), power - 1.0)
    return (e / (e + 2.0)).call("llvm.copysign", x)


def expm1_avx512(x: Vector) -> Vector:
    """Return exp(x) - 1, within 2 ULP."""
    parts = _reduce(x.replace(MOST, ">", MOST).replace(MINUS_ONE_TO, "<", MINUS_ONE_TO))
    # Halved, 2**k is finite wherever exp(x) is.
    power = scale(look_up(POWERS, parts.places, x.builder), parts.k - 1.0)
    half = power.fma(_small_part(parts), power - 0.5)
    builder, size = x.builder, x.call("llvm.fabs").value
    # Halving a subnormal number would lose its last bit.
    tiny = builder.fcmp_ordered("<", size, ir.Constant(size.type, ITSELF_TO))
    return Vector(builder, builder.select(tiny, x.value, (half + half).value))


class _Reduced(NamedTuple):
    """x = k*ln(2) + r, where k is a number of sixteenths, whose last four bits are those of `places`.

    `rough` is r without the correction of ln(2)'s rounding error, at most 2.5e-14, and ready two instructions earlier.
    """

    k: Vector
    places: ir.Value
    rough: Vector
    r: Vector


def _reduce(x: Vector) -> _Reduced:
    shifted = x.fma(LOG2_E, ROUNDER_TO_SIXTEENTHS)
    k = shifted - ROUNDER_TO_SIXTEENTHS
    rough = k.fma(-LN2, x)
    return _Reduced(k, bits_of(shifted), rough, k.fma(-LN2_REST, rough))


def _small_part(parts: _Reduced) -> Vector:
    """Return (exp(x) - 2**k) / 2**k to full precision, with the rounded 2**k of `POWERS`, whose error is included."""
    rest = look_up(POWERS_REST, parts.places, parts.k.builder)
    return _polynomial(SHORT_EXPM1, parts, rest) + parts.r


def _polynomial(coefficients: tuple[float, ...], parts: _Reduced, first: Vector) -> Vector:
    """Return exp(r) - 1 for |r| up to ln(2)/32, with `first` in place of r.

    Horner's form has the fewest instructions, and with so many lanes nothing waits for their latency.
    """
    polynomial: Vector | float = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        polynomial = parts.rough.fma(polynomial, coefficient)
    return (parts.r * parts.r).fma(polynomial, first)
