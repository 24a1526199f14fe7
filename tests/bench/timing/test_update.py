import numpy as np
import pandas as pd
import pytest

from bench import Grid, sweep
from bench.study.schema import RunTable
from bench.tables.run_costs import COST_SETTINGS
from bench.tables.seconds import PER_UPDATE, add_seconds, times_to_target
from bench.timing import update as times
from bench.timing.paired import Timings
from bench.timing.update import update_seconds
from bench.timing.variants import BY_NAME
from kernels import models
from kernels.compile.kinds import lane_width
from kernels.losses import make_loss
from tests.support.frames import make_frame


def costs(*rows):
    """What was measured, each with an interval of 10 %."""
    table = pd.DataFrame(rows, columns=[*COST_SETTINGS, "variant", "seconds_per_update"])
    each = table["seconds_per_update"]
    return table.assign(seconds_per_update_low=0.9 * each, seconds_per_update_high=1.1 * each)


FRAME = pd.concat(
    [
        make_frame(4, lr=0.1, status="converged", updates_to_target=[2, 4, 6, 8]),
        make_frame(4, lr=0.2, status=["converged", "converged", "diverged", "max_epochs"],
                   updates_to_target=[1, 3, pd.NA, pd.NA]),
        make_frame(4, lr=0.3, status="diverged", final_loss=np.nan),
    ],
    ignore_index=True,
)  # fmt: skip


def test_updates_times_the_time_of_an_update():
    table = times_to_target(FRAME, costs(("sgd", 1, True, "fused", 0.5), ("sgd", 1, True, "reference", 100.0)))
    assert table[["lr", "variant"]].to_numpy().tolist() == [
        [0.1, "fused"], [0.1, "reference"], [0.2, "fused"], [0.2, "reference"], [0.3, "fused"], [0.3, "reference"]
    ]  # fmt: skip
    assert table["seconds_to_target"].tolist()[:4] == [2.5, 500, 1, 200]
    assert table["updates_to_target"].tolist()[:4] == [5, 5, 2, 2]
    np.testing.assert_allclose(table["seconds_to_target_low"][:4], [2.25, 450, 0.9, 180])
    np.testing.assert_allclose(table["seconds_to_target_high"][:4], [2.75, 550, 1.1, 220])


def test_a_run_takes_its_updates_times_the_time_of_one():
    frame = make_frame(3, optimizer=["sgd", "sgd", "adam"], batch_size=[1, 8, 1], updates=[10, 20, 30])
    table = add_seconds(
        frame, costs(("sgd", 1, True, "fused", 0.5), ("sgd", 1, True, "lanes", 9.0), ("adam", 1, True, "fused", 2.0))
    )
    np.testing.assert_equal(table["seconds"].to_numpy(), [5, np.nan, 60])
    np.testing.assert_allclose(table[PER_UPDATE].to_numpy()[[0, 2]], [[0.5, 0.45, 0.55], [2, 1.8, 2.2]])
    assert add_seconds(frame, None)[["seconds", *PER_UPDATE]].isna().all(axis=None)
    pd.testing.assert_frame_equal(table[frame.columns], frame.assign(seconds=table["seconds"]))


def test_failures_lower_the_success_and_nothing_is_left_out():
    table = times_to_target(FRAME, costs(("sgd", 1, True, "fused", 0.5)))
    assert table[["converged", "runs"]].to_numpy().tolist() == [[4, 4], [2, 4], [0, 4]]
    assert table["seconds_to_target"].isna().tolist() == [False, False, True]
    # Wilson's formula for 4, 2 and 0 of 4, worked out by hand with z = 1.959964.
    np.testing.assert_allclose(table["success"], [1, 0.5, 0])
    np.testing.assert_allclose(table["success_low"], [0.510109, 0.150040, 0], atol=1e-6)
    np.testing.assert_allclose(table["success_high"], [1, 0.849960, 0.489891], atol=1e-6)


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
    """A call of the reference is 200 of 800 samples, or 12 of 50 batches; others take 8 epochs of a run or a lane.

    The reference takes turns with itself alone.
    """
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    assert table[[*COST_SETTINGS, "variant"]].to_numpy().tolist() == [
        ["sgd", size, True, variant] for size in (1, 16) for variant in ("reference", "fused", "lanes")
    ]
    width = lane_width("lanes", "float64", models.quadratic.program, make_loss("squared"))
    expected = [0.1 / 200, 0.1 / 6400, 0.2 / 6400 / width, 0.2 / 12, 0.3 / 400, 0.4 / 400 / width]
    np.testing.assert_allclose(table["seconds_per_update"], expected)
    # Five rounds bound the median from the shortest to the longest.
    np.testing.assert_allclose(table["seconds_per_update_low"], 0.5 * np.array(expected))
    np.testing.assert_allclose(table["seconds_per_update_high"], 3 * np.array(expected))
    assert (table["note"] == "").all()


def test_an_interval_is_never_narrower_than_what_lies_between_two_runs(result, classic, monkeypatch):
    """All rounds are alike here, and another process would give another median all the same."""

    def take_turns(calls, **settings):
        return Timings((*calls, "again"), np.full((9, len(calls) + 1), 1.0), (1,) * (len(calls) + 1))

    monkeypatch.setattr(times, "take_turns", take_turns)
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    np.testing.assert_allclose(table["seconds_per_update_low"], 0.95 * table["seconds_per_update"])
    np.testing.assert_allclose(table["seconds_per_update_high"], 1.05 * table["seconds_per_update"])


@pytest.mark.parametrize("name", ["fused", "lanes"])
def test_what_is_not_what_the_reference_gives_is_not_timed(result, classic, timed, monkeypatch, name):
    right = BY_NAME[name]

    def prepare(problem):
        call = right.prepare(problem)
        return lambda: call()._replace(params=call().params + 0.25)

    monkeypatch.setitem(BY_NAME, name, right._replace(prepare=prepare))
    table = update_seconds(result, *classic, RunTable(), seconds=0.02)
    wrong = table["variant"] == name
    assert table["seconds_per_update"].isna().equals(wrong)
    assert table["note"][wrong].str.fullmatch(r"not verified: the first call is off by 0\.\d+, and may be by 0").all()
    assert (table["note"][~wrong] == "").all()
    assert len(timed) == 4


def test_all_that_is_timed_is_the_same_for_one_run_and_for_many(result, classic, timed, wrong_fused):
    """This `fused` is wrong only after the first epoch, of which the reference trains a part."""
    table = update_seconds(result, *classic, RunTable(), seconds=0.02).set_index("variant")
    assert table["note"]["reference"].tolist() == ["", ""]
    for name in ("fused", "lanes"):
        assert table["note"][name].str.fullmatch(r"not verified: fused and lanes differ by 0\.\d+").all()
    assert len(timed) == 2


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
