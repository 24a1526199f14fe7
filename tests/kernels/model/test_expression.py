"""Text -> checked expression: what is read, how, and with which words everything else is refused."""

import math
from itertools import product

import numpy as np
import pytest

from sgdbench.kernels.model.expression import Call, Name, Number, names, parse
from tests.support.refusals import refusal_of

A, B, X = Name("a"), Name("b"), Name("x")


def call(function, *operands):
    return Call(function, operands)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x", X),
        ("größe_cm", Name("größe_cm")),
        ("\u03b1*\u0434", call("multiply", Name("\u03b1"), Name("\u0434"))),
        ("e", Name("e")),
        ("2", Number(2.0)),
        ("2.5e-3", Number(0.0025)),
        ("pi", Number(math.pi)),
        ("a + x", call("add", A, X)),
        ("a - x", call("subtract", A, X)),
        ("a * x", call("multiply", A, X)),
        ("a / x", call("divide", A, X)),
        ("a ** x", call("power", A, X)),
        ("-x", call("negative", X)),
        ("+x", X),
        (" \ta+x\t ", call("add", A, X)),
        ("a-b-x", call("subtract", call("subtract", A, B), X)),
        ("a-(b-x)", call("subtract", A, call("subtract", B, X))),
        ("a+b*x", call("add", A, call("multiply", B, X))),
        ("-x**2", call("negative", call("power", X, Number(2.0)))),
        ("(-x)**2", call("power", call("negative", X), Number(2.0))),
        ("a**b**x", call("power", A, call("power", B, X))),
        ("x**-a", call("power", X, call("negative", A))),
        ("a*exp(-b*x)", call("multiply", A, call("exp", call("multiply", call("negative", B), X)))),
        ("max(a, b*x)", call("maximum", A, call("multiply", B, X))),
        ("where(x < a, b, 2)", call("where", call("less", X, A), B, Number(2.0))),
        ("where(x>a + 1, b, x)", call("where", call("greater", X, call("add", A, Number(1.0))), B, X)),
        ("-where(-x >= a, b, x)", call("negative", call("where", call("greater_equal", call("negative", X), A), B, X))),
        ("where(1 < 2, a, x)", call("where", Number(1.0), A, X)),
        ("sigmoid(relu(softplus(x)))", call("sigmoid", call("relu", call("softplus", X)))),
    ],
)
def test_accepted_text_becomes_the_expected_tree(text, tree):
    assert parse(text) == tree


UFUNCS = "exp expm1 log log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan absolute"


@pytest.mark.parametrize(
    ("spelling", "ufunc"),
    [(name, name) for name in UFUNCS.split()]
    + [("ln", "log"), ("asin", "arcsin"), ("acos", "arccos"), ("atan", "arctan"), ("abs", "absolute")],
)
def test_functions_mean_the_numpy_ufunc_they_are_named_after(spelling, ufunc):
    assert parse(f"{spelling}(x)") == call(ufunc, X)
    assert parse(f"{spelling}(0.3)").value == pytest.approx(getattr(np, ufunc)(0.3), rel=1e-15)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/3", 1 / 3),
        ("-2", -2.0),
        ("2**3**2", 512.0),
        ("-2**2", -4.0),
        ("9**64", 9.0**64),
        ("exp(0)", 1.0),
        ("1e-320", 1e-320),
        ("1" + "0" * 308, 1e308),
        ("max(2, 3) - min(2, 3)", 1.0),
        ("where(2 < 3, 4, 5) + where(2 > 3, 40, 50)", 54.0),
        ("where(2 <= 2, 4, 5) + where(2 >= 3, 40, 50)", 54.0),
        ("relu(-2) + relu(3)", 3.0),
        ("erf(0.5)", math.erf(0.5)),
        ("sigmoid(-800)", 0.0),
        ("sigmoid(800)", 1.0),
        ("softplus(800)", 800.0),
    ],
)
def test_numbers_fold_to_one_number(text, value):
    assert parse(text) == Number(value)
    assert parse(f"a + ({text})*x") == call("add", A, call("multiply", Number(value), X))


def test_folding_never_reorders():
    assert parse("2*x*3") == call("multiply", call("multiply", Number(2.0), X), Number(3.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.0", ()),
        ("x", ("x",)),
        ("b*x + a*x**2 + b", ("b", "x", "a")),
        ("exp(-k*t)**z + pi/a - t", ("k", "t", "z", "a")),
    ],
)
def test_names_are_in_order_of_appearance(text, expected):
    assert names(parse(text)) == expected


@pytest.mark.parametrize("word", ["nan", "inf", "infinity"])
def test_what_reads_as_a_number_is_no_name_in_any_letter_case(word):
    for letters in product(*zip(word, word.upper(), strict=True)):
        name = "".join(letters)
        assert math.isfinite(float(name)) is False
        with pytest.raises(ValueError, match=f"^expression, column 5: '{name}' reads as a number"):
            parse(f"a + {name}*x")


@pytest.mark.parametrize(
    "text",
    ["x**64", "x**-64", "x" * 64, "+".join(["x"] * 101), "exp(" * 100 + "x" + ")" * 100, "x +" + " " * 996 + "x"],
)
def test_the_bounds_themselves_are_accepted(text):
    assert names(parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "().__class__.__bases__[0].__subclasses__()",
        "x**(10**64)",
        "9" * 5000,
        "(" * 10_000 + ")" * 10_000,
        "-" * 5_000 + "x",
        "x**-" * 249 + "x",
        "(" * 190 + "-" * 700 + "x" + ")" * 100,
        "exp(" * 199 + "x" + ")" * 199,
        "exp(*" * 180 + "x x",
        "x\0+1",
        "\N{RIGHT-TO-LEFT OVERRIDE}x",
        "\N{BYTE ORDER MARK}",
    ],
)
def test_attacks_end_in_one_line(text):
    refusal_of(parse, text)
