import numpy as np
import pandas as pd
import pytest

from sgdbench.store.evidence import SPEED_COLUMNS
from sgdbench.tables.formatting import MISSING
from sgdbench.tables.speed_tables import (
    budget_footnotes,
    budget_summary,
    describe_fastest,
    footnotes,
    speed_summary,
)
from sgdbench.tables.words import describe_ratio_of_times
from tests.support.speeds import ROWS, TABLE


def test_a_value_and_its_interval_are_one_cell():
    fused, reference, in_c, _, _ = speed_summary(TABLE).to_dict("records")
    assert fused == {
        "variant": "fused",
        "verified": "bit for bit",
        "ns per sample-update": "3.59 [3.50, 3.70]",
        "million per second": "278",
        "speedup over reference": "554 [550, 1,230]",
        "speedup over C": "1.54 [1.50, 1.60]",
        "compile time (cold)": "1.25 s",
        "compile time (cached)": "10.1 ms",
        "break-even": "630,000",
        "threads": 1,
    }
    assert reference["speedup over reference"] == reference["compile time (cold)"] == reference["break-even"] == MISSING
    assert in_c["verified"] == "within 3e-15"


def test_of_kernels_that_fuse_the_losses_are_told_apart():
    fused, _, in_c = ROWS[:3]
    rows = [
        fused | {"error_loss": 0.0},
        in_c | {"error_loss": 2e-13},
        in_c | {"variant": "fused-fma", "error_loss": 2e-13},
    ]
    board = speed_summary(pd.DataFrame(rows, columns=SPEED_COLUMNS))
    assert board["verified"].tolist() == ["bit for bit", "within 3e-15", "within 3e-15, losses 2e-13"]


def test_the_share_of_the_roof_has_a_column_where_there_are_roofs():
    fused, reference, *_ = ROWS
    roofed = fused | {"share": 0.868, "share_low": 0.851, "share_high": 0.88}
    board = speed_summary(pd.DataFrame([roofed, reference], columns=SPEED_COLUMNS))
    assert board["share of the roof"].tolist() == ["0.868 [0.851, 0.880]", MISSING]
    assert "share of the roof" not in speed_summary(TABLE)


def test_kernels_without_a_roof_are_named_with_the_reason():
    note = {"note": "the operations of exp are not counted"}
    rows = [ROWS[0] | note, ROWS[0] | {"variant": "lanes"} | note, ROWS[2]]
    table = pd.DataFrame(rows, columns=SPEED_COLUMNS)
    assert footnotes(table) == ["fused, lanes: no roof, because the operations of exp are not counted"]


def test_what_is_wrong_is_named_with_its_error_and_has_no_speed():
    board = speed_summary(TABLE).set_index("variant")
    assert board.index.tolist() == ["fused", "reference", "C", "wrong", "unknown"]
    assert board["verified"].tolist()[-2:] == ["no: off by 0.123", "no"]
    assert (board.loc[["wrong", "unknown"]].drop(columns=["verified", "threads"]) == MISSING).all(axis=None)


def test_what_was_not_measured_is_told_in_a_sentence():
    assert footnotes(TABLE) == [
        "JAX was not timed: not installed: pip install jax",
        "unknown was not timed: nothing is known",
    ]


# Ratios that were measured, and their targets.
FASTER = [(2.0, 1.4), (2.8, 3.5), (5.98, 6), (2.9, 3.5), (2.4, 3.5)]


def test_the_budget_says_what_is_reached():
    row = {"what": "w", "variant": "fused", "against": "C", "faster_low": 1.0, "faster_high": 3.0, "note": ""}
    row |= dict.fromkeys(("share", "share_low", "share_high"), np.nan)
    share = {"share": 0.8, "share_low": 0.7, "share_high": 0.9}
    verified = [{"faster": faster, "target": target, "verified": True} for faster, target in FASTER]
    verified[3:] = [one | share for one in verified[3:]]
    missing = {"verified": pd.NA, "note": "C: no compiler"}, {"verified": False, "note": "fused: off by 1"}
    missing = [{"faster": np.nan, "target": 2} | one for one in missing]
    table = pd.DataFrame([row | one for one in (*verified, *missing)]).astype({"verified": "boolean"})
    cells = budget_summary(table)
    assert cells["reached"].tolist() == [
        *("yes", "no, 20 % short", "no, less than 1 % short"),
        *("no, 17 % short", "no: 3.00 at the roof"),  # 3.62 at the roof of the first
        *(MISSING, "not verified"),
    ]
    assert cells["share of the roof"].tolist() == [*[MISSING] * 3, *["0.800 ± 0.100"] * 2, *[MISSING] * 2]
    written = ["2.00 ± 1.00", "2.80 [1.00, 3.00]", "5.98 [1.00, 3.00]", "2.90 [1.00, 3.00]", "2.40 [1.00, 3.00]"]
    assert cells["speedup"].tolist() == [*written, MISSING, MISSING]
    assert budget_footnotes(table) == ["fused against C: C: no compiler", "fused against C: fused: off by 1"]


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [
        ((12.7, 12.3, 13.1), "lanes is 12.7 ± 0.4 times as fast as C."),
        ((0.5, 0.4, 0.625), "C is 2.00 [1.60, 2.50] times as fast as lanes."),
        ((1.01, 0.98, 1.04), "No difference was found: C takes 1.01 ± 0.03 times as long as lanes."),
        ((2.0, float("nan"), float("nan")), "C takes 2.00 times as long as lanes; there are too few measurements"),
    ],
)
def test_who_is_faster_is_a_sentence(ratio, sentence):
    assert describe_ratio_of_times("lanes", "C", *ratio).startswith(sentence)


def test_the_fastest_of_ours_is_compared_with_c_or_else_the_reference():
    assert describe_fastest(TABLE) == "fused is 1.54 [1.50, 1.60] times as fast as C."
    without_c = TABLE.assign(ours=TABLE["ours"].fillna(False), to_c=float("nan"))
    assert describe_fastest(without_c) == "fused is 554 [550, 1,230] times as fast as reference."
    assert describe_fastest(TABLE[TABLE["variant"].eq("JAX")]) is None
