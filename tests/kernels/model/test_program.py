"""From an expression to straight-line code: values, derivatives, and what becomes of texts that mean no good."""

import json
import re

import numpy as np
import pytest

from sgdbench import Model, models
from sgdbench.kernels.base import cache
from sgdbench.kernels.model import derive, program_cache
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.expression import parse
from sgdbench.kernels.model.program import EXACT_FUNCTIONS, OPERAND_COUNTS, Program
from sgdbench.kernels.model.program_cache import compile_program
from tests.support.expressions import TEXTS
from tests.support.refusals import refusal_of


def values_of(model, theta, x, y):
    residual, derivatives = evaluate(model.program, theta, x, y)
    return residual, np.array([np.broadcast_to(derivative, y.shape) for derivative in derivatives])


def test_every_function_is_among_the_texts():
    used = {instruction.function for text in TEXTS for instruction in Model(text).program.instructions}
    assert used == set(OPERAND_COUNTS)


@pytest.mark.parametrize(
    ("text", "function", "times"),
    [
        ("a*exp(-(x - m)**2/(2*s**2)) + c", "exp", 1),
        ("L/(1 + exp(-k*(x - x0)))", "exp", 1),
        ("a*exp(b*x) + c*exp(b*x)**2", "exp", 1),
        ("a*tanh(b*x)", "tanh", 1),
        ("a/(b + x) + c/(b + x)**2", "divide", 1),
        ("sqrt(a + x) + b*(a + x)**1.5", "sqrt", 2),  # and one of its reciprocal
        ("a*x**8", "multiply", 4),
    ],
)
def test_what_coincides_is_computed_once(text, function, times):
    assert [i.function for i in Model(text).program.instructions].count(function) == times


def depth(code: Program):
    """The longest chain of operations from a parameter to the residual."""
    first = code.params + code.inputs + 1 + len(code.constants)
    depths = [0] * code.params + [-np.inf] * (first - code.params)
    for instruction in code.instructions:
        depths.append(1 + max(depths[operand] for operand in instruction.operands))
    return depths[code.residual]


@pytest.mark.parametrize(("degree", "most"), [(1, 3), (2, 3), (3, 4), (6, 4), (7, 5), (14, 5), (28, 6)])
def test_a_polynomial_is_a_balanced_tree(degree, most):
    """A product for each coefficient but the first, then the sum of degree + 2 terms, -y among them."""
    assert depth(models.polynomial(degree).program) <= most


@pytest.mark.parametrize(
    ("text", "linear"),
    [
        ("a*x**2 + b*x + c", True),
        ("a*exp(x) + b*sin(x)/x", True),
        ("(a + b)*x", True),
        ("a*b*x", False),
        ("a**2*x", False),
        ("a*x**b", False),
        ("abs(a)*x", False),
        ("a/(1 + b*x)", False),
        ("(a*x + b)/2", True),
        ("a*x + b**2 - b*b", True),
    ],
)
def test_is_linear(text, linear):
    assert Model(text).is_linear is linear


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("a*x**3/(b + x**-2)", True),
        ("sqrt(abs(a*x))", True),
        ("x**0.25*a", True),
        ("a*x**0.3", False),
        ("a*exp(x)", False),
    ],
)
def test_is_exact(text, exact):
    assert Model(text).program.is_exact is exact


def test_nested_square_roots_stay_square_roots():
    """Sympy makes a**(1/16) of them, and only the square root is rounded alike everywhere."""
    assert {i.function for i in Model("sqrt(sqrt(sqrt(sqrt(a))))*x").program.instructions} <= EXACT_FUNCTIONS


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("a*x + b**sin(0*x)", "a*x + b**0"),
        ("a**arcsin(0/x) + 0*x", "a**0 + 0*x"),
        ("a*x + log(b - x)**arctan(0*x)", "a*x + log(b - x)**0"),
        ("a*x + c*tanh(b)**sin(c - c)", "a*x + c"),
    ],
)
def test_a_power_of_zero_is_one(text, instead):
    """Whatever the base is, and with a derivative of 0."""
    model, same = Model(text), Model(instead)
    theta, x, y = np.array([0.0, -1.0, np.nan][: len(model.params)]), np.array([[0.0, 0.5, np.inf]]), np.zeros(3)
    for params in (theta, np.full(theta.size, 0.7)):
        with np.errstate(invalid="ignore"):
            residual, derivatives = values_of(model, params, x, y)
            expected, slopes = values_of(same, params[: len(same.params)], x, y)
        np.testing.assert_array_equal(residual, expected)
        np.testing.assert_array_equal(derivatives[: len(slopes)], slopes)
        assert not derivatives[len(slopes) :].any()


@pytest.fixture
def forgotten(monkeypatch, tmp_path):
    """An empty cache folder."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    return tmp_path


QUADRATIC = ("a*x**2 + 0.1*b*x + c", ("x",), ("a", "b", "c"))


def test_the_cache_gives_back_what_was_derived(forgotten, monkeypatch):
    derived = compile_program(*QUADRATIC)
    monkeypatch.setattr(derive, "derive", None)  # whoever derives once more fails
    assert compile_program(*QUADRATIC) == derived
    assert hash(compile_program(*QUADRATIC)) == hash(derived)
    assert len([*forgotten.iterdir()]) == 1


def test_the_cache_tells_models_apart(forgotten):
    text, inputs, params = QUADRATIC
    compile_program(text, inputs, params)
    for other in ((f"{text} ", inputs, params), (text, inputs, params[::-1]), (text, ("x", "z"), params)):
        assert compile_program(*other) == derive.derive(parse(other[0]), *other[1:])
    assert len([*forgotten.iterdir()]) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda record: [],
        lambda record: {"key": record["key"]},
        lambda record: record | {"key": "another model"},
        lambda record: record | {"instructions": [["fromfile", [0]], *record["instructions"][1:]]},
        lambda record: record | {"instructions": [["multiply", [0, 99]], *record["instructions"][1:]]},
        lambda record: record | {"constants": ["import os"]},
        lambda record: record | {"residual": 99},
        lambda record: record | {"derivatives": record["derivatives"][1:]},
    ],
)
def test_an_entry_that_is_no_program_is_derived_anew(forgotten, change):
    """Although its checksum is right."""
    derived = compile_program(*QUADRATIC)
    (file,) = forgotten.iterdir()
    whole = file.read_bytes()
    cache.write(file.name, json.dumps(change(json.loads(cache.read(file.name)))))
    assert file.read_bytes() != whole
    assert compile_program(*QUADRATIC) == derived
    assert file.read_bytes() == whole


def test_a_change_of_format_is_noticed(forgotten, monkeypatch):
    compile_program(*QUADRATIC)
    monkeypatch.setattr(program_cache, "CACHE_FORMAT", program_cache.CACHE_FORMAT + 1)
    compile_program(*QUADRATIC)
    assert len([*forgotten.iterdir()]) == 2


def nested(step, times, core="a*x"):
    for _ in range(times):
        core = step.replace("#", core)
    return core


ATTACKS = {
    # Whole numbers that sympy would compute in full
    "power tower": "a*2**(2**(2**(2**(2**(x - x + 2)))))",
    "one huge power": "a*3**(x - x + 1e15)",
    "a power of a product": nested("(#)**64", 8, "2*a*x"),
    "a power in disguise": "a*exp(1e15*log(2*x))",
    "powers that add up": "(2*a)**x*(2*a)**(1e15 - x)",
    "floats too large": "a*exp(exp(exp(exp(exp(x - x + 5)))))",
    "a huge angle": "a*sin(exp(exp(exp(exp(x - x + 5)))))",
    # Depth
    **{f: nested(f"{f}(#)", 60) for f in ("tan", "sigmoid", "relu")},
    "maxima and minima": nested("min(b*x, max(x, #))", 30),
    "choices of choices": nested("where(x<b,b,#)", 65),
    "mixed": nested("tan(sqrt(arcsin(log(abs(#)))))", 12),
    "fractions": nested("a/(#+b)", 45),
    "Horner": nested("(a + #)*(a+b)", 30),
    "exponents": "**".join(["(a*x)"] * 50),
    # Questions whether something is complex, on which sympy spends time exponential in the depth
    "complex": "b*tanh(" + nested("(#)**63*x + a", 4, "arcsin(a*x)") + ")**3",
    "complex quotient": "b*tanh(" + nested("(#+b)**63/(a*log(b+x))", 3, "arcsin(a*x)") + ")**63",
    "lost zero": "(tanh(a) - sqrt((x - a) + (1e17 - a))) - (-((3 + 0.5) + (c - c))/arctan(a - a))",
    # Breadth: each of 140 factors is left out once
    "product": "*".join("(" + "*".join(f"(a+{i})" for i in half) + ")" for half in (range(70), range(70, 130))),
    "many parameters": "*".join(f"({p}+x)*({p}-x)*({p}*x+1)" for p in "abcdefghijklmno"),
    "towers of letters": "**".join(["a", "b"] * 30 + ["x"]),
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_attacks_end_soon(text):
    """In a program of bearable size, or in one line that refuses the text. There is no clock: a failure hangs."""
    try:
        code = Model(text).program
    except ValueError as refused:
        assert len(str(refused).splitlines()) == 1  # noqa: PT017
    else:
        assert len(code.instructions) < 3000


def test_too_deep_for_sympy(monkeypatch, forgotten):
    """As if: Python 3.13 lets functions with ``*args`` recurse until the memory is full."""

    def sink(*_):
        raise RecursionError

    monkeypatch.setattr(derive, "derive", sink)
    assert "is nested too deeply for its derivatives" in refusal_of(compile_program, *QUADRATIC)


@pytest.mark.parametrize("error", [ZeroDivisionError, TypeError("no\nnumber")])
def test_whatever_sympy_raises_becomes_one_line(monkeypatch, forgotten, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(derive.sympy, "diff", fail)
    told = refusal_of(compile_program, *QUADRATIC)
    assert re.match(r"the expression 'a\*x\*\*2 .*' cannot be differentiated: sympy raises", told)
    assert not [*forgotten.iterdir()]
