"""Kernels that are drawn at random have the bits of the reference in pure Python, and those of a table compiled too."""

import pytest

from tests.support.network_runs import BLOCKS, check_bits, check_digits

QUADRATIC = "a*x**2 + b*x + c"
COMPILED = [
    {"optimizer": "momentum(0.9, weight_decay=0.1)"},
    {"optimizer": "adagrad(lr_decay=0.1)", "batch": 7},
    {"optimizer": "rmsprop(centered=true, momentum=0.5)", "shuffle": True},
    {"optimizer": "adadelta", "loss": "huber(0.5)", "batch": 16},
    {"optimizer": "adamax", "loss": "quantile(0.3)"},
    {"optimizer": "nadam(weight_decay=0.1)", "shuffle": True, "batch": 3},
    {"optimizer": "radam(0.8, 0.9)", "by_run": True},
    {"optimizer": "rprop", "batch": 43},
    {"optimizer": "adam(amsgrad=true)", "loss": "absolute", "by_run": True, "batch": 5},
    {"optimizer": "adan", "shuffle": BLOCKS},
    {"optimizer": "lookahead(adam, 3)", "by_run": True},
    {"optimizer": "schedule_free_sgd(0.7, 0.1)", "batch": 8},
    {"optimizer": "averaged(clipped(momentum(0.5), 0.1))", "shuffle": True},
    {"optimizer": "averaged(polyak)", "loss": "epsilon_insensitive"},
    {"optimizer": "clipped(inverse_scaled(adam))", "batch": 4},
    {"model": "max(a*x, b) + relu(c - x)", "loss": "hinge"},
    {"model": "a*x + where(x > 0.3, b, c)", "batch": 9, "patience": 2.0},
    {"model": " + ".join(f"p{k}*x**{k}" for k in range(1, 13)), "n": 300, "batch": 150},
    {"model": "sqrt(a**2 + x**2) + b", "dtype": "float32", "optimizer": "adam", "shuffle": True},
    {"model": "a/(1 + x**2) + b", "dtype": "float32", "optimizer": "rprop", "batch": 8},
    {"model": "a*x + b", "weighted": True, "loss": "huber(1.5)"},
    {"model": "w @ x + b", "size": 3, "optimizer": "adamw"},
    {"model": "(u @ x)*(v @ x) + a*x1", "size": 11, "optimizer": "lion", "batch": 6},
]
CLOSE = [
    {"model": "a*exp(b*x) + c", "optimizer": "yogi"},
    {"loss": "logistic", "optimizer": "adabelief", "batch": 7},
]


def run(check, given):
    check(**{"size": 1, "model": QUADRATIC} | given)


@pytest.mark.parametrize("given", COMPILED, ids=str)
def test_compiled_kernels_have_the_bits_of_the_reference(given):
    """Of one run and of runs side by side, with different starts, rates and maybe options."""
    run(check_bits, given)


@pytest.mark.parametrize("given", CLOSE, ids=str)
def test_kernels_with_exp_and_log_are_the_reference_to_twelve_digits(given):
    run(check_digits, given)


def test_whatever_is_drawn_has_the_bits_of_the_reference_in_pure_python(python):
    """Models, losses, rules and settings; the text that runs is the one that would be compiled."""
    python("from tests.support.network_runs import check_drawn; check_drawn(60)", NUMBA_DISABLE_JIT="1")
