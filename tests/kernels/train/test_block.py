"""Many runs side by side: the same bits as one by one, whatever becomes of the others."""

from itertools import count

import numpy as np
import pytest

from sgdbench import Model, fit
from sgdbench.kernels.base.run import CONVERGED, DIVERGED, STATUSES, Hyperparameters
from sgdbench.kernels.compile import kinds
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import make_model, quadratic
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train import block, slices
from sgdbench.kernels.train.block import BLOCK_WIDTH, train_runs

EPOCHS, RUNS, TARGET = 12, BLOCK_WIDTH + 5, 1e-3
X = np.random.default_rng(0).uniform(-1, 1, 43)
Y = 2 * X**2 - 4 * X + 3
SQUARED = make_loss("squared")


def some_runs(count=RUNS):
    """Starts, shape (count, 3), and rates, shape (EPOCHS, count): all differ; some runs converge, some blow up."""
    rng = np.random.default_rng(1)
    sizes = np.geomspace(0.03, 30, count)
    starts = np.array([2, -4, 3]) + rng.normal(0, sizes[:, np.newaxis], (count, 3))
    starts[0] = [2, -4, 3]
    rates = rng.permutation(np.geomspace(0.01, 1, count)) * rng.uniform(0.5, 1, (EPOCHS, count))
    # Such a rate makes every optimizer diverge, here in the first epoch, the second, ...
    far = np.arange(-(count // 4), 0)
    rates[np.arange(far.size) % EPOCHS, far] = 1e300
    order = rng.permutation(count)
    return starts[order], rates[:, order]


def train(kernel, optimizer, starts, rates, state=None, **rest):
    optimizer = make_optimizer(optimizer)
    plan = Hyperparameters(rates, option_values(SQUARED, optimizer), 1, True, False, 2**63, TARGET)
    state = optimizer.initial_memory(starts) if state is None else state
    data = allocate_data((X,), Y, shuffle=False)
    return train_runs(kernel, quadratic, SQUARED, optimizer, data, plan, starts, state, **rest)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.checkpoints, expected.checkpoints)
    np.testing.assert_array_equal(found.params, expected.params)
    np.testing.assert_array_equal(found.memory, expected.memory)
    assert found.losses.shape == expected.losses.shape
    for run, done in enumerate(expected.checkpoints - EPOCHS + len(expected.losses) - 1):
        np.testing.assert_array_equal(found.losses[: done + 1, run], expected.losses[: done + 1, run])


def test_a_loss_of_0_in_which_the_targets_are_lost_is_none():
    """(a*x - y) + b*x is 0 where y is lost beside a*x, and the gradient too: such a run would be the best of all."""
    model, x = Model("a*x + b*x"), np.linspace(1, 2, 6)
    y, rule, rates = 2e7 * x, make_optimizer("sgd"), np.full((EPOCHS, 2), 0.1)
    plan = Hyperparameters(rates, option_values(SQUARED, rule), 1, False, False, 0, TARGET)
    starts, data = np.array([[1e30, -1e30], [1e7, 1e7]]), allocate_data((x,), y, shuffle=False)
    runs = train_runs("reference", model, SQUARED, rule, data, plan, starts, rule.initial_memory(starts))
    assert runs.status.tolist() == [DIVERGED, CONVERGED]
    assert runs.losses[0].tolist() == [np.inf, 0]
    for start, status, loss in zip(starts, runs.status, runs.losses[0], strict=True):
        for held_out in ({}, {"validation": (x, y), "patience": 2}):
            alone = fit(model, x, y, init=start, lr=0.1, epochs=EPOCHS, target=TARGET, kernel="reference", **held_out)
            assert (alone.status, alone.kept.loss, alone.epochs) == (STATUSES[status], loss, 0)


def test_lanes_are_twice_as_wide_in_float32_and_with_functions(monkeypatch):
    line, curve = Model("a*x + b"), Model("a*exp(b*x)")
    for doubles in (8, 4, 2):
        monkeypatch.setattr(kinds, "doubles_in_register", lambda doubles=doubles: doubles)
        widths = [
            kinds.lane_width(kernel, dtype, model.program, make_loss(loss))
            for kernel, dtype, model, loss in [
                ("lanes", "float64", line, "squared"),
                ("lanes", "float32", line, "squared"),
                ("lanes-fma", "float64", curve, "squared"),
                ("lanes", "float64", line, "logcosh"),
                ("fused", "float64", curve, "squared"),
            ]
        ]
        assert widths == [4 * doubles, *[8 * doubles] * 3, 1]


@pytest.mark.parametrize(("doubles", "most"), [(8, 16), (4, 16), (2, 8)])
def test_models_of_several_units_with_many_parameters_have_narrower_lanes(monkeypatch, doubles, most):
    monkeypatch.setattr(kinds, "doubles_in_register", lambda: doubles)

    def width(text, inputs, classes=1, dtype="float64"):
        model = make_model(text, [f"x{k}" for k in range(1, inputs + 1)])
        model = model.with_classes(classes) if classes > 1 else model
        return kinds.lane_width("lanes", dtype, model.program, make_loss("softmax" if classes > 1 else "squared"))

    assert width("W @ x + b", 64, 10) == width("mlp(8)", 64) == most
    assert width("W @ x + b", 64, 10, "float32") == 2 * most
    assert width("W @ x + b", 4, 3) == width("w @ x + b", 784) == 4 * doubles


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("numbers", [1, 3000])
def test_many_blocks_have_the_same_bits_however_many_are_trained_in_one_go(optimizer, numbers, monkeypatch):
    """Some at a time are moved to their places; the last of them are fewer, and the last block is not full."""
    runs = some_runs(4 * BLOCK_WIDTH + 5)
    expected = train("fused", optimizer, *runs)
    monkeypatch.setattr(block, "NUMBERS_AT_A_TIME", numbers)
    assert_same(train("lanes", optimizer, *runs), expected)


def test_what_is_given_is_not_written_to():
    starts, rates = some_runs()
    state = make_optimizer("adam").initial_memory(np.zeros((RUNS, 3)))
    for array in (starts, rates, state):
        array.setflags(write=False)
    for kernel in ("reference", "fused", "lanes"):
        train(kernel, "adam", starts, rates, state)


@pytest.mark.parametrize("kernel", ["reference", "lanes"])
def test_training_can_be_stopped_at_any_slice(kernel, slicing):
    runs = some_runs()

    def asked(stop_at):
        """Whether it came to an end, and how often it asked."""
        times = count()
        return train(kernel, "sgd", *runs, stopped=lambda: next(times) == stop_at) is not None, next(times)

    finished, times = asked(None)
    assert finished
    for stop_at in {0, min(1, times - 1), times // 2, times - 1}:
        assert asked(stop_at) == (False, stop_at + 1)


def test_the_first_slice_of_the_reference_is_short(monkeypatch):
    """It takes a thousand times as long as a kernel, and Ctrl-C must be heard."""
    monkeypatch.setattr(slices, "FIRST_SLICE", 5000 * X.size)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)
    starts, rates = np.ones((1, 3)), np.full((EPOCHS, 1), 0.01)
    times = count()
    train("reference", "sgd", starts, rates, stopped=lambda: next(times) < 0)
    assert next(times) == 1 + EPOCHS - 5


def test_the_first_slice_of_many_weights_is_short():
    few, many = (
        make_model("w @ x", ("x1", "x2")),
        make_model("w @ x", tuple(f"x{k}" for k in range(1, 1001))),
    )
    assert slices.slowdown_of("lanes", few, 32) == 4
    assert slices.slowdown_of("fused", many) == 126
    assert slices.slowdown_of("reference", many) > slices.slowdown_of("reference", few) > 1000
