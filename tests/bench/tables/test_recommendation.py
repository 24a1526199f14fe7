import numpy as np
import pandas as pd
import pytest

from bench.tables.recommendation import rate_factors, recommend

SAME = {"schedule": "constant", "batch_size": 1, "shuffle": True}
UNKNOWN = (np.full(9, np.nan), np.full(9, np.nan))


def choices(rates, tied=True, optimizer="sgd", updates=np.nan):
    return pd.DataFrame({"optimizer": optimizer, "lr": rates, "tied": tied, "updates": updates} | SAME)


def advice(table, reliable=True, cheap=True, updates=None, cost="samples"):
    flags = [np.broadcast_to(flag, len(table)) for flag in (reliable, cheap)]
    low, high = updates or [bound[: len(table)] for bound in UNKNOWN]
    return recommend(table, reliable=flags[0], cheap=flags[1], updates=(np.array(low), np.array(high)), cost=cost)


def test_where_nothing_is_tied_nothing_is_recommended():
    assert advice(choices([0.1, 0.2], tied=False)) is None


def test_the_only_choice_and_the_only_tied_one():
    assert advice(choices([0.1])) == (0, "It is the only choice.")
    assert advice(choices([0.1, 0.2], tied=[True, False])) == (0, "No other choice is tied with it in the sweep.")


def test_what_is_tied_but_dearer_is_no_candidate():
    row, reason = advice(choices([0.4, 0.2, 0.1]), cheap=[True, False, False])
    assert row == 0
    assert reason == "Of the choices tied in the sweep, it ranks first by samples to the target, compared run by run."


def test_the_fewest_updates_where_updates_differ():
    table = choices([0.4, 0.2, 0.1, 0.05], updates=[9.0, 1.0, 5.0, 1.5], optimizer=list("abcd"))
    bounds = [8.0, 0.9, 4.0, 1.3], [10.0, 1.1, 6.0, 1.8]
    assert advice(table, updates=bounds) == (1, "Of the choices tied in the sweep, it takes the fewest updates.")
    # By rank where their intervals overlap, and where choices were ranked by updates or by the time that they take.
    overlapping = [8.0, 0.9, 4.0, 1.0], [10.0, 1.1, 6.0, 1.8]
    few = "Of the choices tied in the sweep, 2 take the fewest updates; of these"
    assert advice(table, updates=overlapping) == (1, f"{few} it ranks first.")
    # The first is farthest from failing, and takes more updates.
    middle = choices([0.2, 0.4, 0.1, 0.05], updates=table["updates"])
    assert advice(middle, updates=overlapping) == (1, f"{few} it ranks first.")
    assert advice(table, updates=bounds, cost="updates")[0] == 0
    assert advice(table, updates=bounds, cost="seconds")[0] == 0
    row, reason = advice(table, updates=bounds, cheap=[True, False, True, False])
    assert row == 2
    assert reason == "Of the choices tied in the sweep, 2 cost nearly the same; of these it takes the fewest updates."


def test_large_numbers_of_choices_have_separators():
    updates = np.where(np.arange(1600) < 1510, 1.0, 9.0)
    reason = advice(choices([0.1] * 1600, updates=updates), cheap=np.arange(1600) < 1520, updates=(updates, updates))[1]
    few = "1,520 cost nearly the same; of these 1,510 take the fewest updates; of these it ranks first."
    assert reason == f"Of the choices tied in the sweep, {few}"


def test_then_the_one_farthest_from_rates_that_fail():
    table = choices([0.4, 0.1, 0.2, 0.05, 0.8], tied=[True, True, True, False, False])
    good = [True, True, True, True, False]
    # 0.05 to 0.4 are good: 0.1 can be halved, and doubled too, 0.2 as well; the first of the two is taken.
    row, reason = advice(table, reliable=good)
    assert row == 1
    assert reason == (
        "Of the choices tied in the sweep, its learning rate is farthest from failing: "
        "rates up to 2 times higher and lower succeed as well."
    )
    _, of_losses = advice(table, reliable=good, cost="final_loss")
    assert of_losses.endswith("farthest from diverging: rates up to 2 times higher and lower do not diverge either.")
    # Not a neighbour that fails.
    assert advice(table, reliable=[True, True, True, False, False])[0] == 2


def test_of_a_range_of_rates_it_is_the_geometric_middle():
    rates = np.geomspace(0.01, 1, 9)
    order = np.random.default_rng(1).permutation(9)
    row, reason = advice(choices(rates[order]))
    assert rates[order][row] == pytest.approx(0.1)
    assert "up to 10 times higher and lower" in reason


def test_factors_know_where_ranges_end():
    table = choices([0.1, 0.2, 0.4, 0.8, 1.6, 0.1, 0.2, 0.4], optimizer=[*"aaaaabbb"])
    good = np.array([True, True, True, False, True, True, True, True])
    assert rate_factors(table, good).tolist() == [1, 2, 1, 1, 1, 1, 2, 1]


def test_factors_do_not_depend_on_the_order_and_on_the_last_digits_of_a_grid():
    rates = np.array([float(f"{rate:.12g}") for rate in np.geomspace(0.003, 3, 25)])
    table = choices(np.tile(rates, 2), optimizer=np.repeat(["a", "b"], 25))
    factors = rate_factors(table, np.ones(50, bool))
    np.testing.assert_array_equal(factors[:25], factors[25:])
    np.testing.assert_array_equal(factors[:25], factors[:25][::-1])
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(rate_factors(table.iloc[order], np.ones(50, bool)), factors[order])
