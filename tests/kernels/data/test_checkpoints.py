"""Checkpoints between the ends of epochs, the same bits whatever is recorded, and stopping at a checkpoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdbench import fit, models
from sgdbench.engine.recording import DENSE_EPOCHS
from sgdbench.kernels.data.checkpoints import count_updates, make_checkpoints, most_checkpoints

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, 61)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(61)


def test_checkpoints_by_hand():
    assert make_checkpoints("epoch", 10, 3, 2, drop_last=True).tolist() == [0, 9, 18]
    assert make_checkpoints("epoch", 10, 3, 2, drop_last=False).tolist() == [0, 10, 20]
    assert make_checkpoints(2, 10, 3, 2, drop_last=True).tolist() == [0, 6, 9, 12, 18]
    # The fourth update of an epoch has one sample: after the eighth, the second epoch is over.
    assert make_checkpoints(3, 10, 3, 2, drop_last=False).tolist() == [0, 9, 10, 16, 20]
    assert make_checkpoints("log:1", 1000, 1, 2, drop_last=True).tolist() == [0, 1, 10, 100, 1000, 2000]
    assert make_checkpoints("log:2", 100, 8, 1, drop_last=True).tolist() == [0, 8, 24, 80, 96]
    assert make_checkpoints("log", 7, 7, 3, drop_last=True).tolist() == [0, 7, 14, 21]


def test_log_is_ten_to_a_decade_until_checkpoints_are_an_epoch_apart():
    checkpoints = make_checkpoints("log", 100_000, 1, 30, drop_last=True)
    assert make_checkpoints("log:10", 100_000, 1, 30, drop_last=True).tolist() == checkpoints.tolist()
    early = checkpoints[(checkpoints >= 1000) & (checkpoints < 100_000)]
    assert len(early) == 20
    np.testing.assert_allclose(early[1:] / early[:-1], 10**0.1, rtol=2e-3)
    assert checkpoints[checkpoints > 490_000].tolist() == [100_000 * epoch for epoch in range(5, 31)]


def test_updates_by_hand():
    checkpoints = np.array([0, 3, 6, 9, 10, 13, 20])
    assert count_updates(checkpoints, 10, 3, drop_last=False).tolist() == [0, 1, 2, 3, 4, 5, 8]
    assert count_updates(np.array([0, 6, 9, 12, 18]), 10, 3, drop_last=True).tolist() == [0, 2, 3, 4, 6]


def test_checkpoints_beyond_the_integers_of_32_bits():
    n = 3 * 10**9
    assert make_checkpoints("log:1", n, 1, 2, drop_last=True).tolist()[-3:] == [10**9, n, 2 * n]
    checkpoints = make_checkpoints(10**9, n, 1, 2, drop_last=True)
    assert checkpoints.tolist() == [k * 10**9 for k in range(7)]
    assert count_updates(checkpoints, n, 1, drop_last=True).tolist() == checkpoints.tolist()
    assert make_checkpoints(10**6, n, 1000, 1, drop_last=True).tolist() == [0, 10**9, 2 * 10**9, n]


@given(
    n=st.integers(1, 300),
    size=st.integers(1, 300),
    epochs=st.integers(1, 12),
    drop_last=st.booleans(),
    record=st.sampled_from(["epoch", "log", "log:1", "log:37", 1, 2, 7, 10_000]),
)
@settings(max_examples=200, deadline=None)
def test_what_holds_of_all_checkpoints(n, size, epochs, drop_last, record):
    size = min(n, size)
    checkpoints = make_checkpoints(record, n, size, epochs, drop_last=drop_last)
    per_epoch = n - n % size if drop_last else n
    assert (np.diff(checkpoints) > 0).all()
    assert set(per_epoch * np.arange(epochs + 1)) <= set(checkpoints)
    assert checkpoints[-1] == per_epoch * epochs
    assert (checkpoints % per_epoch % size == 0).all()
    longer = make_checkpoints(record, n, size, epochs + 3, drop_last=drop_last)
    assert longer[longer <= checkpoints[-1]].tolist() == checkpoints.tolist()
    updates = count_updates(checkpoints, n, size, drop_last=drop_last)
    assert updates[-1] == epochs * -(-per_epoch // size)
    assert (np.diff(updates) > 0).all()


@pytest.mark.parametrize("batch", [{}, {"batch_size": 8}, {"batch_size": 8, "drop_last": False}], ids=str)
def test_recording_changes_nothing(batch):
    common = batch | {"init": [-1, 10, 26], "epochs": 4, "optimizer": "adam", "schedule": "halve(2)", "shuffle": True}
    at = {}
    for record in ("epoch", "log", "log:2", 1, 5):
        fused = fit(models.quadratic, X, Y, record=record, **common)
        for seen, loss, theta in zip(fused.samples_seen.tolist(), fused.loss, fused.trajectory, strict=True):
            expected = at.setdefault(seen, (loss, theta.tolist()))
            assert expected == (loss, theta.tolist())
    assert len(at) == 1 + fused.updates[-1]


def test_a_checkpoint_between_is_where_as_many_updates_lead():
    """Per sample and in order, the state after 70 updates is that of an epoch over 61 samples and one over nine."""
    at_once = fit(models.quadratic, X, Y, init=[0, 0, 0], epochs=2, record=1)
    first = fit(models.quadratic, X, Y, init=[0, 0, 0], epochs=1)
    rest = fit(models.quadratic, X[:9], Y[:9], init=first.params, epochs=1)
    np.testing.assert_array_equal(at_once.trajectory[70], rest.params)


def test_a_run_stops_at_the_first_checkpoint_at_or_below_the_target():
    settings = {"init": [-1, 10, 26], "epochs": 3, "schedule": "halve(2)"}
    whole = fit(models.quadratic, X, Y, record=1, **settings)
    target = float(whole.loss[75])
    first = int(np.argmax(whole.loss <= target))
    stopped = fit(models.quadratic, X, Y, record=1, target=target, **settings)
    assert stopped.status == "converged"
    assert stopped.samples_seen[-1] == stopped.updates[-1] == first
    assert (stopped.epochs, stopped.epochs_to_target) == (first // 61, first / 61)
    for name in ("loss", "trajectory"):
        np.testing.assert_array_equal(getattr(stopped, name), getattr(whole, name)[: first + 1])
    by_epoch = fit(models.quadratic, X, Y, target=target, **settings)
    assert by_epoch.epochs == by_epoch.epochs_to_target == -(-first // 61)
    assert isinstance(by_epoch.epochs_to_target, int)
    assert by_epoch.rates.tolist() == [0.1, 0.05, 0.05][: by_epoch.epochs]


def test_the_frame_has_a_row_per_checkpoint():
    run = fit(models.quadratic, X, Y, init=[0, 0, 0], epochs=4, schedule="halve(2)", batch_size=8, record=3)
    frame = run.to_frame()
    assert frame["samples"].tolist() == run.samples_seen.tolist()
    assert frame["updates"].tolist() == run.updates.tolist()
    np.testing.assert_array_equal(frame["epoch"], run.samples_seen / 56)
    # The rate of the update that led there: 0.1 in the first epoch, half of it in the second and third.
    by_update = np.repeat([0.1, 0.05, 0.05, 0.025], 7)
    np.testing.assert_array_equal(frame["lr"], [np.nan, *by_update[run.updates[1:] - 1]])
    np.testing.assert_array_equal(frame[["param_a", "param_b", "param_c"]], run.trajectory)


@pytest.mark.parametrize("per_decade", [1, 10, 50])
def test_no_checkpoint_but_the_ends_of_epochs_is_after_the_first_hundred(per_decade):
    """So the checkpoints of very many epochs are counted without being made."""
    checkpoints = make_checkpoints(f"log:{per_decade}", 800, 1, 1000, drop_last=True)
    assert (checkpoints[checkpoints > DENSE_EPOCHS * 800] % 800 == 0).all()
    assert (checkpoints % 800 != 0).any()


@pytest.mark.parametrize("record", ["epoch", "log", "log:100", 1, 3, 1000])
@pytest.mark.parametrize(("n", "batch_size"), [(800, 1), (800, 16), (811, 16), (5, 5)])
def test_there_are_never_more_checkpoints_than_told(record, n, batch_size):
    for drop_last in (True, False):
        checkpoints = make_checkpoints(record, n, batch_size, 50, drop_last=drop_last).size
        assert checkpoints <= most_checkpoints(record, n, batch_size, 50, drop_last=drop_last)
