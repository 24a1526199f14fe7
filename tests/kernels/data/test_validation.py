"""Held-out data: the split, the losses on it, the best checkpoint, and runs that stop when it gets no better."""

import re

import numpy as np
import pytest

from sgdbench import fit, models
from sgdbench.kernels.base.run import Hyperparameters
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.data.validation import choose_split
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.block import BLOCK_WIDTH, train_runs

RNG = np.random.default_rng(8)
X = RNG.uniform(-1, 1, 61)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(61)
# A run from 0 comes past the parameters that these lie on, so that the loss on them falls and rises again.
HELD_X = RNG.uniform(-1, 1, 23)
HELD_Y = -1.5 * HELD_X + 2.0 + 0.1 * RNG.standard_normal(23)
HELD = HELD_X, HELD_Y
SQUARED = make_loss("squared")


def quadratic(**settings):
    """Fit with the reference; test_equality.py compares kernels with it, but not ties or infinite losses."""
    given = {"init": [0, 0, 0], "lr": 0.02, "epochs": 12, "validation": HELD, "kernel": "reference"}
    return fit(models.quadratic, X, Y, **given | settings)


def losses_on(x, y, trajectory):
    """The mean squared residuals at every checkpoint, in plain Python."""
    return [sum((a * u * u + b * u + c - v) ** 2 for u, v in zip(x, y, strict=True)) / len(x) for a, b, c in trajectory]


def checkpoint_of_stopping(losses, samples_seen, patience):
    """The checkpoint at which a run stops that has long seen no lower loss, in plain Python; None where it goes on."""
    lowest, when = float("inf"), 0
    for checkpoint, (loss, seen) in enumerate(zip(losses, samples_seen, strict=True)):
        if loss < lowest:
            lowest, when = loss, seen
        elif seen - when >= patience:
            return checkpoint
    return None


# The split


@pytest.mark.parametrize("seed", [0, 5])
def test_a_share_is_held_out_as_documented_whatever_the_seed(seed):
    first = set(np.random.default_rng(0).permutation(61)[:12].tolist())
    held = np.array([i in first for i in range(61)])
    common = {"init": [0, 0, 0], "epochs": 3, "shuffle": True, "seed": seed, "kernel": "reference", "batch_size": 7}
    split = fit(models.quadratic, X, Y, validation=0.2, **common)
    parts = fit(models.quadratic, X[~held], Y[~held], validation=(X[held], Y[held]), **common)
    alone = fit(models.quadratic, X[~held], Y[~held], **common)
    for other in (parts, alone):
        np.testing.assert_array_equal(split.trajectory, other.trajectory)
        np.testing.assert_array_equal(split.loss, other.loss)
        np.testing.assert_array_equal(split.y, other.y)
    np.testing.assert_array_equal(split.validation_loss, parts.validation_loss)
    np.testing.assert_array_equal(split.validation[0][0], X[held])
    np.testing.assert_array_equal(split.validation[1], Y[held])
    assert alone.validation is alone.validation_loss is None


@pytest.mark.parametrize("n", [3, 10, 97])
@pytest.mark.parametrize("test", [None, 0.3])
def test_shares_are_rounded_and_the_larger_ones_hold_the_smaller(n, test):
    before, first = np.zeros(n, bool), round((test or 0) * n)
    places = np.random.default_rng(0).permutation(n)
    for share in np.linspace(0.01, 0.99, 50):
        if not 0 < round(share * n) < n - first:
            with pytest.raises(ValueError, match=r"validation=.* would hold out .*; both parts need at least one"):
                choose_split(n, share, test)
            continue
        held, for_test = choose_split(n, share, test)
        assert set(np.flatnonzero(for_test)) == set(places[:first])
        assert set(np.flatnonzero(held)) == set(places[first : first + round(share * n)])
        assert held[before].all()
        before = held


def test_two_inputs_are_split_alike():
    x = RNG.standard_normal((40, 2))
    y = x @ [3.0, -1.0] + 0.5
    run = fit(models.plane, x, y, init=[3, -1, 0.5], lr=0.01, epochs=1, validation=0.25, kernel="reference")
    assert run.y.shape == (30,)
    assert run.validation[1].shape == (10,)
    # Rows that came apart would not lie on the plane.
    assert max(run.loss.max(), run.validation_loss.max()) < 1e-25


# The losses on it


def test_the_loss_is_that_of_the_parameters_at_each_checkpoint():
    run, huber = quadratic(record="log:4"), quadratic(loss="huber(0.1)")
    np.testing.assert_allclose(run.validation_loss, losses_on(*HELD, run.trajectory), rtol=1e-12)
    residuals = np.array([models.quadratic.predict(theta, HELD_X) - HELD_Y for theta in huber.trajectory])
    expected = make_loss("huber(0.1)").value(residuals, (0.1,)).mean(axis=1)
    np.testing.assert_allclose(huber.validation_loss, expected, rtol=1e-12)
    assert run.validation_loss.shape == run.loss.shape == run.samples_seen.shape
    assert 0 < np.argmin(run.validation_loss) < run.loss.size - 1


@pytest.mark.parametrize("n", [1, 7, 8, 129, 1000])
def test_its_sum_is_that_of_numpy(n):
    x, y = RNG.standard_normal((2, n)) * 10.0 ** RNG.integers(-8, 8, (2, n))
    run = fit(models.linear, [1.0], [1.0], init=[0, 0], epochs=1, validation=(x, y))
    assert run.validation_loss[0] == np.add.reduce(y * y) / n


def test_the_target_is_one_for_the_training_loss():
    settings = {"validation": (X, np.zeros(61))}  # which the start predicts
    whole = quadratic(**settings)
    assert whole.validation_loss[0] == 0
    run = quadratic(**settings, target=float(whole.loss[4]))
    assert (run.status, run.epochs) == ("converged", 4)
    np.testing.assert_array_equal(run.validation_loss, whole.validation_loss[:5])


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_validation_loss_that_is_not_finite_ends_no_run(kernel):
    """The square of a held-out sample is infinite: times zero, at the start, it is no number."""
    run = quadratic(epochs=5, validation=([1e200], [1.0]), kernel=kernel)
    assert (run.status, run.epochs) == ("max_epochs", 5)
    np.testing.assert_array_equal(run.validation_loss, [np.nan] + 5 * [np.inf])
    assert run.best.checkpoint == 0


# Patience


@pytest.mark.parametrize("patience", [1, 2, 5, 100])
@pytest.mark.parametrize("record", ["epoch", "log:5", 4])
def test_a_run_stops_where_plain_python_says(record, patience, slicing):
    # With batches of 10 an epoch visits 60 of the samples.
    settings = {"record": record, "batch_size": 10, "lr": 0.2}
    whole = quadratic(**settings)
    end = checkpoint_of_stopping(losses_on(*HELD, whole.trajectory), whole.samples_seen.tolist(), 60 * patience)
    assert (end is None) == (patience == 100)
    run = quadratic(patience=patience, **settings)
    assert run.status == ("max_epochs" if end is None else "stopped")
    size = whole.loss.size if end is None else end + 1
    assert run.loss.size == size < whole.loss.size + (patience == 100)
    for name in ("loss", "validation_loss", "trajectory", "samples_seen"):
        np.testing.assert_array_equal(getattr(run, name), getattr(whole, name)[:size])
    lowest = int(np.argmin(losses_on(*HELD, whole.trajectory[:size])))
    assert lowest < size - 1
    np.testing.assert_array_equal(run.params, whole.trajectory[lowest])
    assert run.epochs_to_target is None


def test_all_that_is_said_of_the_parameters_is_said_of_those_that_are_kept(slicing):
    end, kept = quadratic(), quadratic(patience=100)
    best = kept.best
    assert 0 < best.checkpoint == kept.kept.checkpoint == kept.kept_checkpoint < end.kept.checkpoint == end.epochs == 12
    np.testing.assert_array_equal(end.params, end.trajectory[-1])
    np.testing.assert_array_equal(kept.params, best.params)
    for run in (end, kept):
        (residual,) = (run.predict(x) - y for x, y in [(X, Y)])
        assert run.kept.loss == pytest.approx(np.mean(residual**2), rel=1e-12)
        assert run.rmse == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-12)
        assert run.r2 == pytest.approx(1 - np.mean(residual**2) / np.var(Y), rel=1e-12)
        assert run.kept.validation_loss == pytest.approx(np.mean((run.predict(HELD_X) - HELD_Y) ** 2), rel=1e-12)
        assert f"-> {run.kept.loss:.6g} (" in str(run)
    assert kept.stderr.tolist() != end.stderr.tolist()


def test_the_checkpoint_that_is_kept_has_its_parameters_without_those_of_other_checkpoints():
    """They were nan, beside `params`."""
    run = quadratic(patience=100, record_params=False)
    assert 0 < run.kept.checkpoint < run.loss.size - 1
    for kept in (run.kept, run.best):
        np.testing.assert_array_equal(kept.params, run.params)


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_run_that_diverges_keeps_the_best_checkpoint_too(kernel):
    """Its start predicts best; after some epochs nothing is finite."""
    run = quadratic(kernel=kernel, lr=1e150, epochs=3, patience=3, validation=([0.5], [0.0]))
    assert (run.status, run.kept.checkpoint) == ("diverged", 0)
    assert run.params.tolist() == [0, 0, 0]
    assert not np.isfinite(run.trajectory[-1]).all()


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_run_whose_patience_ends_with_its_epochs_has_stopped(kernel):
    whole = quadratic(kernel=kernel, patience=2, epochs=50)
    assert whole.status == "stopped"
    assert quadratic(kernel=kernel, patience=2, epochs=whole.epochs).status == "stopped"
    assert quadratic(kernel=kernel, patience=2, epochs=whole.epochs - 1).status == "max_epochs"


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_loss_that_stays_as_it_is_has_not_improved(kernel):
    settings = {"init": [0, 2, 0], "epochs": 9, "validation": ([1.0], [3.0]), "patience": 4, "kernel": kernel}
    run = fit(models.quadratic, [1.0, 2.0], [2.0, 4.0], **settings)
    assert (run.status, run.epochs) == ("stopped", 4)
    assert run.best.checkpoint == 0


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_the_target_goes_before_patience(kernel):
    stopped = quadratic(kernel=kernel, patience=2)
    met = quadratic(kernel=kernel, patience=2, target=float(stopped.loss[-1]))
    assert (stopped.status, met.status) == ("stopped", "converged")
    assert met.epochs == stopped.epochs


# Many runs


RATES = np.geomspace(0.0003, 0.3, BLOCK_WIDTH + 5)
EPOCHS = 12


def many(kernel, *, optimizer="sgd", batch_size=1, shuffle=False, record="epoch", patience=np.inf, epochs=EPOCHS,
         runs=slice(None), validation=((HELD_X,), HELD_Y), state=None, **rest):  # fmt: skip
    """Runs of many rates; the last diverges. `state` is what others left behind."""
    rule, rates = make_optimizer(optimizer), np.append(RATES[:-1], 1e300)[runs]
    checkpoints = make_checkpoints(record, 61, batch_size, epochs, drop_last=True)
    hyper = Hyperparameters(np.tile(rates, (epochs, 1)), option_values(SQUARED, rule), batch_size, True, shuffle, 7,
                            0.012, checkpoints, patience)  # fmt: skip
    starts, memory = state or (np.zeros((rates.size, 3)), rule.initial_memory(np.zeros((rates.size, 3))))
    data = allocate_data((X,), Y, shuffle=shuffle, validation=validation)
    return train_runs(kernel, models.quadratic, SQUARED, rule, data, hyper, starts, memory, **rest)


@pytest.mark.parametrize(
    ("kernel", "record", "half", "order"),
    [
        ("reference", 25, 4, {}),
        *(
            (kernel, record, half, {})
            for kernel in ("fused", "lanes")
            for record in ("epoch", 25)
            for half in (1, 4, 7)
        ),
        *((kernel, 2, 4, {"batch_size": 8, "shuffle": True}) for kernel in ("reference", "fused", "lanes")),
        ("lanes-fma", "epoch", 4, {"optimizer": "sgd"}),
    ],
)
def test_a_run_that_goes_on_later_stops_where_one_made_at_once_does(kernel, record, half, order, slicing):
    settings = {"record": record, "patience": 3.0, "optimizer": "adam"} | order
    some = np.arange(RATES.size)[:: 3 if kernel == "reference" else 1]
    at_once = many(kernel, **settings, runs=some)
    before = many(kernel, **settings, runs=some, epochs=half)
    on = np.flatnonzero(before.status == 0)
    assert on.size > 5
    first = make_checkpoints(record, 61, order.get("batch_size", 1), half, drop_last=True).size - 1
    state = before.params[on], before.memory[on]
    after = many(kernel, **settings, runs=some[on], state=state, first=first, lowest=before.lowest[on])
    for name in ("params", "memory", "status", "checkpoints", "lowest"):
        joined = getattr(before, name).copy()
        joined[on] = getattr(after, name)
        np.testing.assert_array_equal(joined, getattr(at_once, name))
    for place, run in enumerate(on):
        end = after.checkpoints[place] + 1
        found = np.append(before.validation_losses[:first, run], after.validation_losses[: end - first, place])
        np.testing.assert_array_equal(found, at_once.validation_losses[:end, run])
        found = np.append(before.losses[:first, run], after.losses[: end - first, place])
        np.testing.assert_array_equal(found, at_once.losses[:end, run])
    # Without what the runs saw before, some would wait too long.
    forgetful = many(kernel, **settings, runs=some[on], state=state, first=first)
    assert (forgetful.checkpoints >= after.checkpoints).all()
    assert (forgetful.checkpoints > after.checkpoints).any() or half == 1


# What a result tells


def test_the_best_checkpoint_is_that_of_the_lowest_validation_loss():
    run = quadratic(record=20)
    losses = losses_on(*HELD, run.trajectory)
    checkpoint = losses.index(min(losses))
    assert 0 < checkpoint < len(losses) - 1
    best = run.best
    assert (best.checkpoint, best.samples_seen, best.epoch) == (
        checkpoint,
        run.samples_seen[checkpoint],
        run.samples_seen[checkpoint] / 61,
    )
    assert (best.loss, best.validation_loss) == (run.loss[checkpoint], run.validation_loss[checkpoint])
    assert best.params.tolist() == run.trajectory[checkpoint].tolist()
    best.params[:] = 7
    assert run.best.params.tolist() == run.trajectory[checkpoint].tolist() != [7, 7, 7]


def test_without_validation_the_best_checkpoint_is_that_of_the_lowest_loss():
    run = quadratic(validation=None, lr=0.9, schedule="step(6, 0.1)", shuffle=True)
    assert run.best.checkpoint == run.loss.tolist().index(min(run.loss))
    assert run.best.validation_loss is None
    assert (run.best.epoch, type(run.best.epoch)) == (run.best.checkpoint, int)


def test_the_checkpoint_at_which_a_run_is_no_longer_finite_is_not_its_best():
    """A denominator is infinite: both losses are finite there, and the lowest."""
    held_out = ([0.0], [0.0])
    run = fit("1/a + 0*x", [1], [0], init=[1e-3], lr=1e300, epochs=3, validation=held_out, kernel="reference")
    assert (run.status, run.loss[-1], run.validation_loss[-1]) == ("diverged", 0, 0)
    assert run.best.checkpoint == 0


@pytest.mark.parametrize("validation", [None, HELD])
def test_a_run_that_is_not_finite_from_the_start_has_its_start_as_the_best(validation):
    run = quadratic(init=[1e200, 0, 0], validation=validation)
    assert (run.best.checkpoint, run.best.loss, run.best.params.tolist()) == (0, np.inf, [1e200, 0, 0])


def test_the_frame_has_the_validation_loss_where_there_is_one():
    frame = quadratic().to_frame()
    names = ["epoch", "lr", "loss", "validation_loss", "param_a", "param_b", "param_c", "samples", "updates"]
    assert frame.columns.tolist() == names
    assert frame["validation_loss"].tolist() == quadratic().validation_loss.tolist()
    assert "validation_loss" not in quadratic(validation=None).to_frame()


def test_it_prints_the_validation_loss_where_there_is_one():
    last, kept = (str(quadratic(patience=patience)) for patience in (None, 3))
    ends = r"  validation  \S+ -> \S+"
    assert re.search(ends + r"; its parameters, after \d+ epochs, are kept\n", kept)
    assert re.search(ends + r", lowest \S+ after \d+ epochs\n", last)
    assert "validation" not in str(quadratic(validation=None))


# The test


@pytest.mark.parametrize("patience", [None, 3])
def test_samples_for_the_test_have_no_part_in_a_run(patience):
    settings = {"kernel": "reference", "patience": patience, "shuffle": True, "seed": 3, "lr": 0.1}
    run = quadratic(validation=0.3, test=0.2, **settings)
    places = np.random.default_rng(0).permutation(61)
    for_test, held, rest = np.split(places, [12, 30])
    other = Y.copy()
    other[for_test] = RNG.permutation(Y[for_test]) + 100.0
    again = fit(models.quadratic, X, other, init=[0, 0, 0], epochs=12, validation=0.3, test=0.2, **settings)
    parts = (X[np.sort(rest)], Y[np.sort(rest)]), (X[np.sort(held)], Y[np.sort(held)])
    alone = fit(models.quadratic, *parts[0], init=[0, 0, 0], epochs=12, validation=parts[1], **settings)
    for same in (again, alone):
        for name in ("params", "trajectory", "loss", "validation_loss", "stderr"):
            np.testing.assert_array_equal(getattr(same, name), getattr(run, name))
        np.testing.assert_array_equal(same.optimum.params, run.optimum.params)
        assert (same.kept_checkpoint, same.status) == (run.kept_checkpoint, run.status)
    assert alone.test is alone.test_loss is None
    assert alone.test_metrics == {}
    x, y = X[np.sort(for_test)], Y[np.sort(for_test)]
    np.testing.assert_array_equal(run.test[1], y)
    assert run.test_loss == pytest.approx(np.mean((run.predict(x) - y) ** 2), rel=1e-12)
    assert run.test_metrics == pytest.approx({"rmse": run.test_loss**0.5, "r2": 1 - run.test_loss / np.var(y)})
    assert again.test_loss > 1000 > run.test_loss
    known = f"RMSE {run.test_metrics['rmse']:.6g}, R² {run.test_metrics['r2']:.6g}"
    line = f"  test        {run.test_loss:.6g}, {known} on 12 samples that had no part in the run"
    assert line in str(run).splitlines()
    assert "  test" not in str(alone)
