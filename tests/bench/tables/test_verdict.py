"""Each sentence of the verdict from a frame that calls for it, and that they never contradict one another."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.tables.optimizer_comparison import compare_optimizers
from bench.tables.phrases import describe_rival, format_share
from bench.tables.ranking import ranking, varies
from bench.tables.safe_rates import describe_divergence, describe_safe_rates, safe_rates
from bench.tables.verdict import advise_if_all_diverged, describe_units, headline, verdict
from bench.tables.winners import confirm
from tests.support.frames import make_frame

SEEDS = 6


def runs_of(costs, lr=0.1, **columns):
    """Runs of one choice with a seed each: samples to the target, None for a run that missed it."""
    converged = ["converged" if cost is not None else "max_epochs" for cost in costs]
    samples = [pd.NA if cost is None else cost for cost in costs]
    given = {"status": converged, "samples_to_target": samples, "samples_seen": [cost or 8000 for cost in costs]}
    frame = make_frame(len(costs), lr=lr, seed=range(len(costs)), **given | columns)
    return frame.assign(updates=frame["samples_seen"])


def lost(runs=SEEDS, **columns):
    return make_frame(runs, seed=range(runs), status="diverged", final_loss=np.nan, **columns)


def joined(*parts):
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(config_id=[f"run{i}" for i in range(len(frame))])


def say_short(frame, target=1e-3, fresh=None):
    ranked = ranking(frame)
    if fresh is None:
        return headline(ranked, target)
    ranked = confirm(ranked, fresh)
    compared = compare_optimizers(fresh, ranked) if varies(fresh, "optimizer") else None
    return headline(ranked, target, compared, f"{fresh['seed'].nunique()} fresh seeds")


def say(frame, target=1e-3, fresh=None, **timed):
    frame = frame.assign(**timed)
    ranked = ranking(frame) if fresh is None else confirm(ranking(frame), fresh)
    return verdict(frame, ranked, target, say_short(frame, target, fresh))


APART = joined(
    runs_of([100, 110, 120, 130, 140, 150], lr=0.1, param_a=2.0),
    runs_of([300, 330, 360, 390, 420, 450], lr=0.2),
    runs_of([400, 410, 420, 430, 440, None], lr=0.05),
)
ALIKE = [runs_of([100, 110, 120, 130, 140, 150 + k], lr=0.1 + 0.01 * k) for k in range(6)]


def test_the_best_choice_with_its_cost_in_samples_and_updates():
    assert say(APART)["Best choice"] == (
        "sgd, learning rate 0.1, batch size 1, schedule constant, shuffled: all 6 runs reached the target, after 125 "
        "[103.5, 146.3] samples, 125 [103.5, 146.3] updates; medians over 1 start and 6 seeds. It ranks first by "
        "samples to the target, compared run by run."
    )


def test_seconds_come_with_the_kernel_whose_time_they_are():
    timed = {f"seconds_per_update{end}": each for end, each in (("", 1e-8), ("_low", 0.9e-8), ("_high", 1.1e-8))}
    assert "1.25 µs [931 ns, 1.61 µs] with the kernel fused; " in say(APART, **timed)["Best choice"]


def test_what_cannot_be_told_apart_is_named():
    told = say(joined(*ALIKE))
    assert told["Ties"].startswith("5 other choices are statistically indistinguishable from it: learning rate ")
    assert told["Ties"].endswith("; 3 more.")
    assert "Ties" not in say(APART)


def test_fresh_seeds_are_set_beside_the_runs_that_chose():
    fresh = joined(runs_of([140, 150, 160, 170, 180, None], lr=0.1), runs_of([300] * 6, lr=0.2))
    assert say(APART, fresh=fresh)["Confirmed"] == (
        "On fresh seeds, 5 of 6 runs reached the target, after 165 [143.5, ∞] samples; in the sweep after 125."
    )
    assert "Confirmed" not in say(APART)


def test_a_median_that_is_infinite_is_said_in_words():
    few = runs_of([100, 110, 120, None, None, None])
    told = say(few, fresh=runs_of([90, 95, 100, None, None, None], lr=0.1))
    reached = "3 of 6 runs reached the target, too few for a median of their samples"
    assert f": {reached}; over 1 start and 6 seeds." in told["Best choice"]
    assert told["Confirmed"] == f"On fresh seeds, {reached}; in the sweep 3 of 6 did."
    mostly_lost = joined(lost(4), make_frame(2, seed=[4, 5], final_loss=[1.0, 2.0]))
    told = say(mostly_lost, None, fresh=mostly_lost)
    assert ": 4 of 6 runs diverged; over 1 start and 6 seeds." in told["Best choice"]
    assert told["Confirmed"] == "On fresh seeds, 4 of 6 runs diverged; in the sweep 4 of 6 diverged."
    assert "∞" not in "".join(told.values())


def test_a_target_that_the_sweep_or_fresh_seeds_alone_reach():
    """Optimizers are compared as choices were ranked, unless no fresh run reached the target."""
    missed, reached = (
        joined(*(runs_of(costs, optimizer=name, final_loss=loss) for name, loss in (("sgd", 1.0), ("adam", 3.0))))
        for costs in ([None] * 6, [90] * 6)
    )
    told = say(missed, fresh=reached)
    assert told["Confirmed"] == (
        "On fresh seeds, all 6 runs reached the target, after 90 samples; in the sweep 0 of 6 did."
    )
    assert told["Optimizers"].endswith(" adam ends at 3 times the loss.")
    told = say(reached, fresh=missed)
    assert told["Confirmed"] == "On fresh seeds, no run reached the target; final loss 1; in the sweep all 6 did."
    assert told["Optimizers"].endswith(" adam ends at 3 times the loss.")


@pytest.mark.parametrize(
    ("rates", "sentence"),
    [
        ([0.1, 0.2, 0.4], "0.1 is the lowest of 3 learning rates; --refine 2 goes beyond it."),
        ([0.1, 0.05, 0.02], "0.1 is the highest of 3 learning rates; --refine 2 goes beyond it."),
        ([0.1, 0.05, 0.2], None),
        ([0.1], None),
    ],
)
def test_a_best_rate_at_the_edge_of_the_grid_is_told(rates, sentence):
    told = say(joined(*(runs_of(100 * (1 + k) + np.arange(6), lr=lr) for k, lr in enumerate(rates))))
    assert told.get("Edge of the grid", "").startswith(sentence or "")
    assert ("Edge of the grid" in told) == (sentence is not None)


def test_rates_with_other_settings_are_no_edge():
    """Only those that were tried with the batch size of the best choice count."""
    others = [runs_of(900 + np.arange(6), lr=lr, batch_size=8) for lr in (0.01, 1.0)]
    own = [runs_of(cost + np.arange(6), lr=lr) for lr, cost in ((0.1, 100), (0.2, 300))]
    assert "is the lowest of 2 " in say(joined(*own, *others))["Edge of the grid"]


def test_optimizers_are_compared_on_fresh_seeds():
    costs = {"sgd": 100, "adam": 300, "momentum": 100, "nesterov": None}

    def runs(optimizer, seeds):
        cost = costs[optimizer]
        return runs_of([cost + 3 * k if cost else None for k in range(seeds)], optimizer=optimizer)

    frame = joined(*(runs(name, 6) for name in costs), runs_of([800] * 6, lr=0.2, optimizer="adam"))
    told = say(frame, fresh=joined(*(runs(name, 20) for name in costs)))["Optimizers"]
    assert told.startswith("Compared with sgd, each at its own best choice, on 20 fresh seeds: ")
    assert "on 20 fresh seeds: momentum needs as many samples (statistically indistinguishable); " in told
    assert "; adam needs 2.56 [" in told
    assert "; nesterov reaches the target in 0 of 20 runs" in told


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ("samples", "needs as many samples"),
        ("final_loss", "ends at the same loss"),
        ("distance", "ends as far above the lowest loss"),
    ],
)
def test_a_rival_that_costs_the_same_is_not_said_to_need_1_times_as_much(cost, words):
    row = pd.Series({"verdict": "too few runs", "ratio": 1.0004, "ratio_low": np.nan, "ratio_high": np.nan})
    row["cost"] = cost
    assert describe_rival(row) == f"{words} (too few runs for an interval)"
    row[["ratio_low", "ratio_high"]] = 0.9, 1.2
    assert describe_rival(row) == f"{words}, at a ratio of 1 [0.9, 1.2] (too few runs for an interval)"
    row["ratio"] = 1.04
    assert " 1.04 [0.9, 1.2] times " in describe_rival(row)
    row[["verdict", "ratio"]] = "better", 0.5
    than = "needs more than another" if cost == "samples" else "ends higher than another"
    assert describe_rival(row).endswith(f" (but {than})")


@pytest.mark.parametrize(
    ("verdict", "ratio", "words"),
    [
        ("worse", (1.25, 1.0, 2.0), "has 0.8 [0.5, 1] times the improvement over a constant"),
        ("within 5 %", (1.0001, 1.0, 1.0002), "has about the same improvement over a constant (within 5 %)"),
        (
            "better",
            (0.8, 0.5, 1.0),
            "has 1.25 [1, 2] times the improvement over a constant (but improves less than another)",
        ),
    ],
)
def test_a_rival_on_held_out_rows_has_so_much_of_the_improvement(verdict, ratio, words):
    row = pd.Series(
        {"verdict": verdict, "cost": "improvement"}
        | dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True))
    )
    assert describe_rival(row) == words


def test_choices_within_5_percent_are_not_called_indistinguishable():
    told = say(joined(*(runs_of([cost] * 6, lr=lr) for lr, cost in ((0.1, 100), (0.2, 104), (0.4, 100), (0.8, 130)))))
    assert told["Ties"] == (
        "1 other choice is statistically indistinguishable from it: learning rate 0.1. "
        "1 other choice is within 5 % of it: learning rate 0.2."
    )


def test_without_a_target_nothing_speaks_of_reaching_one():
    frame = joined(*(make_frame(6, lr=lr, seed=range(6), final_loss=lr + np.arange(6) / 10) for lr in (1.0, 2.0)))
    told = say(frame, None, fresh=make_frame(6, lr=1.0, seed=range(6), final_loss=[1, 2, 3, 4, 5, 6.0]))
    assert told["Best choice"].startswith(
        "sgd, learning rate 1, batch size 1, schedule constant, shuffled: final loss 1.25 ["
    )
    assert told["Confirmed"].startswith("On fresh seeds, final loss 3.5 [")
    assert told["Confirmed"].endswith("; in the sweep 1.25.")
    assert "Robustness" not in told
    assert "Safe learning rates" not in told
    assert not re.search("reach", " ".join(told.values()))
    assert "final loss 1" in say_short(APART, target=None)["Best choice"]


def test_all_that_diverged():
    told = say(joined(lost(lr=0.1), lost(lr=0.2)))
    assert told["Best choice"].startswith("None: every run diverged.")
    assert told["Divergence"] == (
        "12 of 12 runs diverged: 12 runs with sgd at 0.1 to 0.2 (2 of 2 rates; batch size 1, shuffled)."
    )


def test_safe_rates_of_many_optimizers_are_those_of_the_first():
    told = say(joined(*(runs_of([100 + k] * 6, optimizer=f"momentum(0.{k:02})") for k in range(40))))
    assert told["Safe learning rates"].startswith(
        "Every start and seed reached the target with momentum(0.00) at 0.1 (1 of 1 rate; batch size 1, shuffled); "
    )
    assert told["Safe learning rates"].count("momentum") == 8
    assert told["Safe learning rates"].endswith("; 32 more.")


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
    assert describe_safe_rates(frame) == (
        "Every start and seed reached the target with sgd at 0.1 to 0.4 (3 of 5 rates; batch size 8, schedule "
        "constant, shuffled). There is no such learning rate for adam."
    )
    assert describe_divergence(frame) == (
        "24 of 50 runs diverged: 10 runs with adam at 0.1 to 1.6 (5 of 5 rates; batch size 8, schedule cosine, "
        "shuffled); 6 runs with adam at 0.4 to 1.6 (3 of 5 rates; batch size 1, schedule cosine, not shuffled); 4 runs "
        "with sgd at 0.8 to 1.6 (2 of 5 rates; batch size 8, schedule constant, shuffled); 4 runs with other settings."
    )


# The short sentences


def test_at_most_five_short_sentences():
    other = [runs_of([300 + k, 310, 320, 330, 340, 350], optimizer="adam", lr=0.1 + 0.01 * k) for k in range(6)]
    frame = joined(*ALIKE, *other)
    told = say_short(frame, fresh=frame)
    assert set(told) <= {"Best choice", "Ties", "Confirmed", "Edge of the grid", "Optimizers"}
    assert {"Best choice", "Ties", "Confirmed", "Optimizers"} <= set(told)
    assert all(len(f"{about}: {sentence}") <= 200 for about, sentence in told.items())
    assert told["Confirmed"].startswith("On fresh seeds, all 6 runs reached the target, after ")


def test_one_run_is_not_all():
    assert [format_share(*share) for share in ((1, 1), (2, 2), (3, 3), (0, 1))] == ["1 of 1", "both", "all 3", "0 of 1"]
    told = say_short(runs_of(np.array([100.0])))
    assert told["Best choice"].endswith("1 of 1 run reached the target, after 100 samples.")


def test_optimizers_between_which_there_is_no_difference():
    runs = [runs_of(100 + np.arange(6), optimizer=name) for name in ("sgd", "adam")]
    assert say(joined(*runs), fresh=joined(*runs))["Optimizers"] == (
        "Compared with sgd, on 6 fresh seeds: adam needs as many samples (statistically indistinguishable)."
    )


def test_no_rate_helps_runs_that_start_where_the_loss_is_not_finite():
    assert advise_if_all_diverged(pd.Series([0, 800])) == "Lower learning rates would help."
    assert advise_if_all_diverged(pd.Series([0, 0])).startswith("The loss is not finite where runs start: no rate ")


def test_losses_at_the_end_do_not_depend_on_how_often_they_are_evaluated():
    frame = joined(runs_of([None] * SEEDS, lr=0.1), runs_of([None] * SEEDS, lr=0.2))
    said = headline(confirm(ranking(frame), frame), None, finer=True)["Confirmed"]
    assert said.startswith("On fresh seeds, ")
    assert "; in the sweep " in said


def test_columns_that_are_not_centered_have_no_mean_of_0():
    said = {center: describe_units(center, losses=True, residuals="") for center in ("both", "none", "x")}
    assert all(sentence.startswith("The data were standardized. Learning rates, starts,") for sentence in said.values())
    assert " columns with mean 0 and standard deviation 1 unless " in said["both"]
    assert " columns with a root mean square of 1 unless " in said["none"]
    assert " standard deviation 1 or, where they are not centered, a root mean square of 1 unless " in said["x"]
