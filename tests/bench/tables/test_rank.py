"""The ranking of choices: its columns, its rules, and that its recommendation is right in studies that are known."""

import numpy as np
import pandas as pd
import pytest
from numpy import inf, nan
from scipy.stats import binomtest

from sgdbench.kernels.train.attainable_loss import unknown_loss
from sgdbench.tables.confirm import confirm
from sgdbench.tables.costs import CHOICES, LOSS_FLOOR, add_excess, loss_floor
from sgdbench.tables.rank import ranking
from tests.support.simulated import costs_of, runs_of, study

MEASURES = ["samples", "updates", "seconds", "final_loss"]
JUDGED = ["ratio", "verdict", "tied", "recommended", "reason"]
ONE = runs_of([[1.0]])


def with_losses(losses, status="max_epochs", **settings):
    """Runs without a target, from final losses, shape (choices, pairs)."""
    losses = np.asarray(losses, dtype=float)
    frame = runs_of(np.full(losses.shape, inf), **settings)
    diverged = np.where(np.isnan(losses.ravel()), "diverged", status)
    return frame.assign(final_loss=losses.ravel(), status=pd.Categorical(diverged))


def test_a_run_that_diverged_has_failed_though_it_kept_parameters():
    """With patience it keeps those of before, which have a loss."""
    frame = with_losses([[1.0, 1.0, 1.0], [0.1, 0.1, 0.1]], lr=[0.1, 0.2])
    frame["status"] = ["max_epochs"] * 3 + ["diverged"] * 3
    table = ranking(frame)
    assert table["lr"].tolist() == [0.1, 0.2]
    assert table["success"].tolist() == [1, 0]
    assert table["final_loss"].tolist() == [1, inf]


def by_distance(frame, sweep=None):
    return add_excess(frame, unknown_loss("the loss has no lower bound"), LOSS_FLOOR, sweep)


@pytest.mark.parametrize("name", ["final_loss", "validation_loss"])
def test_negative_losses_are_ranked_by_their_distance_to_the_lowest_of_them(name):
    """As of a log-likelihood: their ratios say nothing, and none is above the floor of rounding."""
    noise = 0.01 * np.random.default_rng(3).normal(size=8)
    losses = np.array([[-0.5], [-2.0], [-1.999], [0.7]]) + noise
    frame = with_losses(losses, lr=[0.1, 0.2, 0.3, 0.4]).assign(**{name: losses.ravel()})
    table = ranking(by_distance(frame))
    assert table["lr"].tolist() in ([0.2, 0.3, 0.1, 0.4], [0.3, 0.2, 0.1, 0.4])
    assert table["tied"].tolist() == [True, True, False, False]
    assert table["ratio"][2] > 10
    moved = ranking(by_distance(frame.assign(**{name: losses.ravel() - 1024})))
    pd.testing.assert_frame_equal(moved[["lr", "ratio", "tied"]], table[["lr", "ratio", "tied"]])
    lost = ranking(by_distance(frame.assign(**{name: np.where(frame["lr"] == 0.2, -7e80, losses.ravel())})))
    assert lost["lr"][0] == 0.2
    assert lost["tied"].tolist() == [True, False, False, False]


def test_negative_losses_that_are_tied_in_the_sweep_are_tied_on_fresh_seeds():
    """Among the leaders alone losses spread less, and differences that do not matter were said to be worse."""
    noise = 1e-3 * np.random.default_rng(4).normal(size=(4, 8))
    sweep = with_losses(np.array([[-2.0], [-1.996], [1.0], [2.0]]) + noise, lr=[0.1, 0.2, 0.3, 0.4])
    leading = with_losses(np.array([[-2.0], [-1.996]]) + noise[2:], lr=[0.1, 0.2]).assign(seed=lambda f: f["seed"] + 50)
    ranked = ranking(by_distance(sweep))
    assert ranked["tied"].tolist() == [True, True, False, False]
    assert confirm(ranked, by_distance(leading, sweep))["tied"].tolist() == [True, True, False, False]
    assert confirm(ranked, by_distance(leading))["tied"].tolist() == [True, False, False, False]


def test_a_row_says_how_often_and_at_what_cost_a_choice_succeeds():
    costs = [[100, 120, 140, 160, 180, 200], [50, 60, 70, 80, inf, inf]]
    table = ranking(runs_of(costs, batch_size=10, seconds_per_update=1e-3, lr=[0.1, 0.2]))
    assert table.columns.tolist() == [
        *CHOICES,
        *("runs", "converged", "diverged", "success", "success_low", "success_high"),
        *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")),
        *JUDGED,
    ]
    assert table[["lr", "runs", "converged"]].to_numpy().tolist() == [[0.1, 6, 6], [0.2, 6, 4]]
    for row in table.itertuples():
        expected = binomtest(row.converged, row.runs).proportion_ci(method="wilson")
        assert (row.success_low, row.success_high) == pytest.approx((expected.low, expected.high))
    assert table["samples"].tolist() == [150, 75]
    assert table["updates"].tolist() == [15, 7.5]
    assert table["seconds"].tolist() == pytest.approx([0.015, 0.0075])
    first = table.iloc[0]
    assert 100 < first["samples_low"] < 120 < 180 < first["samples_high"] < 200
    # What is not known of the time of an update is added.
    assert first["seconds_low"] == pytest.approx(0.98e-3 * first["updates_low"])
    assert first["seconds_high"] == pytest.approx(1.02e-3 * first["updates_high"])
    assert table["samples_high"].tolist()[1] == inf
    assert table["ratio"].tolist()[0] == 1


@pytest.mark.parametrize("cost", ["samples", "updates", "seconds"])
def test_it_is_ranked_by_the_cost_that_is_asked_for(cost):
    frame = runs_of(
        [[64] * 6, [128] * 6, [96] * 6], batch_size=[1, 32, 2], seconds_per_update=[1e-9, 1e-6, 1e-9], lr=0.1
    )
    best = {"samples": 1, "updates": 32, "seconds": 2}[cost]
    table = ranking(frame, cost)
    assert table["batch_size"].tolist()[0] == best
    assert table["recommended"].tolist() == [True, False, False]


def test_seconds_are_tied_that_the_errors_of_their_times_do_not_tell_apart():
    """The choice that was truly best was tied in 45 to 61 of 100 studies whose times had errors of 6 %."""
    costs = costs_of(np.random.default_rng(3), [1000, 1000, 1000, 1100], 10, spread=0.01)
    times, optimizers = [1.0e-6, 1.1e-6, 1.5e-6, 1.0e-6], ["sgd", "adam", "lion", "sgd"]
    frame = runs_of(costs, optimizer=optimizers, lr=[0.1, 0.1, 0.1, 0.2], seconds_per_update=times)
    assert ranking(frame, "seconds")["tied"].tolist() == [True, False, False, False]  # errors of 2 %
    low, high = 0.9 * frame["seconds_per_update"], 1.1 * frame["seconds_per_update"]
    wider = ranking(frame.assign(seconds_per_update_low=low, seconds_per_update_high=high), "seconds")
    # Choices that were timed together have the same error.
    tied = wider.set_index(["optimizer", "lr"])["tied"]
    assert [bool(tied[one]) for one in (("sgd", 0.1), ("adam", 0.1), ("lion", 0.1), ("sgd", 0.2))] == [
        True, True, False, False
    ]  # fmt: skip


def test_without_a_target_the_final_loss_decides():
    table = ranking(with_losses([[0.3] * 5, [0.1] * 5, [0.2, 0.2, 0.2, nan, nan]], lr=[1, 2, 3]))
    assert table["lr"].tolist() == [2, 1, 3]
    assert table["converged"].tolist() == [0, 0, 0]
    assert table["success"].tolist() == [1, 1, 0.6]
    assert table["final_loss"].tolist() == [0.1, 0.3, 0.2]
    assert table["final_loss_high"].tolist() == [0.1, 0.3, inf]
    assert table[["samples", "updates", "samples_low", "seconds_high"]].isna().all(axis=None)
    assert table["reason"].tolist()[0] == "It ranks first by final loss, compared run by run."


def test_a_target_that_no_run_reached_counts_as_none():
    frame = with_losses([[0.3] * 5, [0.1] * 5], seconds_per_update=1e-6)
    for cost in ("samples", "updates", "seconds"):
        pd.testing.assert_frame_equal(ranking(frame, cost), ranking(frame, "final_loss"))


def test_rounding_decides_nothing():
    rng = np.random.default_rng(1)
    losses = np.array([9.7e-31, 4.7e-31, 6e-30])[:, np.newaxis] * rng.uniform(0.9, 1.1, (3, 6))
    table = ranking(with_losses(losses, lr=[0.1, 0.2, 0.4]))
    assert table["tied"].all()
    assert table["lr"].tolist() == [0.2, 0.1, 0.4]  # the recommended rate is in the middle
    assert table["verdict"].tolist() == ["best", "indistinguishable", "indistinguishable"]
    assert table["final_loss"].tolist() == pytest.approx(np.median(losses, axis=1)[[1, 0, 2]], abs=0)
    assert ranking(with_losses(losses), floor=0)["lr"].tolist() == [0.2, 0.1, 0.4]
    assert ranking(with_losses(losses), floor=0)["tied"].tolist() == [True, False, False]
    assert ranking(with_losses(0 * losses))["tied"].all()
    # Nor where the data leave a loss.
    settled = 0.0123 * (1 + 1e-9 * rng.standard_normal((3, 6)) + [[1e-8], [0], [2e-8]])
    assert ranking(with_losses(settled))["tied"].all()


def test_the_floor_scales_with_the_targets():
    y = np.random.default_rng(2).standard_normal(100)
    assert loss_floor(1000 * y) == pytest.approx(1e6 * loss_floor(y), rel=1e-12, abs=0)
    assert LOSS_FLOOR == loss_floor(np.array([1.0, -1.0])) == pytest.approx(2e-28, rel=0.1, abs=0)


def test_no_run_at_all():
    table = ranking(ONE.iloc[:0])
    assert len(table) == 0
    assert table.columns.tolist() == ranking(ONE).columns.tolist()


@pytest.mark.parametrize("cost", ["samples", "updates", "final_loss"])
def test_measured_times_change_which_choice_is_recommended_and_not_how_the_others_rank(cost):
    rng = np.random.default_rng(9)
    costs = costs_of(rng, np.geomspace(1000, 1300, 12), 5, spread=0.1)
    frame = runs_of(costs, batch_size=[1, 2, 4] * 4)
    counted, first = ranking(frame, cost), set()
    for seconds in (np.geomspace(1e-9, 1e-6, 12), np.geomspace(1e-6, 1e-9, 12)):
        timed = ranking(frame.assign(seconds_per_update=np.repeat(seconds, 5)), cost)
        names = [name for name in counted.columns[: -len(JUDGED)] if not name.startswith("seconds")]
        both = [table.sort_values("lr", ignore_index=True)[names] for table in (timed, counted)]
        pd.testing.assert_frame_equal(*both)
        taken = {timed["lr"][0], counted["lr"][0]}
        orders = [table["lr"][~table["lr"].isin(taken)].tolist() for table in (timed, counted)]
        assert orders[0] == orders[1]
        first.add(timed["lr"][0])
    assert len(first) == {"samples": 1, "updates": 1, "final_loss": 2}[cost]


def test_what_a_run_is_paired_with_is_its_start_and_seed():
    """In whatever order runs come, and not where starts differ."""
    costs = costs_of(np.random.default_rng(4), np.geomspace(100, 300, 12), 6)
    frame = runs_of(costs)
    expected = ranking(frame)
    shuffled = frame.sample(frac=1, random_state=1)
    found = ranking(shuffled).sort_values("lr", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected.sort_values("lr", ignore_index=True))
    alone = ranking(frame.assign(init=np.arange(len(frame)).astype(str)))
    assert alone["tied"].all()
    assert not expected["tied"].all()


def test_categories_and_missing_values_are_read_as_they_come():
    frame = runs_of(costs_of(np.random.default_rng(5), [100, 200, 300], 6, success=0.8), seconds_per_update=1e-6)
    expected = ranking(frame)
    optional = frame.astype(dict.fromkeys(("optimizer", "schedule", "init"), "category"))
    optional = optional.astype({"seed": "uint64", "status": str, "samples_to_target": float, "batch_size": "Int64"})
    optional = optional.astype(dict.fromkeys(("final_loss", "seconds_per_update"), "Float64"))
    categories = {"optimizer": ["adam", "sgd"], "init": ["far", "near"]}
    optional = optional.assign(**{name: optional[name].cat.set_categories(own) for name, own in categories.items()})
    found = ranking(optional)
    assert found["optimizer"].dtype == optional["optimizer"].dtype
    assert found["batch_size"].dtype == "Int64"
    names = expected.columns.drop(["optimizer", "schedule", "batch_size"])
    pd.testing.assert_frame_equal(found[names], expected[names])


@pytest.mark.parametrize("cost", ["samples", "seconds"])
def test_a_run_that_is_at_the_target_from_the_start_costs_next_to_nothing(cost):
    table = ranking(runs_of([[0] * 5, [100] * 5, [0] * 5], seconds_per_update=1e-6), cost)
    assert table["lr"].tolist() == [0.1, 0.4, 0.2]
    assert table["seconds"].tolist() == pytest.approx([0, 0, 1e-4])
    assert table["ratio"].tolist() == pytest.approx([1, 1, 100])
    assert table["tied"].tolist() == [True, True, False]


def test_choices_that_were_run_less_often_are_compared_in_the_pairs_that_they_have():
    frame = runs_of(costs_of(np.random.default_rng(6), [100, 300], 10, spread=0.05))
    table = ranking(frame.iloc[:-6])
    assert table["runs"].tolist() == [10, 4]
    assert table["tied"].tolist() == [True, False]
    assert table["samples_low"].isna().tolist() == [False, True]
    assert table["ratio"].tolist()[1] == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            ONE,
            {"cost": "epochs"},
            "cost must be one of 'samples', 'updates', 'seconds', 'final_loss', 'validation_loss', not 'epochs'",
        ),
        (ONE, {"cost": np.zeros(1)}, r"cost must be one of .*, not array\(\[0\.\]\)"),
        (ONE, {"cost": "seconds"}, r"frame must have a column 'seconds_per_update' to rank by seconds; it has .*"),
        (
            runs_of([[1.0, 2.0]]).iloc[[0, 1, 1]],
            {},
            "frame must have every run once, and it has this one twice: "
            "optimizer=sgd, lr=0.1, schedule=constant, batch_size=1, shuffle=True, init=near, seed=1",
        ),
    ],
    ids=["unknown cost", "cost that is no text", "no seconds", "run that is there twice"],
)
def test_what_cannot_be_ranked_is_refused_in_one_line(frame, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        ranking(frame, **options)


def test_a_choice_that_converges_and_has_no_time_cannot_be_ranked_by_seconds():
    frame = runs_of([[1.0] * 5, [inf] * 5, [2.0] * 5], seconds_per_update=[1e-6, nan, 1e-6])
    assert ranking(frame, "seconds")["lr"].tolist() == [0.1, 0.4, 0.2]
    frame.loc[frame["lr"] == 0.4, "seconds_per_update"] = nan
    with pytest.raises(ValueError, match=r"^cost must not be 'seconds' where .*: optimizer=sgd, lr=0\.4,"):
        ranking(frame, "seconds")
    assert ranking(frame)["seconds"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("pairs", [3, 30])
def test_the_recommended_choice_is_as_good_as_the_best_in_95_of_100_studies(pairs):
    """As good: it is as reliable, and costs at most 5 % more, or too little more to be noticed with these pairs.

    A test of two choices at 95 % notices a difference of 2.8 standard errors in 80 of 100 cases.
    """
    rng = np.random.default_rng(pairs)
    right, listed = [], []
    for number in range(48):
        frame, medians, success = study(rng, pairs, ["normal", "heavy", "skewed"][number % 3])
        table = ranking(frame)
        reliable = success >= success.max() - 0.1
        best = np.flatnonzero(reliable)[np.argmin(medians[reliable])]
        truth = frame.iloc[::pairs][CHOICES].assign(
            median=medians, reliable=reliable, best=np.arange(len(medians)) == best
        )
        table = table.merge(truth.astype({"optimizer": str}), on=CHOICES)
        assert table["recommended"].sum() == 1
        chosen = table[table["recommended"]].iloc[0]
        noticed = 2.8 * 0.1 * np.sqrt(2 / pairs)
        right.append(chosen["reliable"] and np.log(chosen["median"] / medians[best]) <= max(np.log(1.05), noticed))
        listed.append(table.loc[table["best"], "tied"].item())
    assert np.mean(right) >= 0.95
    assert np.mean(listed) >= 0.95


def test_five_thousand_choices_do_not_overflow_anything():
    rng = np.random.default_rng(8)
    costs = costs_of(rng, np.geomspace(1, 1e9, 5000), 5, success=0.9)
    table = ranking(runs_of(costs, lr=np.arange(1, 5001) * 1e-4))
    assert len(table) == 5000
    assert 1 <= table["tied"].sum() < 1000


def test_single_runs_tell_nothing_but_success():
    table = ranking(runs_of([[100], [102], [300], [inf]], lr=[0.1, 0.2, 0.4, 0.8]))
    assert table["tied"].tolist() == [True, True, True, False]
    assert table["verdict"].tolist() == ["best", "too few runs", "too few runs", "fails"]
    assert table["lr"].tolist() == [0.2, 0.1, 0.4, 0.8]
    assert table["ratio"].tolist() == pytest.approx([1, 1 / 1.02, 3 / 1.02, inf])
    assert "2 choices are about equally good" in table["reason"][0]
