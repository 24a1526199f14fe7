"""Rules as their author writes them: with helpers, constants, closures; and what is refused, with the place."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from kernels import fit, models, register_optimizer
from kernels.compile.binding import Binder
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer
from tests.support.refusals import refusal_of

X = np.linspace(-1, 1, 50)
Y = 2 * X**2 - 4 * X + 3
SLOWER = 0.5
TABLE = np.array([1.0, 0.25])
TABLE.setflags(write=False)
OPEN = np.array([1.0, 0.25])
VIEW = OPEN[:]
VIEW.setflags(write=False)
NESTED = (1.0, (OPEN,))


def scaled(gradient):
    return SLOWER * gradient


@njit
def compiled_helper(gradient):
    return SLOWER * gradient


def rule_with_a_helper(theta, slots, gradient, lr, clock, options):
    return theta - lr * scaled(gradient), ()


def rule_with_a_table(theta, slots, gradient, lr, clock, options):
    return theta - lr * TABLE[1] * gradient, ()


def update(gradient):
    """Called like a function of the loops."""
    return 3.0 * gradient


def rule_with_all_that_has_a_name(theta, slots, gradient, lr, clock, options):
    """Helpers, one of them compiled, NumPy, a table, and names that the loops have too."""
    zeros = 0.125
    clipped = np.sign(gradient) * np.minimum(np.absolute(gradient), 40 * SLOWER)
    return theta - lr * (zeros * update(clipped) + TABLE[1] * scaled(gradient) + 0.1 * compiled_helper(gradient)), ()


def made_with(factor, helper):
    def rule(theta, slots, gradient, lr, clock, options):
        return theta - lr * factor * helper(gradient), ()

    return rule


def by_reference_and_kernel(rule, **settings):
    settings |= {"init": [-1, 10, 26], "lr": 0.1, "epochs": 5, "optimizer": Optimizer("own", rule)}
    return [fit(models.quadratic, X, Y, kernel=kernel, **settings) for kernel in ("reference", "fused")]


@pytest.mark.parametrize(
    "rule",
    [
        rule_with_all_that_has_a_name,
        made_with(0.5, scaled),
        lambda theta, slots, gradient, lr, clock, options: (theta - lr * gradient * SLOWER, ()),
    ],
    ids=lambda rule: rule.__qualname__,
)
@pytest.mark.usefixtures("short_kernels")
def test_rules_may_use_what_python_lets_them_use(rule):
    runs = by_reference_and_kernel(rule)
    # A short kernel looks at no loss.
    np.testing.assert_array_equal(*(run.trajectory for run in runs))
    assert runs[0].loss[-1] < runs[0].loss[0]


def uses_what_is_not_there(theta, slots, gradient, lr, clock, options):
    return theta - missing * gradient, ()  # noqa: F821


def test_what_no_kernel_can_be_made_of_is_refused_with_its_place():
    """tests/kernels/extend/test_register.py has the other reasons."""
    message = r"uses_what_is_not_there \(line \d+ of .*test_binding.py\) uses 'missing', which is not defined"
    with pytest.raises(ValueError, match=message):
        fit(models.quadratic, X, Y, optimizer=replace(make_optimizer("momentum"), rule=uses_what_is_not_there, slots=0))


@pytest.mark.parametrize("name", ["OPEN", "VIEW", "NESTED"])
def test_an_array_that_can_be_changed_in_place_is_refused(name):
    """The kernel would go on with its values, and the reference with others."""
    scope = {"table": globals()[name]}
    lines = "def rule(theta, slots, gradient, lr, clock, options):\n    return theta - lr * table[1] * gradient, ()\n"
    exec(lines, scope)
    with pytest.raises(ValueError, match=r"uses 'table', an array that can be changed in place, .*setflags\(write=Fal"):
        fit(models.quadratic, X, Y, optimizer=Optimizer("own", scope["rule"]))
    with pytest.raises(ValueError, match=r"^the optimizer own_table .*uses 'table', an array that can be changed"):
        register_optimizer(scope["rule"], name="own_table")


def breaks(theta, slots, gradient, lr, clock, options):
    return theta - [lr][int(options[0])] * gradient, ()


def adds_text(theta, slots, gradient, lr, clock, options):
    return theta - "lr" + gradient, ()


@pytest.mark.parametrize(
    ("rule", "kernel", "shuffle", "message"),
    [
        (breaks, "reference", "blocks", "optimizer own(late=3.0) with the loss squared: IndexError: list index"),
        (
            adds_text,
            "reference",
            False,
            "optimizer own(late=3.0) with the loss squared: UFuncTypeError: ufunc 'subtract' did no",
        ),
        (adds_text, "fused", "blocks", "no kernel can be compiled of this: TypingError: No implementation of function"),
    ],
)
def test_what_a_rule_breaks_is_told_in_one_line(rule, kernel, shuffle, message):
    optimizer = Optimizer("own", rule, {"late": 3.0})
    told = refusal_of(fit, models.quadratic, X, Y, optimizer=optimizer, kernel=kernel, shuffle=shuffle)
    assert told.startswith(message)


def digest(function, **given):
    binder = Binder(given)
    binder.bind(function)
    return binder.digest


def test_the_digest_covers_constants_helpers_and_what_is_given(monkeypatch):
    first = digest(rule_with_a_helper)
    assert digest(rule_with_a_helper) == first
    monkeypatch.setitem(globals(), "SLOWER", 0.25)
    second = digest(rule_with_a_helper)
    monkeypatch.setitem(globals(), "scaled", lambda gradient: 0.25 * gradient)
    third = digest(rule_with_a_helper)
    assert len({first, second, third}) == 3
    table = digest(rule_with_a_table)
    other = np.array([1.0, 0.5])
    other.setflags(write=False)
    monkeypatch.setitem(globals(), "TABLE", other)
    assert digest(rule_with_a_table) != table
    assert digest(uses_what_is_not_there, missing=1.0) != digest(uses_what_is_not_there, missing=2.0)
    assert digest(made_with(1.0, scaled)) != digest(made_with(2.0, scaled))
    alike = (lambda gradient: gradient < 2.0, lambda gradient: gradient <= 2.0, lambda gradient: gradient < 3.0)
    assert len({digest(made_with(1.0, helper)) for helper in alike}) == 3


def test_a_function_is_bound_once_where_nothing_differs():
    binder = Binder({"missing": 1.0})
    first = binder.bind(rule_with_a_helper)
    assert binder.bind(rule_with_a_helper) is first
    assert binder.bind(first) is first
    binder.bind(made_with(1.0, scaled))
    assert [function.__name__ for function in binder.functions].count("scaled") == 1
