"""What sweeps and searches answer in Python: a ranking, the best choice and what to do with it, sentences, a page."""

import re
import tomllib
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Model, Space, fit, load_run, load_tuning, models, sweep
from sgdbench.report.choice import _find_typical_run
from sgdbench.study.load import load_study

X = np.linspace(-1, 1, 60)
Y = 2 * X**2 - 4 * X + 3
GRID = Grid(
    lr=[0.1, 0.4, 0.9], batch_size=[1, 8], optimizer=["sgd", "adam"], init={"near": [-1, 10, 26]}, seed=range(5),
    shuffle=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    settings = {"epochs": 40, "target": 1e-4, "confirm": 5, "kernel": "reference"}
    return sweep(models.quadratic, X, Y, GRID, **settings, out=tmp_path_factory.mktemp("run"))


def best_of(model, x, y, grid, **settings):
    """The best choice of a short sweep for which nothing is compiled."""
    return sweep(model, x, y, grid, **{"epochs": 2, "kernel": "reference", "confirm": 0} | settings).best()


def study_of(best, place):
    """The study that a choice hands out, from a file in a folder."""
    (place / "one.toml").write_text(best.to_study())
    return load_study(place / "one.toml")


def test_the_best_choice_is_the_recommended_row(result):
    ranked, best = result.ranking(), result.best()
    row = ranked[ranked["recommended"]].iloc[0]
    assert best.settings == {
        "optimizer": row["optimizer"], "lr": row["lr"], "schedule": "constant", "batch_size": row["batch_size"],
        "shuffle": True,
    }  # fmt: skip
    assert best.rank == row.name + 1
    assert best.seeds == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(best.init, [-1, 10, 26])
    assert len(best.ties) == ranked["tied"].sum() - 1
    assert "lr=" in str(best)
    assert re.fullmatch(r"<SweepResult of a\*x\*\*2 \+ b\*x \+ c: 60 of 60 configurations(, \d+ \w+)+>", repr(result))
    assert repr(best) == f"<Choice {best}>"  # in place of all that it holds, which fills screens
    assert str(replace(best, ties=best.ties.head(0))).endswith("; none as good)")
    assert str(replace(best, row=best.row.where(best.row.index != "diverged", 5))).endswith("; every run diverged)")


def test_each_optimizer_has_a_best_choice(result):
    adam = result.best(optimizer="adam")
    ranked = result.ranking()
    assert adam.settings["optimizer"] == "adam"
    assert adam.row["samples"] == ranked[ranked["optimizer"] == "adam"]["samples"].iloc[0]
    with pytest.raises(ValueError, match=r"^optimizer must be one trained to the end, 'sgd', 'adam', not 'adm'$"):
        result.best(optimizer="adm")
    with pytest.raises(ValueError, match=r"^optimizer must be one trained to the end, .*, not \['adam'\]$"):
        result.best(optimizer=["adam"])


@pytest.mark.parametrize("target", [0.02, None])
def test_a_run_that_failed_is_not_handed_out(target):
    """From one of the starts the curve ends in another valley: the parameters of 5*x/(1 + x) turn negative there."""
    x = np.linspace(0.1, 4, 40)
    grid = Grid(lr=0.05, init={"lost": [-3.0, -6.0], "near": [4.0, 2.0]}, seed=[0, 1])
    settings = {"epochs": 60, "target": target, "confirm": 0, "kernel": "reference"}
    found = sweep("v*x/(k + x)", x, 5 * x / (1 + x), grid, **settings)
    losses = found.frame.set_index("init")["final_loss"]
    assert losses["near"].max() < 0.1 < 1 < losses["lost"].min()
    best = found.best()
    assert best.init.tolist() == [4.0, 2.0]
    assert best.seed == 0
    assert best.refit(x, 5 * x / (1 + x), kernel="reference").loss[-1] == losses["near"].iloc[0]
    assert "init=[4.0, 2.0]" in best.code()


def test_a_run_that_diverged_counts_as_failed_though_patience_keeps_its_parameters():
    x = np.linspace(-1, 1, 40)
    y = 2 * np.exp(-0.5 * x) + 0.3 * np.random.default_rng(0).normal(size=40)
    grid = Grid(lr=0.4, init="normal:2:4", seed=range(3), shuffle=True)
    settings = {"epochs": 60, "validation": 0.3, "test": 0.2, "patience": 100, "confirm": 0, "kernel": "reference"}
    found = sweep("a*exp(b*x) + c", x, y, grid, **settings)
    said = found.verdict()
    assert "6 of 12 runs diverged" in said["Best choice"]
    assert "On test rows" not in said
    failed = found.frame.assign(validation_loss=np.where(found.frame["status"].eq("diverged"), 1e-9, 1.0))
    assert _find_typical_run(failed)["status"] == "max_epochs"


@pytest.mark.parametrize("init", [None, {"near": [-1, 10, 26], "far": "uniform:-2:3.5:2", "wide": "normal:2:1"}])
def test_the_study_of_a_choice_has_the_starts_of_each_seed(tmp_path, init):
    grid = Grid(lr=0.1, init=init, seed=range(3))
    best = best_of(models.quadratic, X, Y, grid)
    written = tomllib.loads(best.to_study())["grid"]
    assert ("init" in written) == (init is not None)  # else each seed draws its own again
    again = study_of(best, tmp_path).make_grid()
    assert (again.names, again.seed) == (grid.names, grid.seed)
    np.testing.assert_array_equal(again.starts(models.quadratic), grid.starts(models.quadratic))


def test_the_study_of_a_choice_has_columns_for_all_inputs():
    one = best_of("plane", np.stack([X, X**2], axis=1), Y, Grid(lr=0.1))
    assert tomllib.loads(one.to_study())["data"] == {"path": "your-data.csv", "x": ["x1", "x2"], "y": "y"}
    assert "x, y = ..., ...  # your data" in one.code()
    for model in (Model("a*y + b", ["y"]), Model("a*u + y", ["u"])):
        assert tomllib.loads(best_of(model, X, Y, Grid(lr=0.1)).to_study())["data"]["y"] == "y_"


PAIR = ("x1", "x2")


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (Model("a*x1 + b*x2", PAIR, ("b", "a")), "squared"),
        (Model("w @ x + b", PAIR, classes=4), "softmax"),
        (Model("v @ tanh(W @ x + c) + u @ x", PAIR, hidden=3), "squared"),
        (models.mlp(2, inputs=PAIR, classes=4), "softmax"),
    ],
)
def test_the_study_of_a_choice_has_the_model_with_its_parameters_and_sizes(tmp_path, model, loss):
    """Starts were those of other parameters, or of fewer classes than the model has, or the study was refused."""
    y = np.arange(60) % 3
    pd.DataFrame({"x1": X, "x2": Y, "y": y}).to_csv(tmp_path / "your-data.csv", index=False)
    study = study_of(best_of(model, np.stack([X, Y], 1), y, Grid(lr=0.1), epochs=1, loss=loss), tmp_path)
    assert study.make_model(study.dataset()[0]).params == model.params


@pytest.mark.parametrize("samples", [1, 100])
def test_what_a_choice_of_a_function_of_parameters_hands_out_needs_no_data(tmp_path, monkeypatch, samples):
    """The study had columns x and y, and was refused; the code asked for data."""
    monkeypatch.setattr("sgdbench.fit", partial(fit, kernel="reference"))  # what the code says need not be compiled
    settings = {"epochs": 2, "kernel": "reference", "confirm": 0, "loss": "objective"}
    result = sweep("rosenbrock", None, [0.0] * samples, Grid(lr=0.001, init=[-1, 1]), **settings)
    best, made = result.best(), {}
    exec(best.code(), made)
    study = study_of(best, tmp_path)
    data, _ = study.dataset()
    again = sweep(study.make_model(data), None, data.y, study.make_grid(), **settings)
    params = result.frame[["param_x", "param_y"]].to_numpy()
    np.testing.assert_array_equal(made["result"].params, params[0])
    assert np.array_equal(again.frame[["param_x", "param_y"]], params) == (samples == 100)
    assert ("without data has 100 samples, and had 1 in" in best.to_study()) == (samples == 1)


def test_the_study_of_a_choice_has_a_file_for_samples_that_were_held_out_besides(tmp_path):
    """Without it, patience was refused, or the final loss chose."""
    settings = {"validation": (X[:5], Y[:5]), "patience": 2}
    study = study_of(best_of(models.quadratic, X, Y, Grid(lr=0.1), **settings), tmp_path)
    assert study.run.patience == 2
    assert study.data.validation_path == str(tmp_path / "your-held-out-data.csv")


def test_costs_that_were_not_measured_are_not_made_up(result):
    with pytest.raises(ValueError, match=r"^cost must not be 'seconds' where updates are not timed, as `run` does: "):
        result.ranking("seconds")
    with pytest.raises(ValueError, match=r"^cost must not be 'validation_loss' where no samples are held out$"):
        result.ranking("validation_loss")
    first = {cost: result.ranking(cost)["batch_size"].tolist().index(8) for cost in ("updates", "samples")}
    assert first["updates"] < first["samples"]


def test_printed_it_takes_six_to_ten_lines(result):
    lines = str(result).splitlines()
    assert 6 <= len(lines) <= 10
    assert lines[0] == "Sweep of a*x**2 + b*x + c: 60 configurations"
    (best,) = (line for line in lines if line.startswith("  Best choice: "))
    assert re.search(r" median \d+ .*; over ", best)
    assert f"learning rate {result.best().settings['lr']:g}" in best


@pytest.mark.usefixtures("one_figure")
def test_the_verdict_and_the_report_are_those_of_the_folder(result):
    said = result.verdict()
    assert said == load_run(result.run.folder).verdict()
    assert {"Best choice", "Confirmed", "Optimizers", "Robustness"} <= set(said)
    page = result.report()
    assert page == result.run.folder / "report.html"
    assert page.exists()


def test_a_sweep_that_has_not_begun_says_so(result, tmp_path):
    empty = sweep(models.quadratic, X, Y, Grid(lr=[0.1]), epochs=1, out=tmp_path)
    for part in (tmp_path / "parts").iterdir():
        part.unlink()
    empty = load_run(tmp_path)
    assert "nothing has been trained yet" in str(empty)
    assert empty.verdict() == {}
    with pytest.raises(ValueError, match=r"^nothing has been trained to its end yet: there is no best choice$"):
        empty.best()


def test_a_search_answers_as_a_sweep_does(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    from sgdbench import tune

    space = Space(lr="log:0.1:0.9", init={"near": [-1, 10, 26]}, seed=range(2), shuffle=True)
    shared = {"epochs": 40, "target": 1e-4, "confirm": 5, "kernel": "reference"}
    found = tune(models.quadratic, X, Y, space, trials=4, pruner="none", grid=GRID, **shared, out=tmp_path)
    first, *others = str(found).splitlines()
    assert first == "Search for settings of a*x**2 + b*x + c: 4 trials"
    said = load_tuning(tmp_path).verdict()
    assert others == [f"  {about}: {sentence}" for about, sentence in said.items()]
    assert {"Best choice", "Confirmed", "Against the grid", "Search"} <= set(said)
    assert "; in the search" in said["Confirmed"]
    with pytest.raises(ValueError, match=r"holds a search for settings: sgdbench.load_tuning reads it$"):
        load_run(tmp_path)
    with pytest.raises(ValueError, match=r"no such folder: .*none$"):
        load_tuning(tmp_path / "none")
    ranked = found.ranking()
    row = ranked[ranked["recommended"]].iloc[0]
    assert (row["lr"], row["confirmed_runs"]) == (found.best().settings["lr"], 5)
