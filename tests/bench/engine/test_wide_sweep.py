"""Sweeps of models with vectors: what is stored, continued, ranked and handed out."""

import numpy as np
import pytest

from sgdbench import Grid, Model, fit, load_run, sweep

rng = np.random.default_rng(7)
X = rng.normal(size=(60, 12))
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0] + 0.1 * rng.normal(size=60), [-0.4, 0.4])]
GRID = Grid(lr=[0.01, 0.05, 0.2], batch_size=[1, 8], seed=[0, 1], shuffle=True)
SETTINGS = {"loss": "softmax", "record": "epoch", "confirm": 0, "kernel": "fused"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    return sweep("W @ x + b", X, LABELS, GRID, epochs=4, validation=0.25, out=folder, **SETTINGS), folder


def test_parameters_are_columns_of_arrays(swept):
    frame = swept[0].frame
    assert [name for name in frame if name.startswith("param_")] == [
        "param_W",
        "param_b[0]",
        "param_b[1]",
        "param_b[2]",
    ]
    assert {len(weights) for weights in frame["param_W"]} == {36}
    assert len(frame) == 12


def test_a_run_is_that_of_fit(swept):
    result, _ = swept
    row = result.frame.iloc[5]
    settings = {name: row[name] for name in ("lr", "batch_size", "optimizer", "seed")}
    again = fit(result.model, X, LABELS, loss="softmax", epochs=4, validation=0.25, shuffle=True, **settings)
    np.testing.assert_array_equal(again.params[:36], row["param_W"])
    assert again.validation_loss[-1] == row["validation_loss"]
    assert not result.starts.any()  # a linear model starts at zero


def test_it_is_read_back_and_goes_on(swept):
    result, folder = swept
    read = load_run(folder)
    assert repr(read.model) == repr(result.model)
    assert (read.model.classes, read.model.inputs) == (3, result.model.inputs)
    longer = sweep("W @ x + b", X, LABELS, GRID, epochs=7, validation=0.25, out=folder, **SETTINGS)
    whole = sweep("W @ x + b", X, LABELS, GRID, epochs=7, validation=0.25, **SETTINGS)
    both = longer.frame.merge(whole.frame, on="config_id", suffixes=("", "_whole"))
    assert len(both) == 12
    np.testing.assert_array_equal(both["final_loss"], both["final_loss_whole"])
    for mine, other in zip(both["param_W"], both["param_W_whole"], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_the_best_choice_is_handed_out(swept):
    best = swept[0].best()
    again = best.refit(X, LABELS)
    assert again.classes.labels == ("high", "low", "middle")
    assert set(again.predict_class(X)) <= set(LABELS)
    scope = {}
    exec(best.code().replace("x, y = ..., ...", "x, y = X, LABELS"), {"X": X, "LABELS": LABELS}, scope)
    np.testing.assert_array_equal(scope["result"].params, again.params)


def test_groups_and_hidden_layers_are_read_back(tmp_path):
    model = Model("v @ tanh(W @ z + c) + a*last", {"z": ["x0", "x1"], "last": "x2"}, hidden=2)
    grid = Grid(lr=[0.01, 0.02], init="normal:0.1:2")
    result = sweep(
        model, X[:, :3], X[:, 2], grid, epochs=2, out=tmp_path, record="epoch", confirm=0, kernel="reference"
    )
    read = load_run(tmp_path)
    assert read.model.vectors == model.vectors
    assert read.model.network == model.network
    np.testing.assert_array_equal(read.starts, result.starts)
    assert len(np.unique(read.starts, axis=0)) == 2


def test_more_parameters_than_fit_are_refused_before_training(tmp_path):
    many = Grid(lr=f"log:1e-6:1e-3:{1000}", seed=range(1000))
    wide = np.zeros((5, 10_000))
    with pytest.raises(
        ValueError, match=r"training takes about [\d,.]+ GB .* 1,000,000 .*, and 10,001 parameters each"
    ):
        sweep("w @ x + b", wide, np.arange(5.0), many, epochs=2, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
