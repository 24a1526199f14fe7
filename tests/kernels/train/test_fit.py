"""fit(): against others, what it returns, how it stops, and what it refuses."""

import inspect
import os
import signal
import sys
from functools import partial
from threading import Timer
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from sgdbench import fit as fit_with
from sgdbench import models
from sgdbench.kernels.data.order import permutation
from sgdbench.kernels.train import slices

# tests/kernels/test_equality.py compares kernels with the reference.
fit = partial(fit_with, kernel="reference")
X = np.linspace(-1, 1, 60)
Y = 2 * X**2 - 4 * X + 3
TRUE = [2, -4, 3]


def quadratic(**settings):
    return fit(models.quadratic, X, Y, **{"init": [0, 0, 0], "lr": 0.3, "epochs": 20, "batch_size": 1} | settings)


# Against others


@pytest.mark.parametrize("shuffle", [False, True], ids=["sequential", "shuffled"])
@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("squared", {}),
        ("huber(0.3)", {"loss": "huber", "epsilon": 0.3}),
        ("epsilon_insensitive(0.3)", {"loss": "epsilon_insensitive", "epsilon": 0.3}),
    ],
    ids=["squared", "huber", "epsilon_insensitive"],
)
def test_per_sample_against_scikit_learn(loss, theirs, shuffle):
    rng = np.random.default_rng(1)
    u = rng.uniform(-2, 2, 200)
    x = np.stack([u**2, u], axis=1)  # the derivatives of a quadratic
    y = x @ [3, -1] + 0.5 + rng.standard_normal(200)
    epochs = 5
    ours = fit(models.quadratic, u, y, init=[0.1, 0.2, 0.3], lr=0.01, epochs=epochs, loss=loss, shuffle=shuffle, seed=3)
    # It keeps no state but the parameters, so one pass over all our epochs, one after the other, is the same training.
    order = np.concatenate([permutation(200, 3, e) if shuffle else np.arange(200) for e in range(epochs)])
    options = {"penalty": None, "learning_rate": "constant", "eta0": 0.01, "shuffle": False, "max_iter": 1, "tol": None}
    regressor = SGDRegressor(**options, **theirs)
    regressor.fit(x[order], y[order], coef_init=[0.1, 0.2], intercept_init=0.3)
    np.testing.assert_allclose(ours.params, [*regressor.coef_, *regressor.intercept_], rtol=1e-12)


TORCH_LOSSES = {
    "squared": lambda torch, r: r**2 / 2,
    "huber(0.5)": lambda torch, r: torch.nn.functional.huber_loss(r, torch.zeros_like(r), delta=0.5, reduction="none"),
    "logcosh": lambda torch, r: torch.log(torch.cosh(r)),
}

TORCH_MODELS = {
    "quadratic": ([2, -4, 3], lambda torch, x, a, b, c: a * x**2 + b * x + c),
    "gaussian_peak": ([2, 0.5, 0.3, 0.1], lambda torch, x, a, m, s, c: a * torch.exp(-((x - m) ** 2) / (2 * s**2)) + c),
}


@pytest.mark.parametrize(
    ("name", "optimizer", "loss", "batch_size"),
    [
        ("quadratic", "Adam", "squared", 9),
        ("quadratic", "SGD", "huber(0.5)", 1),
        ("gaussian_peak", "SGD", "logcosh", 16),
    ],
)
def test_against_a_training_loop_in_torch(name, optimizer, loss, batch_size):
    """In float64, with gradients by torch's own differentiation, and the samples in the same order."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    true, formula = TORCH_MODELS[name]
    rng = np.random.default_rng(2)
    x, start = rng.uniform(0, 1, 50), 0.8 * np.array(true)
    model = getattr(models, name)
    y = model.predict(true, x) + 0.1 * rng.standard_normal(50)
    ours = fit(model, x, y, init=start, lr=0.02, schedule="halve(3)", batch_size=batch_size, epochs=4, shuffle=True,
               seed=5, drop_last=False, optimizer=optimizer.lower(), loss=loss)  # fmt: skip

    theta = torch.tensor(start, requires_grad=True)
    stepper = getattr(torch.optim, optimizer)([theta], lr=1.0, foreach=False)
    for epoch, rate in enumerate([0.02, 0.02, 0.01, 0.01]):
        stepper.param_groups[0]["lr"] = rate
        for batch in np.split(permutation(50, 5, epoch), range(batch_size, 50, batch_size)):
            residual = formula(torch, torch.tensor(x[batch]), *theta) - torch.tensor(y[batch])
            stepper.zero_grad()
            TORCH_LOSSES[loss](torch, residual).mean().backward()
            stepper.step()
    np.testing.assert_allclose(ours.params, theta.detach().numpy(), rtol=1e-11)


# What it returns


def test_what_a_result_holds():
    result = quadratic(epochs=7, schedule="halve(2)")
    assert result.loss.shape == (8,)
    assert result.trajectory.shape == (8, 3)
    assert result.rates.tolist() == [0.3, 0.15, 0.15, 0.075, 0.075, 0.0375, 0.0375]
    assert (result.status, result.epochs, result.epochs_to_target) == ("max_epochs", 7, None)
    np.testing.assert_array_equal(result.params, result.trajectory[-1])
    residuals = [models.quadratic.predict(theta, X) - Y for theta in result.trajectory]
    np.testing.assert_allclose(result.loss, np.mean(np.square(residuals), axis=1), rtol=1e-12)


def test_a_result_is_equal_to_itself_alone():
    first, second = quadratic(epochs=2), quadratic(epochs=2)
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2


def arrays_of(result):
    held_out = [] if result.validation_loss is None else [result.validation_loss]
    return [result.params, result.loss, result.trajectory, result.rates, *held_out]


def test_arrays_of_a_result_do_not_change_each_other():
    result = quadratic(epochs=3)
    for changed in range(4):
        before = [array.tolist() for array in arrays_of(result)]
        arrays_of(result)[changed][...] += 1
        for number, (array, kept) in enumerate(zip(arrays_of(result), before, strict=True)):
            assert (array.tolist() == kept) is (number != changed)


def test_where_it_starts():
    names = quadratic(init={"c": 3, "a": 1, "b": 2}, epochs=1)
    assert names.trajectory[0].tolist() == [1, 2, 3]
    drawn = quadratic(init=None, seed=12, epochs=1)
    np.testing.assert_array_equal(drawn.trajectory[0], np.random.default_rng(12).standard_normal(3))
    assert not np.array_equal(drawn.trajectory[0], quadratic(init=None, seed=13, epochs=1).trajectory[0])


def test_a_model_may_be_text():
    by_name, by_text = (fit(model, X, Y, init=[0, 0, 0]) for model in ("quadratic", "a*x**2 + b*x + c"))
    np.testing.assert_array_equal(by_name.trajectory, quadratic(lr=0.1, epochs=100).trajectory)
    np.testing.assert_array_equal(by_text.trajectory, by_name.trajectory)


def test_the_last_batch_is_dropped_or_kept():
    dropped = quadratic(batch_size=50, epochs=1)
    kept = quadratic(batch_size=50, epochs=1, drop_last=False)
    first = fit(models.quadratic, X[:50], Y[:50], init=[0, 0, 0], lr=0.3, epochs=1, batch_size="full")
    last = fit(models.quadratic, X[50:], Y[50:], init=first.params, lr=0.3, epochs=1, batch_size="full")
    np.testing.assert_array_equal(dropped.params, first.params)
    np.testing.assert_array_equal(kept.params, last.params)


# How it stops


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_start_that_has_the_target_is_not_trained(kernel):
    result = quadratic(kernel=kernel, init=TRUE, target=1e-20)
    assert (result.status, result.epochs, result.epochs_to_target) == ("converged", 0, 0)
    assert result.loss.shape == (1,)
    assert result.params.tolist() == TRUE
    assert result.rates.size == 0
    assert len(result.to_frame()) == 1


def test_a_target_in_the_last_epoch_counts():
    whole = quadratic(epochs=6)
    assert quadratic(epochs=6, target=whole.loss[6]).status == "converged"
    assert quadratic(epochs=6, target=np.nextafter(whole.loss[6], 0)).status == "max_epochs"


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_run_that_diverges_is_kept(kernel):
    result = quadratic(kernel=kernel, lr=30, epochs=5000, target=1e-3)
    assert (result.status, result.epochs_to_target) == ("diverged", None)
    assert 0 < result.epochs < 5000
    assert result.loss.shape == (result.epochs + 1,)
    finite = np.isfinite(result.loss) & np.isfinite(result.trajectory).all(axis=1)
    assert finite[:-1].all()
    assert not finite[-1]


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_loss_that_overflows_at_the_start_has_diverged(kernel):
    result = quadratic(kernel=kernel, init=[1e200, 0, 0])
    assert (result.status, result.epochs) == ("diverged", 0)
    assert result.loss.tolist() == [np.inf]


@pytest.mark.parametrize("kernel", ["reference", "fused"])
@pytest.mark.parametrize(
    "asked",
    [{}, {"target": 1e-2}, {"validation": (X[::3], Y[::3] + X[::3]), "patience": 2}],
    ids=["all epochs", "converges", "stops"],
)
def test_a_callback_sees_the_run_grow_and_cannot_change_it(checkpoint_by_checkpoint, kernel, asked):
    expected, calls = quadratic(kernel=kernel, **asked), []

    def meddle(result):
        np.testing.assert_array_equal(result.trajectory[-1], expected.trajectory[result.epochs])
        calls.append(result)
        for array in arrays_of(result):
            if array.flags.writeable:
                array[...] = 7

    result = quadratic(kernel=kernel, callback=meddle, **asked)
    assert result is calls[-1]
    assert result.epochs == expected.epochs > 1
    assert [call.status for call in calls] == ["max_epochs"] * (len(calls) - 1) + [expected.status]
    for call in calls[:-1]:
        params, *others = arrays_of(call)
        assert params.flags.writeable
        for array, whole in zip(others, arrays_of(expected)[1:], strict=True):
            assert not array.flags.writeable
            np.testing.assert_array_equal(array, whole[: len(array)])
        assert [len(array) - call.epochs for array in others] == [1, 1, 0, *[1] * ("patience" in asked)]
    for array in arrays_of(result):  # these are the caller's own
        assert (array == 7).all()
    others = [array for call in calls[:-1] for array in arrays_of(call)]
    assert not any(np.shares_memory(array, other) for array in arrays_of(result) for other in others)


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_the_time_is_that_of_all_slices_so_far(checkpoint_by_checkpoint, monkeypatch, kernel):
    """What lies between the slices, such as the callback, is not in it; nor is compiling, which takes 3 s here."""
    trained = (
        reading for epoch in range(4) for reading in (100.0 * epoch, 100.0 * epoch + [1.0, 2.0, 4.0, 8.0][epoch])
    )
    compiled = iter([50.0, 53.0])
    monkeypatch.setattr(slices, "time", SimpleNamespace(perf_counter=lambda: next(trained)))
    monkeypatch.setattr(
        sys.modules["sgdbench.kernels.train.fit"], "time", SimpleNamespace(perf_counter=lambda: next(compiled))
    )
    calls = []
    result = quadratic(kernel=kernel, epochs=4, callback=calls.append)
    assert [call.seconds for call in calls] == [1, 3, 7, 15]
    assert result.seconds == 15
    assert result.compile_seconds == 3


def test_what_a_callback_raises_ends_the_run(checkpoint_by_checkpoint):
    class EnoughError(Exception):
        pass

    def enough(result):
        if result.epochs == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        quadratic(callback=enough)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_ctrl_c_ends_a_long_fit(kernel):
    """It would take half a minute and more; within slices of time it listens."""
    interrupt, ended = Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)), []

    def begin(result):
        if interrupt.ident is None:
            interrupt.start()

    def train():
        x, settings = np.linspace(-1, 1, 1000), {"lr": 1e-9, "epochs": 2_000_000, "shuffle": True}
        ended.append(fit("quadratic", x, x, kernel=kernel, callback=begin, **settings))
        interrupt.join()  # which comes here at the latest

    with pytest.raises(KeyboardInterrupt):
        train()
    assert not ended


# What it takes, and what it refuses


def test_inputs_are_not_changed():
    x, y = np.random.default_rng(4).random((40, 2)), np.arange(40.0)
    u = x[:, 0].copy()
    before = x.tobytes(), y.tobytes(), u.tobytes()
    settings = {"shuffle": True, "batch_size": 7, "lr": 1e-3}
    for kernel in ("reference", "fused"):
        fit(models.quadratic, u, y, kernel=kernel, **settings)
    fit(models.plane, x, y, kernel="reference", **settings)
    assert (x.tobytes(), y.tobytes(), u.tobytes()) == before


def test_read_only_arrays_and_memory_maps(tmp_path):
    expected = quadratic(shuffle=True)
    maps = []
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / f"{name}.npy", array)
        maps.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    frozen = X.copy(), Y.copy()
    for array in frozen:
        array.flags.writeable = False
    for x, y in (maps, frozen):
        result = fit(models.quadratic, x, y, init=[0, 0, 0], lr=0.3, epochs=20, shuffle=True)
        np.testing.assert_array_equal(result.trajectory, expected.trajectory)


@pytest.mark.parametrize("convert", [np.float32, np.int16, np.uint8, np.longdouble, ">f8", list], ids=str)
def test_all_real_numbers_are_computed_with_as_float64(convert):
    x, y = np.arange(12) % 5, np.arange(12) % 7
    expected = fit(models.linear, x.astype(float), y.astype(float), lr=0.01)
    changed = [v.tolist() if convert is list else v.astype(convert) for v in (x, y)]
    result = fit(models.linear, *changed, lr=0.01)
    assert result.params.dtype == np.float64
    np.testing.assert_array_equal(result.trajectory, expected.trajectory)


@pytest.mark.parametrize("mask", [False, np.ma.nomask, [False] * 4], ids=str)
def test_masked_arrays_without_a_masked_value_are_arrays(mask):
    x = np.ma.masked_array([1.0, 2.0, 3.0, 4.0], mask=mask)
    result = fit(models.linear, x, x, lr=0.01)
    assert not isinstance(result.params, np.ma.MaskedArray)
    np.testing.assert_array_equal(result.trajectory, fit(models.linear, x.data, x.data, lr=0.01).trajectory)


def test_strided_columns_are_the_same_as_contiguous_ones():
    rng = np.random.default_rng(5)
    table = rng.standard_normal((50, 6))
    y = rng.standard_normal(100)[::2]
    strided = fit(models.plane, table[:, ::3], y, lr=0.01)
    whole = fit(models.plane, table[:, ::3].copy(), y.copy(), lr=0.01)
    np.testing.assert_array_equal(strided.trajectory, whole.trajectory)


def test_one_sample_is_enough():
    result = fit("a*x + b", [2.0], [6.0], init=[0, 0], lr=0.25, epochs=1, batch_size="full", shuffle=True)
    assert result.params.tolist() == [3.0, 1.5]


def test_help_names_types_as_people_do():
    shown = str(inspect.signature(fit_with))
    assert "Inputs" in shown
    assert "ArrayLike" in shown
    assert "_SupportsArray" not in shown
    assert len(shown) < 1200
