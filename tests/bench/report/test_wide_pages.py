"""Pages of models with vectors: what is drawn instead of curves and paths, and what many parameters leave out."""

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from sgdbench import Grid, fit, sweep
from sgdbench.engine.recording import record_settings
from sgdbench.report.figures import DRAWN
from sgdbench.report.page_data import page_data
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import run_data_of
from sgdbench.report.start_text import StartText, start_texts
from sgdbench.study.load import load_study
from sgdbench.study.schema import RunTable
from sgdbench.timing.update import update_seconds
from tests.support.figures import texts
from tests.support.studies import train_study

RNG = np.random.default_rng(5)
ROWS, INPUTS = 90, [f"x{k}" for k in range(12)]
X = RNG.normal(size=(ROWS, len(INPUTS)))
KINDS = np.array(["<b>one</b>", "two & a half", "three"])[(X @ RNG.normal(size=(12, 3))).argmax(axis=1)]
NUMBERS = X @ RNG.normal(size=12) + RNG.normal(size=ROWS)


def trained(folder, y, model, *, init="", loss="squared", more=""):
    """A run of a study, with the label or number to be fitted in the column y."""
    pd.DataFrame(X, columns=INPUTS).assign(y=y).to_csv(folder / "wide.csv", index=False)
    (folder / "wide.toml").write_text(
        f'name = "wide"\n[data]\npath = "wide.csv"\nx = {INPUTS}\ny = "y"\n{more}\n'
        f"[model]\nexpression = {json.dumps(model)}\n[grid]\nlr = [0.01, 0.1]\nseed = [0, 1]\n{init}\n"
        f'[run]\nepochs = 4\nkernel = "reference"\nconfirm = 0\nloss = "{loss}"\n',
        "utf-8",
    )
    study = load_study(folder / "wide.toml")
    result = train_study(study, folder / "run")
    record_settings(folder / "run", 4, study.data.validation, None, study.dataset()[0].classes)
    return run_data_of(result)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    return trained(folder, KINDS, "W @ x + b", loss="softmax", more="validation = 0.3")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    starts = 'init = { random = "normal:0.5:2", zero = "zero" }'
    return trained(tmp_path_factory.mktemp("numbers"), NUMBERS, 'mlp(3, "relu")', init=starts)


def test_confusions_are_those_of_the_best_run_on_training_and_held_out_samples(classes):
    data, labels = classes.data, classes.class_labels
    assert labels == sorted(set(KINDS))
    assert list(classes.confusions) == ["Training samples", "Held-out samples"]
    for (_, table), (x, y) in zip(classes.confusions.items(), [(data.x, data.y), data.validation], strict=True):
        predicted = classes.result.model.predict(classes.best_params, x).argmax(axis=1)
        assert table.iloc[:, 0].tolist() == table.columns[1:].tolist() == labels
        assert np.array_equal(table.iloc[:, 1:], confusion_matrix(y, predicted, labels=range(3)))
        assert f"{accuracy_score(y, predicted):.4g}" in classes.verdict["Accuracy"]


def test_a_page_of_classes_has_tables_with_escaped_labels(classes):
    page = write_run_report(classes, figures=False).read_text("utf-8")
    section = page[page.index('<section id="fit"') :]
    section = section[: section.index("</section>")]
    assert section.count("<table>") == 2
    assert "<td>&lt;b&gt;one&lt;/b&gt;</td>" in section
    assert "<b>" not in section
    assert 'id="play"' not in page
    assert '<a href="#play"' not in page
    tables = classes.result.run.folder / "tables"
    assert pd.read_csv(tables / "confusion.csv").iloc[:, 1:].to_numpy().sum() == len(classes.data.y)
    assert "param_W" not in pd.read_csv(tables / "configurations.csv")
    assert len(pd.read_parquet(tables / "configurations.parquet")["param_W"][0]) == 36
    markdown = (classes.result.run.folder / "report.md").read_text("utf-8")
    assert "Observed and predicted classes: Held-out samples" in markdown
    assert "<b>one" not in markdown


def test_the_page_holds_no_column_of_arrays(classes):
    shown = page_data(classes)
    assert [name for name in shown["outcomes"] if "param_" in name] == [f"param_b[{k}]" for k in range(3)]
    assert shown["play"] is None
    assert shown["pooled"]["fit"] is None
    assert all(len(start["python"] or "") < 100 for start in shown["start_texts"]["texts"])


def test_figures_are_confusion_and_weights_but_neither_paths_nor_basins(classes, numbers):
    drawn = {name: shown[1] for name, draw in DRAWN.items() if (shown := draw(classes))}
    assert {"confusion", "weights"} <= drawn.keys()
    assert not {"contours", "basin", "fitted_curve"} & drawn.keys()
    caption, _ = DRAWN["weights"](classes)
    assert "there are no contours and no basin: two of many weights say little" in caption
    drawn["confusion"].draw_without_rendering()  # labels of axes have no text before
    assert "two & a half" in texts(drawn["confusion"])
    drawn = {name: shown[1] for name, draw in DRAWN.items() if (shown := draw(numbers))}
    assert {"fitted_curve", "weights"} <= drawn.keys()
    assert "confusion" not in drawn
    assert drawn["fitted_curve"].axes[0].get_ylabel() == "y, predicted"


def test_two_classes_are_histograms_of_what_is_predicted_for_each(tmp_path):
    run = trained(tmp_path, np.where(X.sum(axis=1) > 0, "<b>yes</b>", "no"), "w @ x + b", loss="logistic")
    caption, figure = DRAWN["fitted_curve"](run)
    assert "predicted probability of no" in texts(figure)
    assert caption == "Predictions of the best run of the best choice for the samples of each class."
    made = page_data(run)
    keys = made["parts"][made["pooled"]["fit"]["keys"]["part"]]
    assert [key["name"] for key in keys] == ["<b>yes</b>", "no"]


def test_many_numbers_of_a_start_are_given_by_the_rule_that_draws_them(numbers):
    made = start_texts(numbers)
    assert list(made) == ["random[0]", "random[1]", "zero"]
    frame, starts, model = numbers.frame, numbers.result.starts, numbers.result.model
    for row, name, seed in zip(range(len(frame)), frame["init"].astype(str), frame["seed"], strict=True):
        start = eval(made[name].python.replace("{seed}", str(seed)), {"np": np})
        again = fit(model, X, NUMBERS, init=start, epochs=1, batch_size="full", kernel="reference")
        np.testing.assert_array_equal(again.trajectory[0], starts[row])
    assert (made["random[1]"].toml, made["zero"].toml) == ('"normal:0.5:2"', '"zero"')


def test_starts_of_a_sweep_in_python_are_known_by_their_numbers(tmp_path):
    model, x, settings = "w @ x + b", RNG.normal(size=(ROWS, 31)), {"epochs": 1, "kernel": "reference"}
    grid = Grid(lr=0.01, init={"far": RNG.normal(size=32)})
    made = start_texts(run_data_of(sweep(model, x, NUMBERS, grid, out=tmp_path / "run", **settings)))
    assert made["far"].python is None
    assert "32 numbers" in made["far"].reason
    network = 'mlp(3, "relu")'
    result = sweep(network, X, NUMBERS, Grid(lr=0.01, seed=[0, 1]), out=tmp_path / "other", **settings)
    assert start_texts(run_data_of(result)) == {"default": StartText("", "")}
    assert "init" not in result.best().code()
    study = tomllib.loads(result.best().to_study())
    assert "init" not in study["grid"]
    assert study["model"]["expression"] == network


def test_updates_of_networks_are_timed():
    """By the kernels that tests/kernels/test_equality.py compiles too."""
    result = sweep("w @ x + b", X, NUMBERS, Grid(lr=0.01), epochs=1, kernel="reference", confirm=0)
    costs = update_seconds(result, X, NUMBERS, RunTable(), seconds=0.01)
    assert costs["note"].tolist() == [""]
    assert (costs["seconds_per_update"] > 0).all()


@pytest.mark.usefixtures("one_figure")
def test_theory_of_many_weights_is_left_out_with_a_reason(tmp_path):
    few, many = (tmp_path / name for name in ("few", "many"))
    result = sweep("w @ x + b", X, NUMBERS, Grid(lr=[0.01, 0.1]), epochs=1, kernel="reference", out=few)
    assert "up to 16 parameters" not in result.report().read_text("utf-8")
    wide = np.hstack([X, X[:, :4] ** 2])
    page = sweep("w @ x + b", wide, NUMBERS, Grid(lr=[0.01, 0.1]), epochs=1, kernel="reference", out=many).report()
    assert re.search("up to 16 parameters; for the 17 of this one", page.read_text("utf-8"))
