"""What is to be run again, and what fresh seeds say of it."""

import numpy as np
import pandas as pd
import pytest
from numpy import inf, nan

from sgdbench.tables.confirm import are_same, confirm, winners
from sgdbench.tables.optimizer_comparison import compare_optimizers
from sgdbench.tables.rank import ranking, recommended_choice
from tests.support.frames import make_frame
from tests.support.simulated import costs_of, runs_of


def test_what_is_tied_and_the_best_of_each_kind_is_run_again():
    costs = np.array([[100.0] * 5, [101] * 5, [102] * 5, [300] * 5, [400] * 5, [500] * 5, [inf] * 5])
    frame = runs_of(
        costs, optimizer=[*["sgd"] * 5, "adam", "adam"], batch_size=[1, 1, 1, 8, 8, 1, 64], lr=[1, 2, 3, 4, 5, 6, 7]
    )
    ranked = ranking(frame)
    again = winners(ranked)
    assert again["lr"].tolist() == [2, 1, 3, 4, 6, 7]  # the recommended one is in the middle of the tied ones
    pd.testing.assert_frame_equal(again, ranked.iloc[[0, 1, 2, 3, 5, 6]].reset_index(drop=True))


def test_fresh_runs_stand_beside_the_ranking():
    rng = np.random.default_rng(1)
    ranked = ranking(runs_of(costs_of(rng, [100, 110, 300], 5), seconds_per_update=1e-6))
    fresh = runs_of(costs_of(rng, [100, 110], 20, success=0.8), seeds=100, seconds_per_update=1e-6)
    confirmed = confirm(ranked, fresh)
    pd.testing.assert_frame_equal(confirmed[ranked.columns], ranked)
    new = [name for name in confirmed if name not in ranked]
    assert {name.removeprefix("confirmed_") for name in new} < set(ranked.columns)
    assert confirmed["confirmed_runs"].tolist() == [20, 20, pd.NA]
    alone = ranking(fresh).set_index("lr")
    for row in confirmed.head(2).itertuples():
        expected = alone.loc[row.lr]
        assert row.confirmed_converged == expected["converged"]
        for name in ("success", "success_low", "samples", "samples_high", "updates_low", "seconds", "final_loss"):
            assert getattr(confirmed.loc[row.Index], f"confirmed_{name}") == expected[name]
    assert confirmed.loc[2, new].isna().all()


def test_categories_of_both_sides_need_not_be_the_same():
    rng = np.random.default_rng(2)
    frame = runs_of(costs_of(rng, [100, 300], 5), optimizer=["sgd", "adam"], lr=0.1)
    fresh = runs_of(costs_of(rng, [100], 5), optimizer="sgd", lr=0.1)
    ranked = ranking(frame.astype({"optimizer": "category", "schedule": "category"}))
    confirmed = confirm(ranked, fresh.astype({"optimizer": "category", "batch_size": "Int64"}))
    assert confirmed["confirmed_runs"].tolist() == [5, pd.NA]
    assert confirmed["optimizer"].dtype == ranked["optimizer"].dtype


def test_no_success_on_fresh_seeds_is_said():
    ranked = ranking(runs_of([[100] * 5, [200] * 5]))
    confirmed = confirm(ranked, runs_of([[inf] * 20], seeds=10))
    assert confirmed.loc[0, ["confirmed_success", "confirmed_samples"]].tolist() == [0, inf]


def test_without_a_target_the_final_loss_is_confirmed():
    frame = runs_of(np.full((2, 5), inf)).assign(final_loss=np.repeat([0.1, 0.2], 5))
    fresh = runs_of(np.full((1, 5), inf), seeds=9).assign(final_loss=[0.3, 0.1, 0.1, 0.2, nan])
    confirmed = confirm(ranking(frame), fresh)
    assert confirmed.loc[0, ["confirmed_success", "confirmed_final_loss"]].tolist() == [0.8, 0.2]
    assert confirmed["confirmed_samples"].isna().all()


def test_each_optimizer_stands_by_the_choice_that_fresh_seeds_show_to_be_its_best():
    """Of two seeds, the losses of one on held-out rows may be next to nothing, and say nothing of the others."""
    settings = {"optimizer": ["sgd", "sgd", "sgd", "adam", "adam"], "lr": [0.1, 0.2, 0.3, 0.1, 0.2]}
    frame = runs_of(np.full((5, 2), inf), **settings)
    lucky = [[1e-9, 0.5], [0.03, 0.03], [0.031, 0.03], [1e-3, 0.1], [0.05, 0.04]]
    ranked = ranking(frame.assign(validation_loss=np.ravel(lucky)))
    assert recommended_choice(ranked)[["optimizer", "lr"]].tolist() == ["sgd", 0.1]
    rng = np.random.default_rng(8)
    losses = np.exp(rng.normal(0, 0.05, (5, 20))) * np.array([[0.5], [0.03], [0.06], [0.4], [0.04]])
    fresh = runs_of(np.full((5, 20), inf), seeds=10, **settings).assign(validation_loss=losses.ravel())
    confirmed = confirm(ranked, fresh, samples=1)
    best = recommended_choice(confirmed)
    assert best[["optimizer", "lr"]].tolist() == ["sgd", 0.2]
    assert best["reason"] == (
        "Trained again, the choice that came first was ruled out: sgd, learning rate 0.1, batch size full, schedule "
        "constant, shuffled."
    )
    assert confirmed["reason"].ne("").tolist() == confirmed["verdict"].eq("best").tolist() == [True, *[False] * 4]
    assert confirmed.loc[confirmed["tied"], "lr"].tolist() == [0.2]
    compared = compare_optimizers(fresh, confirmed)
    assert compared[["optimizer", "lr"]].to_numpy().tolist() == [["sgd", 0.2], ["adam", 0.2]]
    assert compared["ratio"][1] == pytest.approx(4 / 3, rel=0.05)


def test_a_choice_that_fresh_seeds_rule_out_is_not_tied():
    """Of six pairs, two choices of an optimizer can be told apart, and four choices together cannot."""
    settings = {"optimizer": ["sgd", "sgd", "adam", "adam"], "lr": [0.1, 0.2, 0.3, 0.4]}
    ranked = ranking(runs_of(np.array([[100.0] * 5, [101] * 5, [102] * 5, [103] * 5]), **settings))
    fresh = runs_of(np.array([[200.0] * 6, [100] * 6, [107] * 6, [106] * 6]), seeds=10, **settings)
    confirmed = confirm(ranked, fresh)
    assert "ruled out" in recommended_choice(confirmed)["reason"]
    assert confirmed.loc[confirmed["tied"], "lr"].tolist() == [0.2]


def test_a_choice_with_the_runs_of_one_that_is_ruled_out_is_ruled_out_too():
    """Before the tenth epoch, halve(10) is constant: of the same runs, those of one schedule were tied alone."""
    settings = {"optimizer": ["sgd"] * 3 + ["adam"] * 3, "lr": [0.1, 0.1, 0.2, 0.3, 0.4, 0.5]}
    settings["schedule"] = ["constant", "halve(10)", *["constant"] * 4]
    ranked = ranking(runs_of([[cost] * 5 for cost in (100, 100, 101, 110, 110, 110)], **settings))
    fresh = runs_of([[cost] * 8 for cost in (200, 200, 100, 107, 106, 106)], seeds=10, **settings)
    confirmed = confirm(ranked, fresh)
    assert "ruled out" in recommended_choice(confirmed)["reason"]
    assert confirmed.loc[confirmed["tied"], "lr"].tolist() == [0.2]


def test_runs_from_starts_that_are_drawn_are_not_the_same_although_they_end_alike():
    """In one order, linear models forget where they began."""
    runs = make_frame(2, seed=[0, 1], shuffle=False)
    assert are_same(runs, np.ones((2, 3)), 800)
    assert not are_same(runs, np.arange(6.0).reshape(2, 3), 800)
    assert not are_same(runs.assign(final_loss=[1.0, 2.0]), np.ones((2, 3)), 800)  # of a rule that draws


@pytest.mark.parametrize(("low", "high", "tied"), [(0.7, 1.0, True), (1.0, 1.4, False)])
def test_the_errors_of_times_count_in_their_direction_on_fresh_seeds(low, high, tied):
    """A rival whose time may be lower is tied with the best choice, and one whose time may be higher is not."""
    settings = {"optimizer": ["sgd", "adam"], "lr": 0.1, "seconds_per_update": 1e-6}
    costs = costs_of(np.random.default_rng(6), [1000, 1200], 20, spread=0.01)
    ranked = ranking(runs_of([[1000.0] * 5, [1010] * 5], **settings), "seconds")
    fresh = runs_of(costs, seeds=10, **settings)
    ends = {"low": np.repeat([1.0, low], 20), "high": np.repeat([1.0, high], 20)}
    fresh = fresh.assign(**{f"seconds_per_update_{end}": 1e-6 * by for end, by in ends.items()})
    confirmed = confirm(ranked, fresh, cost="seconds").set_index("optimizer")
    assert (confirmed["recommended"]["sgd"], confirmed["tied"]["adam"]) == (True, tied)
