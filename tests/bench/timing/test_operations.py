"""The arithmetic of updates and losses, counted by hand; `test_assembly` counts it in machine code."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from llvmlite import ir

from sgdbench import Model, models
from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.optimizers import OPTIMIZERS
from sgdbench.kernels.simd.exp import exp_avx512
from sgdbench.kernels.simd.vector import REGISTER, Vector
from sgdbench.timing import operations
from sgdbench.timing.operations import Tape, count_sections, longest_chain
from sgdbench.timing.problem import UnavailableError, classic, exponential, many, wide

SGD = classic(100)


def counted(problem, *, fma=False, losses=False):
    return [({**operations}, turns) for operations, turns in count_sections(problem, fma=fma, losses=losses)]


def test_an_update_and_a_loss_of_the_quadratic():
    """r = (b*x - y) + (a*(x*x) + c), theta - r*(lr*dr/dtheta); x*x is the same for all runs. The loss: r*r, summed."""
    assert counted(SGD, losses=True) == [
        ({"multiply": 2 + 2 + 3, "add": 3 + 3}, 80_000),
        ({"multiply": 2 + 1, "add": 3 + 1}, 101 * 800),
    ]


def test_a_multiplication_and_an_addition_that_are_fused_count_as_one():
    """Not lr times a derivative, which is multiplied again, nor the sum of two sums."""
    assert counted(SGD, fma=True, losses=True) == [
        ({"multiply": 2, "add": 1, "fma": 5}, 80_000),
        ({"add": 1, "fma": 3}, 101 * 800),
    ]


def test_batches():
    """The gradients of 16 samples are added up in 15 additions each; then the mean, lr times it, and the step."""
    gradient = {"multiply": 2 + 2, "add": 3}
    assert counted(classic(100, 16)) == [
        ({"multiply": gradient["multiply"] + 6, "add": gradient["add"] + 3}, 5000),
        (gradient | {"add": 3 + 3}, 5000 * 15),
    ]


@pytest.mark.parametrize(
    ("inputs", "fused"),
    [
        # By twos: of each pair one product is fused.
        (9, {"fma": 4 + 1 + 9, "multiply": 4 + 1, "add": 3 + 2 + 1}),
        (12, {"fma": 11 + 12, "multiply": 1 + 1, "add": 2 + 1}),
    ],
    ids=["written out", "in loops"],
)
def test_a_product_of_some_inputs(inputs, fused):
    """w @ x is a multiplication for each input and additions between, lr*s one more, and each weight's step two."""
    line = wide(inputs, runs=1, epochs=1, n=100)
    update, loss = counted(line, losses=True)
    assert update == ({"multiply": 2 * inputs + 1, "add": (inputs - 1) + 2 + (inputs + 1)}, 100)
    assert loss == ({"multiply": inputs + 1, "add": (inputs - 1) + 2 + 1}, 200)
    assert counted(line, fma=True) == [(fused, 100)]
    first, others = counted(replace(line, batch_size=10))
    terms = {"multiply": 2 * inputs, "add": (inputs - 1) + 2 + (inputs + 1)}
    assert others == (terms, 10 * 9)
    assert first == (terms | {"multiply": 2 * inputs + 2 * (inputs + 1)}, 10)


def test_scores_of_classes_are_products_and_a_few_operations_each():
    """Three scores: each less the highest, their powers added, each divided; exp itself counts nothing."""
    model = Model("W @ x + b", [f"x{number}" for number in range(9)], classes=3)
    few = replace(wide(9, runs=1, epochs=1, n=100), model=model, inits=np.zeros((1, 30)), loss="softmax")
    (update,) = counted(few)
    assert update == ({"multiply": 3 * (9 + 1 + 1 + 9), "add": 3 * (9 + 1 + 10) + 2}, 100)


def test_a_hidden_layer_passes_slopes_back():
    """Of two units: s*v_k by both ways of each, and 1 - t*t and the slope times it for tanh."""
    model = models.mlp(2, inputs=[f"x{number}" for number in range(9)])
    hidden = replace(wide(9, runs=1, epochs=1, n=100), model=model, inits=np.zeros((1, 23)))
    forward = {"multiply": 2 * 9 + 2, "add": 2 * 9 + 1 + 2}
    back = {"multiply": 2 + 2 + 2, "add": 2}
    update = {"multiply": 1 + 2 + 2 + 2 * 9, "add": 1 + 2 + 2 + 2 * 9}
    total = {kind: forward[kind] + back[kind] + update[kind] for kind in forward}
    assert counted(hidden) == [(total, 100)]


def test_very_many_weights_are_not_counted():
    with pytest.raises(UnavailableError, match=r"^the operations of more than 20,000 parameters are not counted$"):
        counted(wide(20_000, runs=1, n=10))


def test_adam_has_a_square_root_and_a_division_for_each_parameter():
    ((operations, _),) = counted(classic(1, optimizer="adam"))
    assert (operations["sqrt"], operations["divide"]) == (3, 3)


def test_weight_decay_and_what_a_rule_knows_of_all_parameters_count():
    plain, decayed, clipped = (
        Counter(counted(classic(1, optimizer=name))[0][0])
        for name in ("momentum", "momentum(weight_decay=0.1)", "clipped(momentum)")
    )
    assert decayed - plain == {"multiply": 3, "add": 3}
    assert (clipped - plain)["sqrt"] == 1  # the norm is the same for all of them


@pytest.mark.parametrize(
    ("fma", "chain"), [(False, ("multiply", "add", "add", "multiply", "add")), (True, ("fma", "add", "fma"))]
)
def test_the_chain_of_one_run_is_that_of_the_formula(fma, chain):
    """lr * dr/dtheta does not wait for theta."""
    assert longest_chain(SGD, fma=fma) == chain


def test_the_chain_of_an_average_is_that_of_what_is_averaged():
    found = longest_chain(classic(1, optimizer="averaged(sgd)"), fma=False)
    assert found == ("multiply", "add", "add", "multiply", "multiply", "add")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda u, x: -abs(u * 1.0) - 0.0, {}),
        (lambda u, x: u * 2.0, {}),
        (lambda u, x: np.maximum(u, np.minimum(x, 0.0)) + u, {"add": 1}),
        (lambda u, x: u / 3.0, {"multiply": 1}),
        (lambda u, x: 3.0 / u, {"divide": 1}),
        (lambda u, x: u**2 + u * u, {"multiply": 1, "add": 1}),
        (lambda u, x: np.sqrt(u) * np.exp(x) * (x * x), {"sqrt": 1, "multiply": 2}),
        (lambda u, x: u * x + u * x, {"multiply": 1, "add": 1}),
    ],
)
def test_what_a_compiler_may_leave_out_counts_nothing(formula, expected):
    tape = Tape()
    u, x = tape.symbol(by_run=True, by_sample=True), tape.symbol(by_sample=True)
    assert tape.count([formula(u, x)], fma=False) == expected


def test_what_all_samples_share_is_computed_once():
    tape = Tape()
    lr, u = tape.symbol(by_run=True), tape.symbol(by_run=True, by_sample=True)
    assert tape.count([(lr * 3.0 + 1.0) * u], fma=False) == {"multiply": 1}


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (lambda u, v: u * v + u, {"fma": 1}),
        # Products that are needed as they are stay multiplications, and an addition takes in one of two.
        (lambda u, v: np.sqrt(u * v) + u * v, {"multiply": 1, "add": 1, "sqrt": 1}),
        (lambda u, v: u * u + v * v, {"multiply": 1, "fma": 1}),
    ],
)
def test_what_is_fused(formula, expected):
    tape = Tape()
    assert tape.count([formula(*tape.symbols(2, by_run=True, by_sample=True))], fma=True) == expected


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_every_optimizer_and_loss_without_functions_is_counted(optimizer, batch_size):
    made = optimizer if optimizer not in {"averaged", "lookahead", "clipped", "inverse_scaled"} else f"{optimizer}(sgd)"
    for loss in LOSSES:
        problem = replace(SGD, optimizer=made, loss=loss, batch_size=batch_size)
        if loss == "poisson":  # of exp, which is counted for some processors
            continue
        if optimizer == "asgd" or not make_loss(loss).is_exact:
            with pytest.raises(UnavailableError, match=r"^the operations of \w+ are not counted$"):
                count_sections(problem, fma=True, losses=True)
            continue
        sections = count_sections(problem, fma=True, losses=True)
        assert all(operations.total() > 0 and turns > 0 for operations, turns in sections)
        assert longest_chain(problem, fma=True)


@pytest.mark.parametrize("formula", [np.log, lambda u: u**-2, lambda u: 2.0**u, lambda u: u**u])
def test_functions_of_what_differs_are_refused(formula):
    tape = Tape()
    with pytest.raises(UnavailableError, match=r"^the operations of (log|power) are not counted$"):
        formula(tape.symbol(by_run=True, by_sample=True))
    assert tape.count([formula(tape.symbol(by_sample=True))], fma=False) == {}


def test_exp_is_refused_where_it_is_another(monkeypatch):
    monkeypatch.setattr(operations, "doubles_in_register", lambda: 4)
    with pytest.raises(UnavailableError, match=r"^the operations of exp are not counted$"):
        count_sections(many(exponential, runs=8), fma=False, losses=True)


def test_exp_counts_as_it_is_emitted(monkeypatch):
    """a*e + c - y with e = exp(b*x), whose derivatives are e, a*e*x and 1, and the steps; a loss is r*r, and added."""
    lane = ir.VectorType(ir.DoubleType(), 8)
    function = ir.Function(ir.Module(), ir.FunctionType(lane, [lane]), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    exp_avx512(Vector(builder, function.args[0]))
    emitted = Counter(re.findall(r"= (?:call .*llvm\.(fma)\.|f(add|sub|mul) )", str(function)))
    names = {("fma", ""): "fma", ("", "add"): "add", ("", "sub"): "add", ("", "mul"): "multiply"}
    exp = Counter()
    for found, count in emitted.items():
        exp[names[found]] += count
    assert exp == operations.FUNCTION_OPERATIONS["exp"]
    monkeypatch.setattr(operations, "doubles_in_register", lambda: REGISTER)
    (update, _), (loss, _) = count_sections(many(exponential, runs=1, epochs=1), fma=False, losses=True)
    assert update == Counter(multiply=3 + 5, add=2 + 3) + exp
    assert loss == Counter(multiply=2 + 1, add=2 + 1) + exp
