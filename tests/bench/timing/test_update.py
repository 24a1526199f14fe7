import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, models, sweep
from sgdbench.study.schema import RunTable
from sgdbench.tables.costs import COST_SETTINGS, PER_UPDATE, add_seconds
from sgdbench.timing import update as times
from sgdbench.timing.paired import Timings
from sgdbench.timing.update import update_seconds
from sgdbench.timing.variants import VARIANTS_BY_NAME
from tests.support.frames import make_frame


def costs(*rows):
    """What was measured, each with an interval of 10 %."""
    table = pd.DataFrame(rows, columns=[*COST_SETTINGS, "variant", "seconds_per_update"])
    each = table["seconds_per_update"]
    return table.assign(seconds_per_update_low=0.9 * each, seconds_per_update_high=1.1 * each)


def test_a_run_takes_its_updates_times_the_time_of_one():
    frame = make_frame(3, optimizer=["sgd", "sgd", "adam"], batch_size=[1, 8, 1], updates=[10, 20, 30])
    table = add_seconds(
        frame, costs(("sgd", 1, True, "fused", 0.5), ("sgd", 1, True, "lanes", 9.0), ("adam", 1, True, "fused", 2.0))
    )
    np.testing.assert_equal(table["seconds"].to_numpy(), [5, np.nan, 60])
    np.testing.assert_allclose(table[PER_UPDATE].to_numpy()[[0, 2]], [[0.5, 0.45, 0.55], [2, 1.8, 2.2]])
    assert add_seconds(frame, None)[["seconds", *PER_UPDATE]].isna().all(axis=None)
    pd.testing.assert_frame_equal(table[frame.columns], frame.assign(seconds=table["seconds"]))


@pytest.fixture(scope="module")
def result(classic):
    grid = Grid(lr=[0.05, 5.0], batch_size=[1, 16], optimizer=["sgd"], init={"zero": [0, 0, 0]}, shuffle=[True])
    return sweep(models.quadratic, *classic, grid, epochs=5, target=1.0)


@pytest.fixture
def timed(monkeypatch):
    """The calls that are timed, of which each takes 0.1 s longer than the one before in its turns, the first 0.1 s."""
    names = []

    def take_turns(calls, **settings):
        names.extend(calls)
        each = 0.1 * np.arange(1, len(calls) + 2)
        return Timings((*calls, "again"), each * [[3.0], [1.0], [1.0], [0.5], [1.0]], (1,) * len(each))

    monkeypatch.setattr(times, "take_turns", take_turns)
    return names


def test_an_update_is_timed_for_all_that_decides_how_long_it_takes(result, classic, timed):
    """A call is 8 epochs of 800 samples, or of 50 batches."""
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    assert table[[*COST_SETTINGS, "variant"]].to_numpy().tolist() == [["sgd", size, True, "fused"] for size in (1, 16)]
    expected = [0.1 / 6400, 0.2 / 400]
    np.testing.assert_allclose(table["seconds_per_update"], expected)
    # Five rounds bound the median from the shortest to the longest.
    np.testing.assert_allclose(table["seconds_per_update_low"], 0.5 * np.array(expected))
    np.testing.assert_allclose(table["seconds_per_update_high"], 3 * np.array(expected))
    assert (table["note"] == "").all()


def test_of_many_samples_an_update_is_timed_on_some(result, classic, timed, monkeypatch):
    monkeypatch.setattr(times, "MAX_SAMPLES", 100)
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    np.testing.assert_allclose(table["seconds_per_update"], [0.1 / 800, 0.2 / 48])


def test_an_interval_is_never_narrower_than_what_lies_between_two_runs(result, classic, monkeypatch):
    """All rounds are alike here, and another process would give another median all the same."""

    def take_turns(calls, **settings):
        return Timings((*calls, "again"), np.full((9, len(calls) + 1), 1.0), (1,) * (len(calls) + 1))

    monkeypatch.setattr(times, "take_turns", take_turns)
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    np.testing.assert_allclose(table["seconds_per_update_low"], 0.95 * table["seconds_per_update"])
    np.testing.assert_allclose(table["seconds_per_update_high"], 1.05 * table["seconds_per_update"])


@pytest.mark.parametrize("size", [1, 16])
def test_what_is_not_what_the_reference_gives_is_not_timed(result, classic, timed, monkeypatch, size):
    right = VARIANTS_BY_NAME["fused"]

    def prepare(problem):
        call = right.prepare(problem)
        return lambda: call()._replace(params=call().params + 0.25 * (problem.batch_size == size))

    monkeypatch.setitem(VARIANTS_BY_NAME, "fused", right._replace(prepare=prepare))
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    wrong = table["batch_size"] == size
    assert table["seconds_per_update"].isna().equals(wrong)
    assert table["note"][wrong].str.fullmatch(r"not verified: the first call is off by 0\.\d+; allowed: 0").all()
    assert (table["note"][~wrong] == "").all()
    assert len(timed) == 1


def test_a_kernel_that_is_wrong_after_the_first_epoch_alone_is_not_timed(result, classic, timed, wrong_fused):
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    assert table["note"].str.fullmatch(r"not verified: the first call is off by 0\.\d+; allowed: 0").all()
    assert table["seconds_per_update"].isna().all()
    assert timed == []


def test_a_rate_that_only_its_schedule_keeps_from_diverging_is_timed(classic):
    """At a constant rate the run is over early, and what comes after is none of its losses."""
    grid = Grid(lr=1e60, batch_size="full", init={"zero": [0, 0, 0]}, schedule="exponential(1e-60)")
    saved = sweep(models.quadratic, *classic, grid, epochs=2)
    assert set(saved.frame["status"]) == {"max_epochs"}
    table = update_seconds(saved, *classic, RunTable(), seconds=0.02)
    assert (table["note"] == "").all()


def test_what_diverges_from_every_rate_is_not_timed(classic):
    x, y = classic
    grid = Grid(lr=[5.0], batch_size=[1, 800], init={"zero": [0, 0, 0]})
    diverged = sweep(models.quadratic, x, y, grid, epochs=400)
    assert set(diverged.frame["status"]) == {"diverged"}
    assert update_seconds(diverged, x, y, RunTable(), seconds=0.02).empty
