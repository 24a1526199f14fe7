"""The first lines of `sgdbench run`, `speed` and `compare`: few, short, and with the answer."""

import pandas as pd
import pytest

from bench.tables.faster import describe_fastest, describe_ratio_of_times
from bench.tables.headline import headline
from bench.tables.optimizer_comparison import compare_optimizers
from bench.tables.phrases import format_share
from bench.tables.ranking import ranking
from bench.tables.winners import confirm
from tests.bench.tables.test_readable import TABLE
from tests.bench.tables.test_verdict import APART, joined, lost, runs_of


def say(frame, target=1e-3, fresh=None):
    ranked = ranking(frame)
    if fresh is None:
        return headline(ranked, target)
    ranked = confirm(ranked, fresh)
    return headline(ranked, target, compare_optimizers(fresh, ranked=ranked))


def test_the_best_choice_is_told_by_what_was_varied():
    assert say(APART) == {
        "Best choice": "learning rate 0.1: all 6 runs reached the target, after 125 [103.5, 146.3] samples."
    }


def test_at_most_five_short_sentences():
    alike = [runs_of([100, 110, 120, 130, 140, 150 + k], lr=0.1 + 0.01 * k) for k in range(6)]
    other = [runs_of([300 + k, 310, 320, 330, 340, 350], optimizer="adam", lr=0.1 + 0.01 * k) for k in range(6)]
    frame = joined(*alike, *other)
    told = say(frame, fresh=frame)
    assert set(told) <= {"Best choice", "Ties", "Confirmed", "Edge of the grid", "Optimizers"}
    assert {"Best choice", "Ties", "Confirmed", "Optimizers"} <= set(told)
    assert all(len(f"{about}: {sentence}") <= 160 for about, sentence in told.items())
    assert told["Confirmed"].startswith("all 6 runs on fresh seeds, after ")


def test_a_best_rate_at_the_edge_names_the_option_that_goes_on():
    told = say(joined(*(runs_of(100 * (1 + k) + pd.array(range(6)), lr=lr) for k, lr in enumerate([0.1, 0.2, 0.4]))))
    assert told["Edge of the grid"] == "0.1 is the lowest of 3 rates; --refine 2 goes beyond it."


def test_without_a_target_and_where_all_diverged():
    assert "final loss 1" in say(APART, target=None)["Best choice"] or say(APART, target=None)
    assert say(lost())["Best choice"].startswith("none: every run diverged.")


def test_one_run_is_not_all():
    assert [format_share(*share) for share in ((1, 1), (2, 2), (3, 3), (0, 1))] == ["1 of 1", "both", "all 3", "0 of 1"]


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [
        ((12.7, 12.3, 13.1), "lanes is 12.7 ± 0.4 times as fast as C."),
        ((0.5, 0.4, 0.625), "C is 2.00 [1.60, 2.50] times as fast as lanes."),
        ((1.01, 0.98, 1.04), "No difference was found: C takes 1.01 ± 0.03 times as long as lanes."),
        (
            (2.0, float("nan"), float("nan")),
            "C takes 2.00 times as long as lanes; there is no interval",
        ),
    ],
)
def test_who_is_faster_is_a_sentence(ratio, sentence):
    assert describe_ratio_of_times("lanes", "C", *ratio).startswith(sentence)


def test_the_fastest_of_ours_is_compared_with_c_or_else_the_reference():
    assert describe_fastest(TABLE) == "fused is 1.54 [1.50, 1.60] times as fast as C."
    without_c = TABLE.assign(ours=TABLE["ours"].fillna(False), to_c=float("nan"))
    assert describe_fastest(without_c) == "fused is 554 [550, 1,230] times as fast as reference."
    assert describe_fastest(TABLE[TABLE["variant"].eq("JAX")]) is None
