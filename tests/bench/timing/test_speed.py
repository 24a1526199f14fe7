from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sgdbench import timing
from sgdbench.timing.paired import CONTROL_SUFFIX, Timings
from sgdbench.timing.problem import classic, many
from sgdbench.timing.speed import speed
from sgdbench.timing.variants import VARIANTS_BY_NAME, Variant
from sgdbench.timing.workload import BASELINE, problem_for

NAMES = ["reference", "fused", "lanes", "C"]
WRONG = Variant(
    "wrong", "computes nothing", lambda problem: VARIANTS_BY_NAME["fused"].ready(problem.part(epochs=1)), 0.0
)
ABSENT = Variant("absent", "is not there", None, 0.0, package="no-such-package")
VARIANTS = [*(VARIANTS_BY_NAME[name] for name in NAMES), WRONG, ABSENT]

# The ns of a sample-update, and the sample-updates of a call: a slow variant is given an epoch.
NS = {"reference": 10_000.0, "NumPy scalars": 9_000.0, "fused": 5.0, "lanes": 0.5, "C": 10.0}
UPDATES = {"reference": 800, "NumPy scalars": 800, "fused": 3 * 800, "lanes": 33 * 2 * 800, "C": 3 * 800}
for kernel, share in (("fused", 0.8), ("lanes", 0.9)):
    NS[f"the roof of {kernel}"], UPDATES[f"the roof of {kernel}"] = share * NS[kernel], UPDATES[kernel]
# How many times as long everything takes, round by round.
SLOWNESS = np.array([1.0, 0.9, 1.1, 0.95, 1.05, 0.97, 1.03])


def turns(calls, baseline, seconds):
    """Rounds on a machine on which the baseline takes 1 % longer when it is timed again."""
    each = [1e-9 * NS[name] * UPDATES[name] for name in (*calls, baseline)]
    each[-1] *= 1.01
    return Timings((*calls, baseline + CONTROL_SUFFIX), SLOWNESS[:, np.newaxis] * each, (1,) * len(each))


@pytest.fixture(scope="module")
def measured():
    """A speed table of times that are known; to load a kernel takes a quarter of a second, and two to compile it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing.speed, "take_turns", turns)
        patch.setattr(timing.speed, "repeat", lambda load, number, repeat: [0.25] * repeat)
        kernel = SimpleNamespace(cold_seconds=2.0, load=lambda: None)
        patch.setattr(timing.speed, "build", lambda module: kernel)
        return speed(VARIANTS, classic(3), many(runs=33, epochs=2), seconds=0.2, roofs=True)


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
    for name, rounds in measured.rounds.groupby("variant"):
        assert rounds["round"].tolist() == list(range(SLOWNESS.size))
        np.testing.assert_allclose(rounds["ns"], NS[name] * SLOWNESS)
    np.testing.assert_allclose(table["ns"], [NS[name] for name in NAMES])
    assert table["ns_low"].between(0.89 * table["ns"], 0.99 * table["ns"]).all()
    assert table["ns_high"].between(1.01 * table["ns"], 1.11 * table["ns"]).all()
    np.testing.assert_allclose(table["updates_per_second"], [1e5, 2e8, 2e9, 1e8])


def test_ratios_are_those_of_a_sample_update(measured):
    """What slows down a whole round falls out of them."""
    table = measured.table.set_index("variant").loc[NAMES]
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(table[f"to_reference{end}"].astype(float), [np.nan, 2000, 20_000, 1000])
        np.testing.assert_allclose(table[f"to_c{end}"].astype(float), [0.001, 2, 20, np.nan])


def test_the_share_is_the_time_of_the_roof_by_that_of_the_kernel(measured):
    """No other variant has a roof, and a roof is none of the variants."""
    table = measured.table.set_index("variant")
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(table[f"share{end}"].astype(float)[NAMES], [np.nan, 0.8, 0.9, np.nan])
    assert table.loc[NAMES, "note"].tolist() == [""] * 4


def test_compile_times_and_break_even(measured):
    """Two seconds are as long as 2 / (10,000 - 5) * 10**9 sample-updates take less in `fused` than in the reference."""
    table = measured.table.set_index("variant")
    ours = table.loc[["fused", "lanes"]]
    assert ours["compile_seconds"].tolist() == [2, 2]
    assert ours["load_seconds"].tolist() == [0.25, 0.25]
    np.testing.assert_allclose(ours["break_even"], [200_100.05, 200_010.0005], rtol=1e-9)
    assert table.loc[["reference", "C"], ["compile_seconds", "load_seconds", "break_even"]].isna().all(axis=None)


def test_the_noise_is_the_baseline_against_itself(measured):
    assert measured.notes == [("Noise", f"{BASELINE} against itself differs by +1.00 % [+1.00, +1.00].")]
    assert BASELINE + " again" not in set(measured.rounds["variant"])


def test_where_nothing_is_verified_nothing_is_timed(wrong_fused):
    measured = speed([wrong_fused, ABSENT], classic(3), many(runs=33, epochs=2), seconds=0.1)
    assert measured.table["verified"].tolist() == [False, pd.NA]
    assert measured.table["ns"].isna().all()
    assert measured.rounds.empty
    assert measured.notes == []


def test_slow_variants_get_less_to_do():
    one, batch = classic(100), many(runs=64, epochs=3)
    assert problem_for(VARIANTS_BY_NAME["fused"], one, batch) is one
    assert problem_for(VARIANTS_BY_NAME["lanes"], one, batch) is batch
    more = problem_for(VARIANTS_BY_NAME["lanes, all cores"]._replace(threads=2), one, batch)
    assert (more.runs, more.rates.shape, more.epochs) == (256, (3, 256), 3)
    little = problem_for(VARIANTS_BY_NAME["reference"], one, batch)
    assert (little.epochs, little.y.size) == (1, 800)
    little = problem_for(VARIANTS_BY_NAME["reference"], classic(5, n=1_000_000), batch)
    assert (little.epochs, little.y.size) == (1, 10_000)
