"""The leading choices trained again on fresh seeds, and learning rates added around the best."""

import shutil

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, load_run, models, sweep
from sgdbench.engine import confirm as confirm_module
from sgdbench.engine import memory
from sgdbench.engine import problem as common
from sgdbench.engine.confirm import confirm, fresh_seeds
from sgdbench.engine.problem import make_problem
from sgdbench.engine.refine import new_rates, refined_plan
from sgdbench.engine.train import Trainer
from sgdbench.kernels.train.block import train_runs
from sgdbench.report.answer import find_answer
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import run_data_of
from sgdbench.store.run_folder import read_identity
from sgdbench.study.schema import RunTable
from sgdbench.tables.confirm import winners
from sgdbench.tables.costs import CHOICES
from sgdbench.tables.facts import Confirmation, OnTestRows, Rivals, Seeds
from tests.support.sweeps import fit_of

X = np.linspace(-1, 1, 60)
Y = 2 * X**2 - 4 * X + 3
STARTS = {"near": [-1.0, 10.0, 26.0], "drawn": "normal:1:1"}
TRIED = {
    "lr": [0.05, 0.4, 0.9],
    "batch_size": [1, 8],
    "optimizer": ["sgd", "adam"],
    "init": STARTS,
    "seed": [0, 2],
    "shuffle": True,
}
GRID = Grid(**TRIED)
SETTINGS = {"epochs": 40, "target": 1e-4, "record": "log:5"}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    return sweep(models.quadratic, X, Y, GRID, confirm=6, out=tmp_path_factory.mktemp("run"), **SETTINGS)


def test_the_first_seeds_that_were_not_used_are_fresh():
    assert fresh_seeds([0, 2, 3], 4) == [1, 4, 5, 6]
    assert fresh_seeds([2**64 - 1], 2) == [0, 1]


@pytest.mark.parametrize(
    ("drawn", "changed"),
    [
        ({"init": [1, 1, 1]}, False),
        ({"init": [1, 1, 1], "shuffle": True, "batch_size": "full"}, False),
        ({"init": "normal:1:1"}, True),
        ({"init": [1, 1, 1], "shuffle": True}, True),
    ],
)
def test_seeds_that_change_nothing_confirm_nothing(drawn, changed):
    given = {"epochs": 90, "target": 1e-2, "kernel": "fused", "confirm": 3, "test": 0.1}
    found = sweep(models.quadratic, X, Y, Grid(lr=0.5, optimizer=["sgd", "momentum(1e-9)"], **drawn), **given)
    run_data = run_data_of(found)
    known = {type(fact): fact for fact in run_data.conclusions}
    assert (known[Confirmation].same, known[Confirmation].fresh.runs) == (not changed, 3)
    assert (known[OnTestRows].fresh, known[OnTestRows].runs) == (changed, 3)
    assert known[Rivals].on == (Seeds("fresh", 3) if changed else Seeds("same"))
    over = "over 1 start and 3 fresh seeds." if changed else "over 1 start; every seed gives the same result."
    assert any(over in note for note in find_answer(run_data).notes)


def test_the_leading_choices_come_from_the_same_starts_with_fresh_seeds(confirmed):
    fresh = confirmed.confirmation.frame
    assert set(fresh["seed"]) == {1, 3, 4, 5, 6, 7}
    leading = winners(run_data_of(confirmed).choices)[CHOICES].astype({"optimizer": str, "schedule": str})
    assert set(fresh[CHOICES].drop_duplicates().itertuples(index=False, name=None)) == set(
        leading.itertuples(index=False, name=None)
    )
    assert (fresh.groupby(CHOICES, observed=True).size() == 2 * 6).all()
    assert set(fresh["init"]) == {"near", "drawn[0]"}


def test_the_best_choice_of_an_optimizer_is_its_first_row(confirmed):
    ranked = confirmed.ranking()
    for optimizer, own in ranked.groupby("optimizer", observed=True):
        best = confirmed.best(optimizer=str(optimizer))
        assert best.row[CHOICES].equals(own.iloc[0][CHOICES])
        assert best.rank == own.index[0] + 1


def test_a_fresh_run_is_what_fit_makes_of_it(confirmed):
    result = confirmed.confirmation
    for place in (0, len(result.frame) // 2, len(result.frame) - 1):
        row = result.frame.iloc[place]
        alone = fit_of(row, result.starts[place], X, Y, **SETTINGS)
        assert row["samples_seen"] == alone.samples_seen[-1]
        np.testing.assert_array_equal(row[["param_a", "param_b", "param_c"]].to_numpy(float), alone.params)
    drawn = result.frame["init"] == "drawn[0]"
    assert len(np.unique(result.starts[drawn], axis=0)) == 6


def test_the_figures_of_the_fresh_runs_stand_beside_those_that_chose(confirmed):
    ranked, fresh = confirmed.ranking(), confirmed.confirmation.frame
    best = ranked.iloc[0]
    own = fresh[(fresh[["optimizer", "lr", "batch_size"]] == best[["optimizer", "lr", "batch_size"]]).all(axis=1)]
    assert best["confirmed_runs"] == len(own) == 12
    assert best["confirmed_converged"] == (own["status"] == "converged").sum()
    assert best["confirmed_samples"] == own["samples_to_target"].astype(float).fillna(np.inf).median()


def test_the_same_call_again_trains_nothing(confirmed, monkeypatch):
    def never(*args, **rest):
        raise AssertionError

    monkeypatch.setattr(common, "train_runs", never)
    again = sweep(models.quadratic, X, Y, GRID, confirm=6, out=confirmed.run.folder, **SETTINGS)
    pd.testing.assert_frame_equal(again.confirmation.frame, confirmed.confirmation.frame)


def test_a_cost_on_fresh_seeds_is_resolved_to_a_twentieth(tmp_path):
    grid = Grid(lr=[0.4, 0.9], init=STARTS, seed=range(3), shuffle=True)
    given = {"epochs": 20, "target": 1e-3, "confirm": 10, "out": tmp_path}
    found = sweep(models.quadratic, X, Y, grid, **given)
    fresh = found.confirmation
    assert fresh.clock.record == "log:50"
    assert int(found.clock.record.removeprefix("log:")) <= 10
    checkpoints = fresh.clock.checkpoints(1, 20)
    assert (checkpoints[2:] <= 1.0472 * checkpoints[1:-1] + 1).all()
    row = fresh.frame.iloc[0]
    alone = fit_of(row, fresh.starts[0], X, Y, epochs=20, target=1e-3, record="log:50")
    assert row["samples_to_target"] == alone.samples_seen[-1]
    assert " and fewer checkpoints, the median was " in found.verdict()["Confirmed"]
    # As finely when it goes on.
    sweep(models.quadratic, X, Y, grid, **given | {"epochs": 200})
    assert load_run(tmp_path).confirmation.clock.record == "log:50"


@pytest.mark.parametrize(
    ("worth", "settings", "record"),
    [
        (1e10, {}, "log:50"),
        (1e10, {"record": "log:5"}, "log:5"),
        (1e10, {"target": None}, "log:10"),
        (1e10, {"validation": 0.2, "patience": 2}, "log:10"),
        (100 * 6 * 60, {}, "log:46"),
        (1, {}, "log:18"),
        (1, {"epochs": 3}, "log:10"),
    ],
)
def test_fresh_runs_are_recorded_as_finely_as_is_worth_it(tmp_path, monkeypatch, worth, settings, record):
    """Not where checkpoints decide nothing, or where patience looks at them; nor where an evaluation takes long.

    In no case less finely than the sweep that they are compared with.
    """
    clocks, settings = [], dict(settings)
    monkeypatch.setattr(confirm_module, "MAX_EVALUATED_SAMPLES", worth)
    monkeypatch.setattr(Trainer, "train", lambda trainer, plan: clocks.append(trainer.problem.clock))
    monkeypatch.setattr(confirm_module, "record_settings", lambda *args: None)
    validation = settings.pop("validation", None)
    run = RunTable(**{"epochs": 100, "target": 1e-4, "confirm": 3, **settings})
    problem = make_problem(models.quadratic, X, Y, run, tmp_path, validation)
    choices = pd.DataFrame({"optimizer": ["sgd"], "lr": 0.1, "schedule": "constant", "batch_size": 1, "shuffle": True})
    confirm(Trainer(problem, tmp_path, ""), choices, [0], GRID)
    assert [clock.record for clock in clocks] == [record]
    assert len(clocks[0].checkpoints(1, run.epochs)) >= len(problem.clock.checkpoints(1, run.epochs))


@pytest.mark.parametrize(
    "changed", [{"seed": range(8)}, {"epochs": 80}, {"init": STARTS | {"far": [9.0, 9.0, 9.0]}}], ids=str
)
@pytest.mark.usefixtures("one_figure")
def test_what_is_not_about_the_ranking_of_today_is_not_used(confirmed, tmp_path, changed):
    folder = shutil.copytree(confirmed.run.folder, tmp_path / "run")
    settings = SETTINGS | {name: value for name, value in changed.items() if name == "epochs"}
    grid = Grid(**TRIED | {name: value for name, value in changed.items() if name != "epochs"})
    extended = sweep(models.quadratic, X, Y, grid, confirm=0, out=folder, **settings)
    run_data = run_data_of(extended)
    assert {"Confirmed", "Optimizers"}.isdisjoint(run_data.verdict)
    assert not any(name.startswith("confirmed_") for name in run_data.ranked)
    assert write_run_report(run_data).exists()
    again = sweep(models.quadratic, X, Y, grid, confirm=6, out=folder, **settings)
    assert {"Confirmed", "Optimizers"} <= set(again.verdict())


def test_what_is_about_the_ranking_of_today_is_used(confirmed, tmp_path):
    """Rates that do not lead change nothing of it."""
    folder = shutil.copytree(confirmed.run.folder, tmp_path / "run")
    grid = Grid(**TRIED | {"lr": [0.001, 0.05, 0.4, 0.9]})
    extended = sweep(models.quadratic, X, Y, grid, confirm=0, out=folder, **SETTINGS)
    assert extended.verdict()["Confirmed"] == confirmed.verdict()["Confirmed"]


def test_without_confirmation_or_success_there_is_none():
    assert sweep(models.quadratic, X, Y, GRID, confirm=0, **SETTINGS).confirmation is None
    lost = sweep(models.quadratic, X, Y, Grid(lr=1e9), epochs=30)
    assert set(lost.frame["status"]) == {"diverged"}
    assert lost.confirmation is None


def test_a_run_that_stops_while_it_confirms_goes_on(confirmed, tmp_path, monkeypatch):
    calls = []

    def failing(*args, **rest):
        calls.append(args)
        if len(calls) == 12:  # of which eight train the grid
            raise MemoryError
        return train_runs(*args, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(common, "train_runs", failing)
        with pytest.raises(MemoryError):
            sweep(models.quadratic, X, Y, GRID, confirm=6, out=tmp_path, **SETTINGS)
    stopped = load_run(tmp_path)
    assert len(stopped.frame) == GRID.size
    # What is half done says nothing yet.
    assert 0 < len(stopped.confirmation.frame) < len(confirmed.confirmation.frame)
    assert {"Confirmed", "Optimizers"}.isdisjoint(stopped.verdict())
    again = sweep(models.quadratic, X, Y, GRID, confirm=6, out=tmp_path, **SETTINGS)
    pd.testing.assert_frame_equal(again.confirmation.frame, confirmed.confirmation.frame)


@pytest.mark.parametrize(
    ("rates", "best", "tied", "expected"),
    [
        ([0.1], 0.1, set(), [0.05, 0.2]),
        ([0.1, 0.4], 0.4, set(), [0.2, 1.6]),
        ([0.1, 0.4], 0.1, {0.4}, [0.2, 0.025]),
        ([0.1, 0.4, 1.6], 0.4, {0.1}, [0.2, 0.8]),
        ([0.1, 0.4, 1.6], 0.4, {0.1, 1.6}, []),
        ([0.3, 0.9], 0.9, set(), [0.519615242271, 2.7]),
    ],
)
def test_rates_are_added_between_and_beyond(rates, best, tied, expected):
    assert new_rates(np.array(rates), best, tied) == pytest.approx(expected, rel=1e-11)


def test_rates_go_beyond_the_edge_at_which_the_recommended_choice_is(tmp_path):
    """As its verdict says; they were added around the first choice, with which it may be tied at fewer updates."""
    problem = make_problem(models.quadratic, X, Y, RunTable(**SETTINGS), tmp_path)
    plan = GRID.frame(models.quadratic, Y.size)
    shared = {"optimizer": "sgd", "schedule": "constant", "shuffle": True}
    ranked = pd.DataFrame({"lr": [0.9, 0.4, 0.4, 0.05], "batch_size": [8, 1, 8, 8]}).assign(**shared)
    more = refined_plan(plan, ranked.assign(tied=True), GRID, problem)
    added = more.iloc[len(plan) :]
    assert set(added["batch_size"]) == {8}
    assert added["lr"].max() == pytest.approx(0.9**2 / 0.4)


def test_refining_finds_a_better_rate_than_a_grid_that_misses_it(tmp_path):
    grid = Grid(lr=[0.01, 0.04], optimizer=["sgd", "adam"], init=STARTS, seed=range(4), shuffle=True)
    coarse = sweep(models.quadratic, X, Y, grid, confirm=0, out=tmp_path, **SETTINGS)
    assert coarse.best().settings["lr"] == 0.04
    assert coarse.verdict()["Edge of the grid"].endswith("refine=2 goes beyond it.")
    fine = sweep(models.quadratic, X, Y, grid, confirm=0, refine=4, out=tmp_path, **SETTINGS)
    best = fine.best()
    assert best.settings["lr"] > 0.1
    assert best.row["samples"] < 0.5 * coarse.best().row["samples"]
    pd.testing.assert_frame_equal(fine.frame.head(len(coarse.frame)), coarse.frame)
    rates = fine.frame.groupby("optimizer", observed=True)["lr"].nunique()
    assert rates.min() > 3
    assert run_data_of(load_run(tmp_path)).beyond == "refine=6"  # the first four rounds would be the same
    # Inside, where a grid has ended.
    own = fine.frame[fine.frame["optimizer"] == best.settings["optimizer"]]["lr"]
    assert own.min() < best.settings["lr"] < own.max()
    # The same rounds again add nothing, and without any the rates stay, for more seeds too.
    again = sweep(models.quadratic, X, Y, grid, confirm=0, refine=4, out=tmp_path, **SETTINGS)
    pd.testing.assert_frame_equal(again.frame, fine.frame)
    grid = Grid(lr=[0.01, 0.04], optimizer=["sgd", "adam"], init=STARTS, seed=range(5), shuffle=True)
    more = sweep(models.quadratic, X, Y, grid, confirm=0, out=tmp_path, **SETTINGS).frame
    assert more.groupby("optimizer", observed=True)["lr"].nunique().equals(rates)
    assert 4 * len(more) == 5 * len(fine.frame)


def test_where_the_best_rate_is_tied_with_both_neighbours_none_is_added():
    grid = Grid(lr=[0.5, 0.6, 0.7], init="normal:1:4", seed=range(3), shuffle=True)
    given = {"epochs": 20, "target": 1e-2, "kernel": "reference"}
    assert len(sweep(models.quadratic, X, Y, grid, confirm=0, refine=1, **given).frame) == grid.size


def test_fresh_seeds_of_one_order_each_have_a_kernel_for_single_runs(tmp_path, monkeypatch):
    """Where the bits of kernels differ, runs that come later go on with the one that the folder began with."""
    settings = {"loss": "logistic", "epochs": 2, "out": tmp_path / "run"}

    def swept(confirm):
        grid = Grid(lr=0.1, seed=[0, 1], shuffle=True)
        result = sweep("a*x + b", X, (X > 0).astype(float), grid, confirm=confirm, **settings)
        return result, read_identity(result.run.folder / "confirmation")["kernel"]

    monkeypatch.setattr(memory, "COMPILE_SECONDS", 0.0)
    first, kernel = swept(2)
    assert (first.run.identity["kernel"], kernel) == ("lanes", "fused")
    monkeypatch.setattr(memory, "COMPILE_SECONDS", 1e9)
    longer, kernel = swept(4)
    assert (len(longer.confirmation.frame), kernel) == (4, "fused")
