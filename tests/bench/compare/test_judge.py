"""Verdicts on ratios: what is past a gate, which rows are shown, and how it is said."""

import numpy as np
import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype

from sgdbench.compare.judge import (
    FASTER,
    MAX_CHOICES_SHOWN,
    NO_DIFFERENCE,
    NO_INTERVAL,
    PAST_GATE,
    SLOWER,
    describe_verdict,
    judge,
    readable_ratios,
)


def rows_of(*intervals):
    """Rows of ratios with these intervals."""
    frame = pd.DataFrame(intervals, columns=["low", "ratio", "high"])
    return frame.assign(row=[f"row{i}" for i in range(len(frame))], note="")


def test_a_row_is_past_its_gate_where_its_whole_interval_is_above_it():
    edge = np.nextafter(1.05, 2)
    table = rows_of((edge, 1.1, 1.2), (1.05, 1.1, 1.2), (0.99, 1.1, 1.2), (0.8, 0.9, 0.95), (np.nan, 9.0, np.nan))
    assert judge(table, [1.05] * 5)["verdict"].tolist() == [PAST_GATE, SLOWER, NO_DIFFERENCE, FASTER, NO_INTERVAL]
    assert judge(table, [None] * 5)["verdict"].tolist() == [SLOWER, SLOWER, NO_DIFFERENCE, FASTER, NO_INTERVAL]


def test_a_gate_below_1_asks_for_an_improvement():
    table = rows_of((0.92, 0.95, 0.98), (0.8, 0.85, 0.9))
    assert judge(table, [0.9, 0.9])["verdict"].tolist() == [PAST_GATE, FASTER]


def test_of_many_choices_those_that_differ_most_are_shown_and_none_past_a_gate_is_left_out():
    factors = np.concatenate([np.ones(30), np.linspace(1.1, 3, 20)])
    counts = {"pairs": 8, "A_converged": 7, "B_converged": 6}
    table = judge(rows_of(*[(f, f, f) for f in factors]).assign(**counts), [1.0] + [None] * 45 + [1.05] * 4)
    read = readable_ratios("epochs", table)
    assert "note" not in read
    assert read["ratio"].tolist() == factors[-MAX_CHOICES_SHOWN:].tolist()
    assert set(read["A_converged"]) == {"7/8"}
    assert len(readable_ratios("times", table)) == 50
    every = readable_ratios("epochs", judge(table, [1.05] * 50))
    assert every["verdict"].tolist() == [PAST_GATE] * 20


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (
            [1.05, 1.05, None, 1.05],
            "1 of 2 rows is above the gate 1.05: row0 (1.12, interval 1.1 to 1.14). "
            "1 row without an interval could not be compared with a gate.",
        ),
        (
            [1.05, 1.05, 1.1, None],
            "2 of 3 rows are above their gates: row0 (1.12, interval 1.1 to 1.14, gate 1.05); "
            "row2 (1.3, interval 1.2 to 1.4, gate 1.1).",
        ),
        (
            [1.05, 1.1, None, 1.1],
            "1 of 2 rows is above its gate: row0 (1.12, interval 1.1 to 1.14, gate 1.05). "
            "1 row without an interval could not be compared with a gate.",
        ),
        ([1.5, 1.5, 1.5, None], "None of the 3 rows is above the gate 1.5 beyond chance."),
        ([None] * 4, "No gate was set."),
    ],
    ids=["one gate", "several past theirs", "one past its own", "none", "no gate"],
)
def test_the_verdict_counts_and_names_the_rows(gates, said):
    table = rows_of((1.1, 1.12, 1.14), (0.9, 1, 1.1), (1.2, 1.3, 1.4), (np.nan, 1, np.nan))
    assert describe_verdict(judge(table, gates)) == said


def test_ratios_have_digits_enough_to_show_why_a_row_has_its_verdict():
    table = judge(rows_of((1.00002, 1.1, 1.2), (1.0500004, 1.1, 1.2), (0.9, 0.95, 0.99998), (1, 1, 1.2)), [1.05] * 4)
    assert table["verdict"].tolist() == [SLOWER, PAST_GATE, FASTER, NO_DIFFERENCE]
    read = readable_ratios("times", table)
    assert read["low"].tolist() == ["1.00002", "1.0500004", "0.9", "1"]
    assert read["high"].tolist() == ["1.2", "1.2", "0.99998", "1.2"]
    assert is_numeric_dtype(read["ratio"])
    assert describe_verdict(table) == "1 of 4 rows is above the gate 1.05: row1 (1.1, interval 1.0500004 to 1.2)."
