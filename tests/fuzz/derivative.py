"""Models at random: their residuals and derivatives against those of mpmath, or a refusal in one line.

mpmath computes the expression and, by differences, its derivatives, with 60 digits. The program of the model is
computed so too: what differs are formulas, not roundings.
"""

import random
import zlib
from importlib import import_module
from unittest.mock import patch

import mpmath
from hypothesis import strategies as st
from mpmath import mp

from sgdbench import Model
from sgdbench.kernels.base import cache
from sgdbench.kernels.model.expression import Call, Name, Number, names, parse
from tests.fuzz.harness import Target, refusal

LARGE = "1e17"
LEAVES = ["a", "b", "c", "x", "a", "b", "x", "2", "0.5", "3", "1e-3", "pi", "7", LARGE, "0"]
BINARY = ["+", "-", "*", "/", "+", "*", "**"]
POWERS = ["2", "-1", "0.5", "3", "-1.5", "0", "0.25", "8"]
SMOOTH = ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf"]
UNARY = [*SMOOTH, "arcsin", "arccos", "arctan", "sigmoid", "softplus", "relu", "abs", "-"]
COMPARISONS = ["<", "<=", ">", ">="]
NAMES = ("a", "b", "c", "x")
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(BINARY), inner),
        st.builds("({})**{}".format, inner, st.sampled_from(POWERS)),
        st.builds("{}({})".format, st.sampled_from(UNARY), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["max", "min"]), inner, inner),
        st.builds("where({} {} {}, {}, {})".format, inner, st.sampled_from(COMPARISONS), inner, inner, inner),
    ),
    max_leaves=12,
)
DIGITS = 60


class UndefinedError(Exception):
    """There is no derivative at this point, or nothing that can be compared with it."""


def make_target(place):
    """Return the target."""
    import_module("sympy")  # which evaluates a text, and of which a program in the cache has no need
    assert Model("a*x").program  # opens the cache folder
    return Target(TREES, examine)


def examine(text):
    """Compare a model with mpmath."""
    with patch.object(cache, "write", lambda *_: None):  # of millions of programs none is kept
        model = refusal(lambda: Model(text, ("x",) if "x" in names(parse(text)) else ()), ValueError)
        program = model and refusal(lambda: model.program, ValueError)
        if program is None:
            return "refused"
    if LARGE in text:  # beside which what is not rounded away is
        return "derived"
    rng = random.Random(zlib.crc32(text.encode()))
    with mp.workdps(DIGITS):
        point = {name: mp.mpf(rng.uniform(-2.5, 2.5)) for name in NAMES}
        try:
            expected = expected_values(parse(text), model.params, point)
        except UndefinedError:
            return "undefined"
        computed = run_program(program, model, point, 0)
        # Constants are rounded to floats: what that changes is no error.
        moved = run_program(program, model, point, mp.mpf(2) ** -50)
        for theirs, ours, other in zip(expected, computed, moved, strict=True):
            rounding = abs(other - ours) if mp.isfinite(other) else mp.zero
            tolerance = mp.mpf(10) ** -9 * abs(theirs) + 1000 * rounding + mp.mpf(10) ** -25
            assert abs(ours - theirs) <= tolerance, f"{text} at {point}: {ours} and not {theirs}"
    return "equal"


def expected_values(tree, params, point):
    """The model and its derivatives, by mpmath alone."""
    values = [value_of(tree, point)]
    for name in params:

        def along(number, name=name):
            return value_of(tree, point | {name: number})

        values.append(mp.diff(along, point[name]))
    if not all(mp.isfinite(value) for value in values):
        raise UndefinedError
    return values


def value_of(node, point):
    """The value of a tree, where it is real and smooth."""
    match node:
        case Number(value):
            return mp.mpf(value)
        case Name(name):
            return point[name]
        case Call("where", (Call(comparison, sides), first, second)):
            u, v = (value_of(side, point) for side in sides)
            check_apart(u, v)
            return value_of(first if (u < v) == comparison.startswith("less") else second, point)
        case Call(function, operands):
            values = [value_of(operand, point) for operand in operands]
            if function in ("maximum", "minimum", "absolute", "relu"):
                check_apart(*(values if len(values) == 2 else (values[0], mp.zero)))
            if function in ("arcsin", "arccos"):
                check_apart(abs(values[0]), mp.one)
            if function == "power" and values[0] < 0 and not isinstance(operands[1], Number):
                raise UndefinedError  # real for some exponents only
            if function in ("sqrt", "log", "divide", "power"):
                check_apart(values[-1] if function == "divide" else values[0], mp.zero)
            result = compute(function, values)
            if not mp.isfinite(result) or abs(result) > mp.mpf(10) ** 40:
                raise UndefinedError
            return result
    raise AssertionError(node)


def check_apart(u, v):
    """Leave out kinks, poles and the ends of domains."""
    if abs(u - v) <= mp.mpf(10) ** -20 * (1 + abs(u)):
        raise UndefinedError


def compute(function, values):
    """The value of a function of numbers; nan where it is not real."""
    try:
        result = MPMATH[function](*values)
    except (ZeroDivisionError, ValueError, OverflowError):
        return mp.nan
    return result if isinstance(result, mpmath.mpf) else mp.nan


def run_program(program, model, point, shift):
    """The prediction of a program and its derivatives, with constants moved by a share of themselves."""
    constants = [mp.mpf(value) * (1 + shift * (-1) ** place) for place, value in enumerate(program.constants)]
    values = [*(point[name] for name in model.params), *(point[name] for name in model.inputs), mp.zero, *constants]
    for function, operands in program.instructions:
        values.append(compute(function, [values[operand] for operand in operands]))
    return [values[program.residual], *(values[derivative] for derivative in program.derivatives)]


MPMATH = {
    "add": lambda u, v: u + v,
    "subtract": lambda u, v: u - v,
    "multiply": lambda u, v: u * v,
    "divide": lambda u, v: u / v,
    "negative": lambda u: -u,
    "power": mp.power,
    "absolute": abs,
    "sign": mp.sign,
    "maximum": max,
    "minimum": min,
    "relu": lambda u: max(u, mp.zero),
    "less": lambda u, v: mp.mpf(u < v),
    "less_equal": lambda u, v: mp.mpf(u <= v),
    "where": lambda condition, u, v: u if condition else v,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "sigmoid": lambda u: 1 / (1 + mp.exp(-u)),
    "softplus": lambda u: mp.log1p(mp.exp(u)),
}
MPMATH |= {name: getattr(mp, name) for name in SMOOTH}
