"""The precision as an axis of a grid: ids, jobs, what is stored, and whether the tables say if it matters."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, fit, load_run, models, sweep
from sgdbench.compare.ratios import EPOCHS_COST
from sgdbench.report.run_data import run_data_of
from sgdbench.store.results import match_precision
from sgdbench.study.config_id import config_ids
from sgdbench.study.schema import RunTable
from sgdbench.tables.conclusions import find_precision
from sgdbench.tables.facts import Precision
from sgdbench.tables.rank import ranking
from tests.support.frames import compare_ranked_runs, known, make_frame

GRID = {"lr": [0.05, 0.1, 3.0], "batch_size": [1, 16], "seed": [0, 1], "shuffle": True, "init": {"near": [-1, 10, 26]}}
BOTH = ["float64", "float32"]
RUN = {"epochs": 3, "target": 0.05, "record": "epoch", "confirm": 2, "kernel": "reference"}


def ids_of(**grid):
    frame = Grid(**GRID, **grid).frame(models.quadratic, 800)
    return frame, config_ids(frame, models.quadratic, "", RunTable(epochs=3))


def test_the_column_is_there_where_it_is_asked_for_and_float64_keeps_its_ids():
    plain, ids = ids_of()
    assert "dtype" not in plain
    double, same = ids_of(dtype="float64")
    assert (double["dtype"] == "float64").all()
    np.testing.assert_array_equal(same, ids)
    both, more = ids_of(dtype=BOTH)
    assert both["dtype"].tolist() == BOTH * len(plain)
    np.testing.assert_array_equal(more[::2], ids)
    assert len(set(more)) == 2 * len(ids)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"kernel": "lanes-fma"}, "^kernel must be .* with dtype 'float32', not 'lanes-fma'$"),
        ({"grid": Grid(dtype="float32", init=[[1e39, 0, 0]])}, "^init must lie within the range of float32"),
        ({"grid": Grid(dtype="float32", optimizer=["sgd", "asgd"])}, "^optimizer must be .*, not 'asgd'$"),
    ],
)
def test_what_a_sweep_refuses(settings, reason):
    given = {"model": models.quadratic, "x": np.arange(5.0), "y": np.ones(5), "grid": Grid(dtype=BOTH)}
    with pytest.raises(ValueError, match=reason):
        sweep(**given | settings)


@pytest.fixture(scope="module")
def swept(noisy, tmp_path_factory):
    """A sweep in float64, and what comes of its folder when float32 is added."""
    folder = tmp_path_factory.mktemp("precision") / "run"
    before = sweep(models.quadratic, *noisy, Grid(**GRID), out=folder, **RUN)
    sizes = {path: path.stat().st_mtime_ns for path in folder.glob("parts/*")}
    after = sweep(models.quadratic, *noisy, Grid(**GRID, dtype=BOTH), out=folder, refine=1, **RUN)
    assert sizes.items() <= {path: path.stat().st_mtime_ns for path in folder.glob("parts/*")}.items()
    return before, after


def test_float64_stays_as_it_was(swept):
    before, after = swept
    double = after.frame[after.frame["dtype"] == "float64"].set_index("config_id")
    pd.testing.assert_frame_equal(double.loc[before.frame["config_id"], before.frame.columns[1:]],
                                  before.frame.set_index("config_id"))  # fmt: skip
    assert after.run.identity == before.run.identity


def test_runs_of_float32_have_the_bits_of_the_reference(noisy):
    grid = Grid(**GRID | {"seed": 1}, dtype="float32")
    single = sweep(models.quadratic, *noisy, grid, **RUN | {"kernel": "fused", "confirm": 0})
    assert {"diverged", "converged"} <= set(single.frame["status"])
    for row in single.frame.to_dict("records"):
        settings = {name: row[name] for name in ("lr", "batch_size", "seed", "shuffle", "dtype")}
        expected = fit(models.quadratic, *noisy, init=[-1, 10, 26], epochs=3, target=0.05, kernel="reference",
                       record=single.clock.record, **settings)  # fmt: skip
        assert (row["status"], row["samples_seen"]) == (expected.status, expected.samples_seen[-1])
        np.testing.assert_array_equal([row[f"param_{name}"] for name in "abc"], expected.params)
        np.testing.assert_array_equal(row["final_loss"], expected.loss[-1])


def test_both_are_ranked_refined_and_confirmed_side_by_side(swept):
    _, after = swept
    ranked = after.ranking()
    counts = ranked.groupby(["lr", "batch_size"])["dtype"].nunique()
    assert (counts == 2).all()
    assert len(counts) > 6  # rates were added
    tied = ranked[ranked["tied"]]
    assert set(tied["dtype"]) == set(BOTH)
    assert (tied["confirmed_runs"] == 2).all()
    assert known(run_data_of(after).conclusions)[Precision].verdict == "indistinguishable"
    assert after.best().settings["dtype"] in BOTH
    assert f"dtype={after.best().settings['dtype']!r}" in after.best().code()
    again = load_run(after.run.folder)
    pd.testing.assert_frame_equal(again.frame, after.frame)
    assert set(again.confirmation.frame["dtype"]) == set(BOTH)


def test_fresh_seeds_of_before_are_those_of_float64(noisy, tmp_path):
    sweep(models.quadratic, *noisy, Grid(**GRID), out=tmp_path, **RUN)
    both = sweep(models.quadratic, *noisy, Grid(**GRID, dtype=BOTH), out=tmp_path, **RUN | {"confirm": 0})
    assert (both.confirmation.frame["dtype"] == "float64").all()
    ranked = both.ranking()
    assert set(ranked.loc[ranked["confirmed_runs"] > 0, "dtype"]) == {"float64"}
    with pytest.raises(ValueError, match=r"does not have \(dtype float32\): choose another folder"):
        sweep(models.quadratic, *noisy, Grid(**GRID), out=tmp_path, **RUN)
    # Versions before took such a grid: the runs on fresh seeds may have a precision where the others have none.
    plain = both.frame[both.frame["dtype"] == "float64"].drop(columns="dtype")
    pd.testing.assert_frame_equal(match_precision(both.frame, plain), plain)


def test_runs_are_compared_with_those_of_the_same_precision(swept):
    before, after = (one.frame.assign(start="near") for one in swept)
    named = compare_ranked_runs(EPOCHS_COST, after, after)
    assert (named["ratio"].dropna() == 1).all()
    assert named["row"].is_unique
    # The best of each may be any of those that are tied.
    alone = compare_ranked_runs(EPOCHS_COST, before, after)["row"].tolist()[1:]
    assert alone == [row for row in named["row"] if row in alone]
    assert alone
    assert not any("float32" in row for row in alone)


def runs(single, double):
    """Five runs of one choice in each precision: their samples to the target, infinite where it was not reached."""
    samples = np.array([*single, *double], float)
    reached = np.isfinite(samples)
    return make_frame(
        10,
        dtype=["float32"] * 5 + ["float64"] * 5,
        seed=[*range(5)] * 2,
        status=np.where(reached, "converged", "max_epochs"),
        samples_to_target=np.where(reached, samples, 0),
        final_loss=np.where(reached, 1e-6, 1e-2),
    )


def test_whether_it_matters():
    (same,) = find_precision(ranking(runs([100] * 5, [100] * 5)), 1e-5)
    assert (same.verdict, same.pairs, same.fewer, same.more) == ("indistinguishable", 1, 0, 0)
    assert [(dtype, end.converged) for dtype, end in same.ends.items()] == [("float32", 5), ("float64", 5)]
    (other,) = find_precision(ranking(runs([np.inf] * 5, [100] * 5)), 1e-5)
    assert (other.verdict, other.pairs, other.fewer, other.more) == ("fails", 1, 1, 0)
    assert [(dtype, end.converged) for dtype, end in other.ends.items()] == [("float64", 5), ("float32", 0)]
    assert (other.ends["float32"].cost, other.ends["float32"].median.value) == ("final_loss", 0.01)
    alone = runs([100] * 5, [100] * 5)
    alone = alone[alone["dtype"] == "float32"]
    for frame in (alone, alone.drop(columns="dtype")):
        assert list(find_precision(ranking(frame), 1e-5)) == []
