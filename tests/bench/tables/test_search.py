"""What a trial is worth, and how a search and a grid get better with what they spend."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from sgdbench.tables.search import SHARES, choice_values, grid_in_random_order, search_history, trial_value

YES, NO = True, False


def value(samples, converged, losses, target=1e-2, floor=1e-28, **about):
    return trial_value(np.array(samples), np.array(converged), np.array(losses), target, floor, **about)


def test_samples_per_success_by_hand():
    assert value([100, 300, 800], [YES, YES, NO], [0.01, 0.01, 5.0]) == np.log10(600)
    assert value([0, 0], [YES, YES], [0, 0]) == np.log10(0.5)  # at the target from the start


def test_a_failure_is_worth_less_than_any_success_and_more_the_nearer_it_came():
    one = value([800] * 5, [YES] + [NO] * 4, [0.01] * 5)
    near, far = (value([800] * 5, [NO] * 5, [loss] * 5) for loss in (0.011, 1.0))
    assert one < near < far
    assert far == pytest.approx(np.log10(4000) + 1 + np.log10(100))
    # As far as floats go, and where the target is 0 or below.
    assert np.isfinite(value([800], [NO], [1.7e308], 1e-300))
    assert value([800], [NO], [3.0], -2.0) == pytest.approx(np.log10(800) + 1 + np.log10(3.5))


def test_values_by_loss():
    assert value([800] * 3, [NO] * 3, [1e-2, 1e-4, 0.0], None, 1e-6) == pytest.approx(-4)
    assert value([800] * 2, [NO] * 2, [-3.0, 1.0], None, nonnegative=False) == -1


def runs(**columns):
    shared = {"optimizer": "sgd", "schedule": "constant", "batch_size": 1, "shuffle": True}
    return pd.DataFrame(columns).assign(**shared)


def test_choices_of_a_sweep_are_worth_what_trials_are():
    frame = runs(
        lr=[0.1, 0.1, 0.5, 0.5],
        samples_seen=[100, 300, 800, 50],
        status=["converged", "converged", "max_epochs", "diverged"],
        final_loss=[0.009, 0.01, 4.0, np.inf],
    )
    found = choice_values(frame, 0.01, 1e-28)
    assert found["value"].tolist() == [np.log10(200), np.inf]
    assert found["samples"].tolist() == [400, 850]
    frame["status"], frame["validation_loss"] = "max_epochs", [1e-2, 1e-4, 1.0, 1.0]
    assert choice_values(frame, None, 1e-28)["value"].tolist() == pytest.approx([-3, 0])


def test_the_best_so_far_is_that_of_trials_that_were_trained_to_their_end():
    trials = runs(
        **{
            "lr": [0.1, 0.2, 0.3, 0.2, 0.1],  # those with the same settings are the same runs
            "family": "sgd",
            "state": ["pruned", "complete", "complete", "complete", "complete"],
            "value": [1.0, 4.0, 5.0, 4.0, 3.0],
            "samples": [10, 20, 30, 20, 50],
        }
    )
    found = search_history(trials)
    assert found["best"].tolist() == [np.inf, 4, 4, 4, 3]
    assert found["spent"].tolist() == [10, 30, 60, 60, 100]


def test_a_grid_in_a_random_order_against_all_orders():
    values = [3.0, 1.0, 2.0, np.inf, 1.5, 9.0]
    found = grid_in_random_order(pd.DataFrame({"value": values, "samples": [10, 20, 30, 40, 50, 60]}))
    best = np.minimum.accumulate(np.array(list(permutations(values))), axis=1)
    for name, share in zip(("low", "median", "high"), SHARES, strict=True):
        expected = [np.sort(column)[int(np.ceil(share * len(column) - 1e-9)) - 1] for column in best.T]
        assert found[name].tolist() == expected
    assert found["spent"].tolist() == [35.0 * tried for tried in range(1, 7)]
