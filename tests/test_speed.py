import re

import numpy as np
import pandas as pd
import pytest

from bench.timing.problem import classic, many
from bench.timing.speed import speed
from bench.timing.variants import BY_NAME, Variant
from bench.timing.workload import BASELINE, job_for

NAMES = ["reference", "fused", "lanes", "C"]
WRONG = Variant("wrong", "computes nothing", lambda problem: BY_NAME["fused"].ready(problem.part(epochs=1)), 0.0)
ABSENT = Variant("absent", "is not there", None, 0.0, package="no-such-package")
VARIANTS = [*(BY_NAME[name] for name in NAMES), WRONG, ABSENT]


@pytest.fixture(scope="module")
def measured():
    return speed(VARIANTS, classic(3), many(runs=33, epochs=2), seconds=0.2)


def test_every_variant_has_its_row(measured):
    table = measured.table.set_index("variant")
    assert table.index.tolist() == [*NAMES, "wrong", "absent"]
    assert table["verified"].tolist() == [True, True, True, True, False, pd.NA]
    assert table.loc["absent", "note"] == "not installed: pip install no-such-package"
    assert table.loc["wrong", "note"].startswith("not verified: the first call is off by inf")
    assert table.loc[["wrong", "absent"], ["ns", "to_reference", "updates_per_second"]].isna().all(axis=None)
    assert table.loc["wrong", "error"] == np.inf
    assert table.loc[["reference", "fused", "lanes"], "error"].tolist() == [0, 0, 0]


def test_the_table_is_made_of_the_rounds(measured):
    table = measured.table.set_index("variant").loc[NAMES]
    assert set(measured.rounds["variant"]) == set(NAMES)
    medians = measured.rounds.groupby("variant")["ns"].median()
    np.testing.assert_allclose(table["ns"], medians[NAMES], rtol=1e-12)
    assert (table["ns_low"] <= table["ns"]).all()
    assert (table["ns"] <= table["ns_high"]).all()
    np.testing.assert_allclose(table["updates_per_second"] * table["ns"], 1e9)


def test_ratios_are_those_of_a_sample_update(measured):
    table = measured.table.set_index("variant").loc[NAMES]
    for name, column in (("reference", "to_reference"), ("C", "to_c")):
        expected = table.loc[name, "ns"] / table["ns"]
        others = [other for other in NAMES if other != name]
        # The ratio of a round and that of the medians differ a little.
        np.testing.assert_allclose(np.log(table.loc[others, column]), np.log(expected[others]), atol=0.7)
        assert pd.isna(table.loc[name, column])
        assert (table.loc[others, f"{column}_low"] <= table.loc[others, column]).all()


def test_what_compiling_costs_and_when_it_has_paid(measured):
    table = measured.table.set_index("variant")
    ours = table.loc[["fused", "lanes"]]
    assert (ours[["compile_seconds", "load_seconds"]] > 0).all(axis=None)
    saved = ours["to_reference"] * ours["ns"] - ours["ns"]
    np.testing.assert_allclose(ours["break_even"] * saved, 1e9 * ours["compile_seconds"])
    assert table.loc[["reference", "C"], ["compile_seconds", "load_seconds", "break_even"]].isna().all(axis=None)


def test_the_noise_is_the_baseline_against_itself(measured):
    assert measured.noise.low <= measured.noise.ratio <= measured.noise.high
    assert measured.baseline == BASELINE
    assert BASELINE + " again" not in set(measured.rounds["variant"])


def test_where_the_baseline_is_wrong_the_others_are_timed_against_another(wrong_fused):
    variants = [BY_NAME["reference"], wrong_fused, BY_NAME["lanes"], BY_NAME["C"]]
    measured = speed(variants, classic(3), many(runs=64, epochs=10), seconds=0.1)
    table = measured.table.set_index("variant")
    assert table["verified"].tolist() == [True, False, True, True]
    assert re.match(r"not verified: the first call is off by 0\.\d+, and may be by 0$", table.loc["fused", "note"])
    assert table.loc["fused", "error_absolute"] == pytest.approx(0.5)
    assert table["ns"].notna().tolist() == [True, False, True, True]
    assert table.loc[["lanes", "C"], "to_reference"].notna().all()
    assert measured.baseline == "reference"
    assert measured.noise.low <= measured.noise.ratio <= measured.noise.high
    assert set(measured.rounds["variant"]) == {"reference", "lanes", "C"}


def test_where_nothing_is_verified_nothing_is_timed(wrong_fused):
    measured = speed([wrong_fused, ABSENT], classic(3), many(runs=33, epochs=2), seconds=0.1)
    assert measured.table["verified"].tolist() == [False, pd.NA]
    assert measured.table["ns"].isna().all()
    assert measured.rounds.empty
    assert (measured.baseline, measured.noise, measured.warning) == (None, None, None)


def test_slow_variants_get_less_to_do():
    one, crowd = classic(100), many(runs=64, epochs=3)
    assert job_for(BY_NAME["fused"], one, crowd) is one
    assert job_for(BY_NAME["lanes"], one, crowd) is crowd
    more = job_for(BY_NAME["lanes, all cores"]._replace(threads=2), one, crowd)
    assert (more.runs, more.rates.shape, more.epochs) == (256, (3, 256), 3)
    little = job_for(BY_NAME["reference"], one, crowd)
    assert (little.epochs, little.y.size) == (1, 800)
    little = job_for(BY_NAME["reference"], classic(5, n=1_000_000), crowd)
    assert (little.epochs, little.y.size) == (1, 10_000)
