"""Runs side by side with options of their own: the bits that each has alone, and jobs that are full."""

import math

import numpy as np
import pytest

from sgdbench import Grid, models, sweep
from sgdbench.engine.jobs import MIN_SHARED_OPTIMIZERS, share_kernels
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.symbol import TraceError
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import initial_memory, kernel_key
from sgdbench.kernels.optimizers.wrappers import averaged
from sgdbench.study.schema import RunTable


@pytest.mark.parametrize(
    ("compute", "fault"),
    [
        (lambda option: np.sqrt(abs(1.0 - option**2)) / np.maximum(option, np.float64(0.1)), ""),
        (lambda option: np.where(option < 0.5, 1.0, 2.0), ""),
        (math.sqrt, ""),
        (lambda option: 2.0 if option > 0.5 else 1.0, "branches on a number"),
        (lambda option: 2.0 if option else 1.0, "branches on a number"),
        (lambda option: option % 2.0, "np.remainder is not available in kernels"),
    ],
)
def test_rules_compute_with_lanes_of_options_or_have_no_kernel(compute, fault):
    def step(theta, slots, gradient, lr, clock, options):
        return theta - lr * compute(options[0]) * gradient, slots

    def plain(theta, slots, gradient, lr, clock, options):
        return theta - lr * gradient, slots

    of_rule = Optimizer("mine", step, {"option": 0.3}, slots=1)
    of_point = Optimizer("mine", plain, {"option": 0.3}, gradient_at=lambda theta, slots, options: compute(options[0]))
    clock = {"clock": lambda clock, options: (compute(options[0]),), "clock_start": (0.0,)}
    for made in (of_rule, of_point, Optimizer("mine", plain, {"option": 0.3}, **clock), averaged(of_rule)):
        spec = KernelSpec("lanes", models.quadratic, make_loss("squared"), made, options_per_run=True)
        if fault:
            with pytest.raises(TraceError, match=fault):
                module_of(spec)
        else:
            assert "train_batches" in module_of(spec).text


def test_what_is_remembered_at_first_may_depend_on_the_options():
    """As the products of nadam, and the sums of adagrad."""
    starts = np.ones((2, 3))
    for texts in (["nadam(0.8)", "nadam(0.9)"], [f"adagrad(initial_accumulator_value={a})" for a in (0.1, 0.2)]):
        optimizers = [make_optimizer(text) for text in texts]
        found = initial_memory(optimizers, starts)
        for row, optimizer in enumerate(optimizers):
            np.testing.assert_array_equal(found[row], optimizer.initial_memory(starts[row]))
        assert (found[0] != found[1]).any()


def test_optimizers_share_a_kernel_if_they_differ_in_numbers_alone():
    def key(text):
        return kernel_key(make_optimizer(text))

    assert key("adam(0.8)") == key("adam(beta2=0.99, eps=1e-6)")
    assert key("clipped(adam(0.8), 2)") == key("clipped(adam)")
    different = [
        "adam",
        "adam(amsgrad=true)",
        "adam(weight_decay=0.1)",
        "adamw",
        "clipped(adam)",
        "clipped(sgd)",
        "sgd",
    ]
    assert len(set(map(key, different))) == len(different)


def numbers(texts, kernel="lanes", **grid):
    plan = Grid(optimizer=texts, **grid).frame(models.quadratic, 800)
    return share_kernels(plan, RunTable(kernel=kernel)).numbers.tolist()


def test_many_sets_of_options_share_jobs_and_few_do_not():
    many = [f"momentum(0.{k})" for k in range(1, MIN_SHARED_OPTIMIZERS + 1)]
    assert numbers(["sgd", *many]) == [0] + [1] * MIN_SHARED_OPTIMIZERS
    assert numbers(["sgd", *many[1:]]) == list(range(MIN_SHARED_OPTIMIZERS))
    assert numbers(many, "fused") == list(range(MIN_SHARED_OPTIMIZERS))
    # In float32 options are of double precision until they meet an array, and a lane of them is one.
    assert numbers(many, dtype=["float32"]) == list(range(MIN_SHARED_OPTIMIZERS))
    assert numbers(many, dtype=["float32", "float64"]) == list(range(MIN_SHARED_OPTIMIZERS))
    assert numbers([f"radam(0.{k})" for k in range(1, MIN_SHARED_OPTIMIZERS + 1)]) == [0] * MIN_SHARED_OPTIMIZERS


def test_a_sweep_over_many_options_has_the_bits_of_the_reference(classic):
    """The clock of adam, powers of its betas, differs from run to run too; some places of a lane are empty."""
    betas = np.round(np.random.default_rng(0).uniform(0.5, 0.99, (MIN_SHARED_OPTIMIZERS, 2)), 4)
    grid = Grid(
        lr=0.1,
        init={"near": [-1, 10, 26]},
        optimizer=[f"adam({a}, {b}, amsgrad=true)" for a, b in betas],
        batch_size=40,
        seed=range(5),
        shuffle=True,
    )
    settings = {"epochs": 6, "target": 0.03, "loss": "absolute", "confirm": 0}  # a kernel of test_equality.py
    found, expected = (
        sweep(models.quadratic, *classic, grid, kernel=kernel, **settings).frame.drop(columns="config_id")
        for kernel in ("lanes", "reference")
    )
    assert found.equals(expected)
    assert found["final_loss"].nunique() == len(found)
