"""Functions called with symbols: the same operations in the same order, and what is refused."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.model.freeze import Freezer, traceable
from sgdbench.kernels.model.functions import FUNCTIONS
from sgdbench.kernels.model.symbol import TraceError
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.tape.trace import trace, trace_loss, trace_optimizer
from tests.support.rules import FORMS, names_of

UNARY = [operator.neg, abs, np.sign, np.square, np.tanh, lambda u: 2.0 - u, lambda u: u**2, lambda u: np.clip(u, -1, 1)]
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, np.minimum, np.maximum]
BINARY += [lambda u, v: np.where(u < v, u, v), lambda u, v: np.where((u >= v) | (v > 1), u, 0.5)]
TREES = st.recursive(
    st.sampled_from(["u", "v", "w"]) | st.floats(-3, 3).map(float),
    lambda inner: st.tuples(st.sampled_from(UNARY), inner) | st.tuples(st.sampled_from(BINARY), inner, inner),
    max_leaves=12,
)


def compute(tree, given):
    if isinstance(tree, tuple):
        function, *parts = tree
        return function(*(compute(part, given) for part in parts))
    return given[tree] if isinstance(tree, str) else np.float64(tree)


def run_text(traced, given):
    """The value of the text of a traced function, in Python."""
    lines, (result,) = traced.tape.lines(traced.outputs)
    scope = {"np": np} | FUNCTIONS | given
    exec("\n".join([*lines, f"result = {result}"]), scope)
    return scope["result"]


@settings(max_examples=300)
@given(TREES, st.tuples(*[st.floats(-3, 3)] * 3))
def test_the_text_and_the_tape_have_the_bits_of_the_function(tree, numbers):
    """Whatever stands inside what: parentheses never regroup, and what is used twice is computed once."""
    given_numbers = dict(zip("uvw", map(np.float64, numbers), strict=True))
    with np.errstate(all="ignore"):
        traced = trace(lambda u, v, w: compute(tree, {"u": u, "v": v, "w": w}) + 0.0 * u, "u", "v", "w")
        expected = compute(tree, given_numbers) + 0.0 * given_numbers["u"]
        np.testing.assert_array_equal(run_text(traced, given_numbers), expected)
        np.testing.assert_array_equal(traced.evaluate(given_numbers), [expected])


def test_a_text_reads_as_it_was_written():
    def rule(theta, slots, gradient, lr, clock, options):
        (velocity,), (momentum,) = slots, options
        velocity = momentum * velocity + (1.0 - momentum) * gradient
        return theta - lr * (velocity - (gradient - theta)) / -velocity, (velocity,)

    traced = trace(rule, "theta", ("velocity",), "gradient", "lr", (), ("momentum",))
    lines, results = traced.tape.lines(traced.outputs)
    assert [line.partition(" = ")[2] for line in lines] == [
        "momentum * velocity + (1.0 - momentum) * gradient",
        f"theta - lr * ({results[1]} - (gradient - theta)) / -{results[1]}",
    ]


@pytest.mark.parametrize("spec", ["sgd", *FORMS])
def test_what_is_exact_is_seen_on_the_tape(spec):
    """All built-in optimizers are. Powers of C's library, in asgd and inverse_scaled, are not for certain."""
    exact = all(one.is_exact for one in trace_optimizer(make_optimizer(spec)).values())
    assert exact == (not {"asgd", "inverse_scaled"} & names_of(make_optimizer(spec)))


def test_losses_are_exact_where_they_say_so():
    for name in set(LOSSES.built_in) - {"softmax"}:  # which is computed from all scores
        loss = make_loss(name)
        assert all(one.is_exact for one in trace_loss(loss).values()) == loss.is_exact, name


SCALE, TABLE = 0.5, np.array([1.0, 2.0])


@njit
def helper(u):
    return SCALE * u


def uses_all(u):
    total = 0.0
    for k in range(2):
        total = total + TABLE[k] * u
    inner = lambda v: v + math.pi  # noqa: E731
    return helper(inner(total)) + math.sqrt(u) + np.clip(u, 0.0, 1.0)


def test_helpers_closures_loops_and_math_are_traced():
    traced = trace(traceable(uses_all), "u")
    assert traced.evaluate({"u": 0.25}) == [0.5 * (0.0 + 1.0 * 0.25 + 2.0 * 0.25 + math.pi) + 0.5 + 0.25]
    frozen = Freezer().freeze(uses_all)
    assert frozen.__globals__["TABLE"] is not TABLE  # a copy, which does not change


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (lambda u: u if u > 0 else -u, "branches on a number, which many runs side by side do not share: use np.where"),
        (float, "a number is not known when a kernel is made"),
        (lambda u: u.mean(), "a number has no .mean"),
        (np.sum, "np.sum is not available in kernels, which have"),
        (np.add.reduce, "np.add.reduce is not computed elementwise"),
        (lambda u: u + np.ones(2), r"an array of shape \(2,\) takes part in the arithmetic of one number"),
        (lambda u: u % 2, "np.remainder is not available"),
        (lambda u: [*u], "a number has no elements"),
        (lambda u: u + "1", "a str takes part in the arithmetic"),
        (lambda u: operator.iadd(u, 1.0), "changes a number in place"),
    ],
)
def test_what_a_kernel_cannot_do_is_an_error(function, fault):
    with pytest.raises(TraceError, match=fault):
        trace(function, "u")
