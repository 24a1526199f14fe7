"""Paths for the page to play: where the kernels stood, and how they end where the sweep says."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sgdbench import Grid, Model, fit, sweep
from sgdbench.analysis import paths as module
from sgdbench.analysis.paths import ReplayError, recorded_paths, typical_paths
from sgdbench.data.table import Dataset
from sgdbench.study.run_settings import fit_settings
from sgdbench.study.schema import RunTable
from sgdbench.tables.costs import CHOICES
from sgdbench.tables.outcomes import typical_runs

X = np.linspace(-1, 1, 40)[:, np.newaxis]
PARABOLA, SINE = "a*x**2 + b*x + c", "a*sin(b*x + c)"
FLOAT32_MAX = np.finfo(np.float32).max
STARTS = {"near": [-1.0, 1.0, 2.0], "far": [9.0, -1.0, 0.0]}


def data_of(model):
    return Dataset(X, Model(model).predict([2.0, -1.0, 3.0], X), ("x",), "y", "here")


@cache
def swept(model, kernel="fused"):
    """A sweep with runs that converge, diverge and do neither, what they have in common, and their data."""
    data, shared = data_of(model), {"epochs": 30, "target": 0.1, "kernel": kernel}
    rates = [0.002, 0.2, 9.0 if model == PARABOLA else 1e30]
    grid = Grid(lr=rates, batch_size=[4, "full"], init=STARTS, seed=[0, 1], shuffle=True)
    result = sweep(model, data.x, data.y, grid, confirm=0, **shared)
    assert set(result.frame["status"]) == {"converged", "diverged", "max_epochs"}
    return result, RunTable(**shared), data


PARAMS = ["param_a", "param_b", "param_c"]


@pytest.fixture(scope="module")
def given():
    return swept(PARABOLA, "lanes")


@pytest.fixture(scope="module")
def paths(given):
    return recorded_paths(*given)


def test_there_is_one_run_for_each_choice_and_start(given, paths):
    frame = given[0].frame
    chosen = frame[frame["config_id"].isin(paths["config_id"].unique())]
    assert len(chosen) == len(frame[[*CHOICES, "init"]].drop_duplicates()) == 12
    assert set(chosen["seed"]) == {0}


def test_the_kernels_were_there_at_these_checkpoints(given, paths):
    """A single run, trained with all of its checkpoints recorded, passes through the same points."""
    frame = given[0].frame
    for place, row in enumerate(frame.itertuples()):
        path = paths[paths["config_id"] == row.config_id]
        if path.empty or row.status == "diverged":
            continue
        result, budget, data = given
        settings = fit_settings(row._asdict(), budget, result.clock)
        run = fit(result.model, data.x, data.y, init=result.starts[place], **settings)
        at = np.searchsorted(run.samples_seen, path["samples"])
        np.testing.assert_array_equal(run.samples_seen[at], path["samples"])
        np.testing.assert_array_equal(np.float32(run.trajectory[at]), path[PARAMS])
        np.testing.assert_array_equal(np.float32(np.minimum(run.loss[at], FLOAT32_MAX)), path["loss"])
        assert (at[0], at[-1]) == (0, len(run.loss) - 1)
        stored = [row.param_a, row.param_b, row.param_c]
        np.testing.assert_array_equal(path[PARAMS].iloc[-1], np.float32(stored))


@pytest.mark.parametrize(("kernel", "dtype"), [("fused", "float64"), ("fused", "float32"), ("lanes", "float64")])
def test_a_start_that_meets_the_target_is_the_whole_path(kernel, dtype):
    data, start = data_of(PARABOLA), [2.001, -1.0, 3.0]
    grid = Grid(lr=[0.01, 0.1], batch_size=[1, 8], init=start, dtype=dtype)
    found = sweep(PARABOLA, data.x, data.y, grid, epochs=3, target=0.1, kernel=kernel, confirm=0)
    assert set(found.frame["samples_seen"]) == {0}
    # As `fit` keeps it.
    np.testing.assert_array_equal(found.frame[PARAMS], np.tile(np.array(start, dtype), (4, 1)))
    path = recorded_paths(found, RunTable(epochs=3, target=0.1, kernel=kernel), data)
    assert set(path["config_id"]) == set(found.frame["config_id"])
    assert path["samples"].tolist() == [0] * 4
    np.testing.assert_array_equal(path[PARAMS], np.tile(np.float32(start), (4, 1)))


def test_a_run_that_diverges_ends_in_what_is_not_finite(given, paths):
    frame = given[0].frame
    lost = frame[(frame["status"] == "diverged") & frame["config_id"].isin(paths["config_id"])]
    assert len(lost) > 0
    for row in lost.itertuples():
        path = paths[paths["config_id"] == row.config_id]
        finite = np.isfinite(path[["loss", *PARAMS]]).all(axis=1)
        assert finite.iloc[0]
        assert not finite.iloc[-1]
        assert path["samples"].iloc[-1] == row.samples_seen
        # What float32 does not hold stays finite.
        assert path.loc[finite, PARAMS].abs().max(axis=None) == FLOAT32_MAX


def test_where_there_is_no_room_checkpoints_go_first_then_starts_then_choices(given, monkeypatch):
    frame = given[0].frame
    whole = recorded_paths(*given)

    def with_room_for(runs, checkpoints):
        monkeypatch.setattr(module, "MIN_CHECKPOINTS", checkpoints)
        monkeypatch.setattr(module, "MAX_NUMBERS", runs * checkpoints * 5)
        found = recorded_paths(*given)
        assert len(found) <= runs * checkpoints
        chosen = frame[frame["config_id"].isin(found["config_id"].unique())]
        assert found.groupby("config_id", observed=True)["samples"].first().eq(0).all()
        ends = found.groupby("config_id", observed=True)["samples"].last()
        assert ends.to_dict() == chosen.set_index("config_id")["samples_seen"].to_dict()
        return found, chosen

    some, chosen = with_room_for(12, 7)
    assert len(chosen) == 12
    assert len(some) < len(whole)
    _, chosen = with_room_for(11, 7)
    assert set(chosen["init"].astype(str)) == {next(iter(STARTS))}
    assert len(chosen) == 6
    _, chosen = with_room_for(3, 7)
    assert len(chosen) == 3
    first = frame[~frame["config_id"].isin(chosen["config_id"])].iloc[0]
    assert first["config_id"] in set(recorded_paths(*given, first)["config_id"])


def test_where_it_would_take_long_there_are_none(given, monkeypatch):
    monkeypatch.setattr(module, "AFFORDABLE_VISITS", 1)
    found = recorded_paths(*given)
    assert found.empty
    assert found.columns.tolist() == ["config_id", "samples", "loss", *PARAMS]


def test_other_data_are_refused(given):
    result, budget, data = given
    other = Dataset(data.x, data.y + 1e-9, data.x_names, data.y_name, data.source)
    with pytest.raises(ReplayError, match=r"^configuration \w+, trained once more, ends at \[.*, and in the sweep at "):
        recorded_paths(result, budget, other)
    with pytest.raises(ReplayError):
        typical_paths(result, budget.model_copy(update={"epochs": 1}), data)


@pytest.mark.parametrize("changed", [{"param_b": 7.0}, {"status": "max_epochs"}, {"seed": 5}], ids=str)
def test_a_run_that_ends_elsewhere_is_refused(given, changed):
    result, budget, data = given
    place = int(np.flatnonzero(result.frame["status"] == "converged")[0])
    frame = result.frame.copy()
    frame["status"] = frame["status"].astype(object)
    frame.loc[place, list(changed)] = list(changed.values())
    with pytest.raises(ReplayError):
        recorded_paths(replace(result, frame=frame), budget, data)


@pytest.mark.parametrize("model", [PARABOLA, SINE])
def test_a_typical_run_from_each_start_goes_to_the_parameters_that_it_keeps(model):
    result, budget, data = swept(model)
    paths = typical_paths(result, budget, data)
    assert set(paths["init"]) == set(STARTS)
    rows = typical_runs(result.frame).set_index("init")
    for start, path in paths.groupby("init"):
        assert set(path["config_id"]) == {rows.loc[start, "config_id"]}
        np.testing.assert_array_equal(path[PARAMS].iloc[0], np.float32(STARTS[start]))
        np.testing.assert_allclose(
            path[PARAMS].iloc[-1], np.float32(rows.loc[start, PARAMS].to_numpy(float)), rtol=1e-6
        )


def test_a_run_that_a_rounding_leads_elsewhere_is_left_out():
    result, budget, data = swept(SINE)
    lost = typical_runs(result.frame).index[0]
    frame = result.frame.copy()
    frame.loc[lost, "param_b"] += 1e-3
    found = typical_paths(replace(result, frame=frame), budget, data)
    assert set(found["config_id"]) == set(typical_runs(frame)["config_id"]) - {frame.loc[lost, "config_id"]}
