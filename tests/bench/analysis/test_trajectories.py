"""Runs trained once more: they end where the sweep says, or it is told that they do not."""

import re

import numpy as np
import pandas as pd
import pytest

from bench import Grid, sweep
from bench.analysis.trajectories import ReplayError, replay, trajectories
from bench.data.table import Dataset
from bench.study.schema import RunTable
from kernels import Model

X = np.linspace(-1, 1, 40)[:, np.newaxis]
PARABOLA, DECAY = "a*x**2 + b*x + c", "a*exp(b*x) + c"
STARTS = {"near": [-1.0, 1.0, 2.0], "far": [9.0, -1.0, 0.0]}


def swept(model=PARABOLA, kernel="fused", epochs=30):
    """A sweep with runs that converge, diverge and do neither, what they have in common, and their data."""
    y = Model(model).predict([2.0, -1.0, 3.0], X)
    budget = RunTable(epochs=epochs, target=0.1, kernel=kernel)
    grid = Grid(lr=[0.002, 0.2, 9.0], batch_size=[4, "full"], init=STARTS, seed=[0, 1], shuffle=True)
    result = sweep(model, X, y, grid, epochs=epochs, target=0.1, kernel=kernel, confirm=0)
    assert set(result.frame["status"]) == {"converged", "diverged", "max_epochs"}
    return result, budget, Dataset(X, y, ("x",), "y", "here")


def again(given, place, **changed):
    result, budget, data = given
    row = result.frame.iloc[place].to_dict() | changed
    return replay(result, row, result.starts[place], budget, data)


def first(given, status):
    return int(np.flatnonzero(given[0].frame["status"] == status)[0])


@pytest.fixture(scope="module")
def exact():
    return swept()


@pytest.mark.parametrize("kernel", ["fused", "lanes", "fused-fma", "lanes-fma"])
@pytest.mark.parametrize("model", [PARABOLA, DECAY])
def test_every_run_ends_where_the_sweep_says(model, kernel):
    given = swept(model, kernel)
    frame = given[0].frame
    for place, row in enumerate(frame.itertuples()):
        run = again(given, place)
        assert run.status == row.status
        if row.status == "diverged":
            continue
        assert run.samples_seen[-1] == row.samples_seen
        np.testing.assert_allclose(run.params, [row.param_a, row.param_b, row.param_c], rtol=1e-9)
        if model == PARABOLA and not kernel.endswith("fma"):
            np.testing.assert_array_equal(run.params, [row.param_a, row.param_b, row.param_c])


@pytest.mark.parametrize("status", ["converged", "diverged", "max_epochs"])
@pytest.mark.parametrize(
    "changed",
    [
        {"final_loss": 0.5},
        {"param_b": 7.0},
        {"status": "max_epochs", "samples_seen": 29 * 40},
        {"seed": 5},
        {"batch_size": 7},
    ],
    ids=str,
)
def test_a_run_that_ends_elsewhere_is_refused(exact, status, changed):
    place = first(exact, status)
    with pytest.raises(ReplayError, match=r"^configuration \w+, trained once more, ends as .*, and in the sweep as "):
        again(exact, place, **changed)


def test_the_last_bit_counts_where_it_is_promised(exact):
    place = first(exact, "converged")
    stored = float(exact[0].frame["param_b"].iloc[place])
    with pytest.raises(ReplayError, match=re.escape(f"{stored!r}")):
        again(exact, place, param_b=np.nextafter(stored, 9))


@pytest.mark.parametrize(("model", "kernel"), [(PARABOLA, "fused-fma"), (DECAY, "fused")])
def test_elsewhere_a_rounding_is_forgiven_and_no_more(model, kernel, monkeypatch):
    given = swept(model, kernel)
    place = first(given, "converged")
    stored = given[0].frame["param_b"].iloc[place]
    assert again(given, place, param_b=stored * (1 + 1e-9)).status == "converged"
    with pytest.raises(ReplayError):
        again(given, place, param_b=stored + 1e-3)
    with pytest.raises(ReplayError):
        again(given, place, samples_seen=int(given[0].frame["samples_seen"].iloc[place]) + 4)
    # As if training made any difference large: then nobody can tell why it ends elsewhere.
    monkeypatch.setattr("bench.analysis.trajectories.NUDGE", 0.1)
    assert again(given, place, param_b=stored + 1e-3) is None


def test_other_data_or_another_budget_are_refused(exact):
    result, budget, data = exact
    with pytest.raises(ReplayError):
        trajectories(result, budget, Dataset(data.x, data.y + 1e-12, data.x_names, data.y_name, data.source))
    with pytest.raises(ReplayError):
        trajectories(result, budget.model_copy(update={"epochs": 1}), data)


def test_a_run_that_cannot_be_replayed_is_left_out(monkeypatch):
    result, budget, data = swept(DECAY)
    whole = trajectories(result, budget, data)
    lost = whole["config_id"].iloc[0]
    honest = replay

    def some(result, row, *others):
        return None if row["config_id"] == lost else honest(result, row, *others)

    monkeypatch.setattr("bench.analysis.trajectories.replay", some)
    pd.testing.assert_frame_equal(
        trajectories(result, budget, data), whole[whole["config_id"] != lost].reset_index(drop=True)
    )
