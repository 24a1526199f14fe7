"""Each conclusion from a frame that calls for it."""

import numpy as np
import pandas as pd
import pytest
from numpy import nan

from sgdbench.tables import facts
from sgdbench.tables.conclusions import (
    PLAIN,
    find_divergence,
    find_safe_rates,
    no_choice,
    rival_of,
    safe_rates,
    summarize_judged,
)
from tests.support.frames import ALIKE, APART, conclude, joined, known, lost, make_frame, reaching


def test_the_best_choice_with_its_costs():
    best = known(conclude(APART))[facts.BestChoice]
    assert (best.settings["optimizer"], best.settings["lr"], best.differing) == ("sgd", 0.1, ("lr",))
    outcome = best.outcome
    assert (outcome.runs, outcome.converged, outcome.cost, outcome.median.value) == (6, 6, "samples", 125)
    assert outcome.median.low < 125 < outcome.median.high
    assert (best.updates, best.seconds, best.starts, best.seeds) == (outcome.median, None, 1, 6)
    timed = {f"seconds_per_update{end}": each for end, each in (("", 1e-8), ("_low", 0.9e-8), ("_high", 1.1e-8))}
    seconds = known(conclude(APART, **timed))[facts.BestChoice].seconds
    assert seconds == pytest.approx((125e-8, 0.9e-8 * outcome.median.low, 1.1e-8 * outcome.median.high))


def test_choices_that_cannot_be_told_apart_are_ties():
    (group,) = known(conclude(joined(*ALIKE)))[facts.Ties].groups
    assert (group.verdict, group.count, len(group.named)) == ("indistinguishable", 5, 2)
    assert all(set(named) == {"lr"} for named in group.named)
    assert facts.Ties not in known(conclude(APART))


def test_choices_within_5_percent_are_not_called_indistinguishable():
    costs = ((0.1, 100), (0.2, 104), (0.4, 100), (0.8, 130))
    ties = known(conclude(joined(*(reaching([cost] * 6, lr=lr) for lr, cost in costs))))[facts.Ties]
    assert ties.groups == (
        facts.Alike("indistinguishable", 1, ({"lr": 0.1},)),
        facts.Alike("within 5 %", 1, ({"lr": 0.2},)),
    )


def test_fresh_seeds_are_set_beside_the_runs_that_chose():
    fresh = joined(reaching([140, 150, 160, 170, 180, None], lr=0.1), reaching([300] * 6, lr=0.2))
    found = known(conclude(APART, fresh=fresh))[facts.Confirmation]
    assert (found.fresh.converged, found.fresh.median.value, found.fresh.median.high) == (5, 165, np.inf)
    assert (found.before.converged, found.before.median.value, found.chosen_in) == (6, 125, "the sweep")
    assert facts.Confirmation not in known(conclude(APART))


def test_a_target_that_the_sweep_or_fresh_seeds_alone_reach():
    """Optimizers are compared as choices were ranked, unless no fresh run reached the target."""
    missed, reached = (
        joined(*(reaching(costs, optimizer=name, final_loss=loss) for name, loss in (("sgd", 1.0), ("adam", 3.0))))
        for costs in ([None] * 6, [90] * 6)
    )
    for before, after, cost, counts in ((missed, reached, "samples", (6, 0)), (reached, missed, "final_loss", (0, 6))):
        found = known(conclude(before, fresh=after))
        confirmed, (adam,) = found[facts.Confirmation], found[facts.Rivals].others
        assert (confirmed.fresh.cost, confirmed.before.cost) == (cost, cost)
        assert (confirmed.fresh.converged, confirmed.before.converged) == counts
        assert (adam.cost, adam.ratio.value) == ("final_loss", 3)


@pytest.mark.parametrize(
    ("rates", "edge"),
    [
        ([0.1, 0.2, 0.4], ("lowest", 3)),
        ([0.1, 0.05, 0.02], ("highest", 3)),
        ([0.1, 0.05, 0.2], None),
        ([0.1], None),
    ],
)
def test_a_best_rate_at_the_edge_of_the_grid(rates, edge):
    found = known(conclude(joined(*(reaching(100 * (1 + k) + np.arange(6), lr=lr) for k, lr in enumerate(rates)))))
    assert found.get(facts.Edge) == (edge and facts.Edge(0.1, *edge, "--refine 2"))


def test_rates_with_other_settings_are_no_edge():
    """Only those that were tried with the batch size of the best choice count."""
    others = [reaching(900 + np.arange(6), lr=lr, batch_size=8) for lr in (0.01, 1.0)]
    own = [reaching(cost + np.arange(6), lr=lr) for lr, cost in ((0.1, 100), (0.2, 300))]
    assert known(conclude(joined(*own, *others)))[facts.Edge].tried == 2


def test_optimizers_are_compared_on_fresh_seeds():
    costs = {"sgd": 100, "adam": 300, "momentum": 100, "nesterov": None}

    def runs(optimizer, seeds):
        cost = costs[optimizer]
        return reaching([cost + 3 * k if cost else None for k in range(seeds)], optimizer=optimizer)

    frame = joined(*(runs(name, 6) for name in costs), reaching([800] * 6, lr=0.2, optimizer="adam"))
    found = known(conclude(frame, fresh=joined(*(runs(name, 20) for name in costs))))[facts.Rivals]
    assert (found.first, found.tried, found.on) == ("sgd", None, facts.Seeds("fresh", 20))
    momentum, adam, nesterov = found.others
    assert (momentum.name, momentum.verdict, momentum.ratio.value) == ("momentum", "indistinguishable", 1)
    assert (adam.name, adam.verdict, adam.ratio.value) == ("adam", "worse", 2.56)
    assert (nesterov.name, nesterov.verdict, nesterov.succeeded, nesterov.runs) == ("nesterov", "fails", 0, 20)


def test_improvements_are_inverse_costs():
    ratios = {"ratio": 1.25, "ratio_low": 1.0, "ratio_high": 2.0}
    row = pd.Series({"verdict": "worse", "cost": "improvement", "runs": 6, "success": 1.0} | ratios)
    assert rival_of(row, "adam").ratio == (0.8, 0.5, 1)
    assert rival_of(row.replace("improvement", "samples"), "adam").ratio == (1.25, 1, 2)


def test_without_a_target_there_is_nothing_about_reaching_one():
    frame = joined(*(make_frame(6, lr=lr, seed=range(6), final_loss=lr + np.arange(6) / 10) for lr in (1.0, 2.0)))
    found = known(conclude(frame, None, fresh=make_frame(6, lr=1.0, seed=range(6), final_loss=[1, 2, 3, 4, 5, 6.0])))
    assert (found[facts.BestChoice].outcome.cost, found[facts.BestChoice].outcome.has_target) == ("final_loss", False)
    assert not {facts.Robustness, facts.SafeRates} & {*found}
    # Nor where runs have a status that says so.
    assert known(conclude(APART, target=None))[facts.BestChoice].outcome.cost == "final_loss"


def test_all_that_diverged():
    found = known(conclude(joined(lost(lr=0.1), lost(lr=0.2))))
    assert found[facts.NoChoice] == facts.NoChoice("run")
    assert not {facts.BestChoice, facts.Ties, facts.Edge} & {*found}
    assert no_choice("run", pd.Series([0, 0])).at_start
    assert not no_choice("run", pd.Series([0, 800])).at_start


# How the two runs of a rate end.
ENDS = {"c": ("converged", "converged"), "m": ("converged", "max_epochs"), "d": ("diverged", "diverged")}
# Of an optimizer, a batch size, an order and a schedule, at five rates.
GROUPS = {
    ("sgd", 1, True, "constant"): "ccmcd",
    ("sgd", 8, True, "constant"): "cccdd",
    ("sgd", 8, False, "constant"): "mccmd",
    ("adam", 1, False, "cosine"): "mmddd",
    ("adam", 8, True, "cosine"): "ddddd",
}


def test_safe_rates_are_the_widest_range_and_divergence_is_counted_by_settings():
    names = ["optimizer", "batch_size", "shuffle", "schedule", "lr", "seed", "status"]
    rates = (0.1, 0.2, 0.4, 0.8, 1.6)
    runs = [
        (*settings, lr, seed, status)
        for settings, ends in GROUPS.items()
        for lr, end in zip(rates, ends, strict=True)
        for seed, status in enumerate(ENDS[end])
    ]
    frame = make_frame(len(runs), **dict(zip(names, zip(*runs, strict=True), strict=True)))
    expected = [["sgd", "constant", 8, True, 0.1, 0.4, 3, 5], ["adam", "cosine", 1, False, np.nan, np.nan, 0, 5]]
    pd.testing.assert_frame_equal(
        safe_rates(frame), pd.DataFrame(expected, columns=safe_rates(frame).columns), check_dtype=False
    )
    sgd = {"optimizer": "sgd", "schedule": "constant", "batch_size": 8, "shuffle": True}
    assert find_safe_rates(frame) == facts.SafeRates((facts.RateRange(sgd, 0.1, 0.4, 3, 5),), ("adam",))
    assert find_safe_rates(frame, 8).ranges[0].settings == sgd | {"batch_size": "full"}
    diverged = find_divergence(frame)
    assert (diverged.diverged, diverged.runs) == (24, 50)
    assert [(part.runs, part.lowest, part.highest, part.rates, part.tried) for part in diverged.ranges] == [
        (10, 0.1, 1.6, 5, 5), (6, 0.4, 1.6, 3, 5), (4, 0.8, 1.6, 2, 5), (2, 1.6, 1.6, 1, 5), (2, 1.6, 1.6, 1, 5),
    ]  # fmt: skip
    adam = {"optimizer": "adam", "schedule": "cosine", "batch_size": 1, "shuffle": False}
    assert diverged.ranges[1].settings == adam


def test_losses_at_the_end_do_not_depend_on_how_often_they_are_evaluated():
    frame = joined(reaching([None] * 6, lr=0.1), reaching([None] * 6, lr=0.2))
    assert not known(conclude(frame, None, frame, PLAIN._replace(finer=True)))[facts.Confirmation].finer
    later = joined(reaching([200] * 6, lr=0.1), reaching([300] * 6, lr=0.2))
    sooner = reaching([150] * 6, lr=0.1)
    assert known(conclude(later, fresh=sooner, about=PLAIN._replace(finer=True)))[facts.Confirmation].finer
    assert not known(conclude(sooner, fresh=later, about=PLAIN._replace(finer=True)))[facts.Confirmation].finer


def judged(**figures):
    runs = len(next(iter(figures.values())))
    known = {"config_id": [str(run) for run in range(runs)], "samples_seen": 100, "rows": 40, "constant": 2.0}
    return pd.DataFrame(known | figures)


def test_a_figure_that_is_no_number_is_the_worst():
    """Where two of five runs diverged, the median is the worst of the others; where three did, it is infinite."""
    loss, r2 = [0.1, 0.2, 0.3, nan, nan], [0.9, 0.8, 0.7, nan, nan]
    found = summarize_judged(judged(loss=loss, r2=r2, accuracy=[nan] * 5))
    assert (found["runs"], found["rows"], found["constant"]) == (5, 40, 2)
    assert (found["loss"], found["r2"]) == pytest.approx((0.3, 0.7))
    assert "accuracy" not in found
    assert summarize_judged(judged(loss=loss, accuracy=[0.7, 0.8, 0.9, nan, nan]))["accuracy"] == 0.7
    found = summarize_judged(judged(loss=[0.1, 0.2, nan, nan, nan], r2=[0.9, 0.8, nan, nan, nan]))
    assert (found["loss"], found["r2"]) == (np.inf, -np.inf)


def test_intervals_are_those_of_the_order_of_the_runs():
    loss = np.arange(1.0, 21.0)
    found = summarize_judged(judged(loss=loss, r2=1 - loss / 40))
    assert found["loss_low"] < found["loss"] == 10.5 < found["loss_high"]
    # A share of the variance is the better the higher it is: the ends change places.
    assert found["r2_low"] < found["r2"] < found["r2_high"]
    ends = 1 - found["loss_high"] / 40, 1 - found["loss_low"] / 40
    assert (found["r2_low"], found["r2_high"]) == pytest.approx(ends)
