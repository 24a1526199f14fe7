"""Models given as functions, where they meet sweeps, searches, estimators, tables and the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import sympy

from sgdbench import Grid, SGDCurveClassifier, SGDCurveRegressor, Space, load_run, sweep, tune
from sgdbench.data import builtin, carry_back, standardize
from sgdbench.data.fit_table import fit_table
from sgdbench.kernels import Model

X = np.linspace(-1, 1, 40)
Y = 1.5 * np.exp(-(((X - 0.1) / 0.4) ** 2) / 2)
TEXT = "height*exp(-((t - center)/width)**2/2)"
SETTINGS = {"epochs": 3, "confirm": 0, "kernel": "reference"}


def peak(t, height=1.0, center=0.2, width=0.5):
    return height * np.exp(-(((t - center) / width) ** 2) / 2)


def test_a_sweep_stores_and_hands_out_the_text(tmp_path):
    swept = sweep(peak, X, Y, Grid(lr=[0.05, 0.1], seed=[0, 1], shuffle=True), out=tmp_path / "run", **SETTINGS)
    again = load_run(tmp_path / "run")
    assert again.model.expression == TEXT
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"peak" in path.read_bytes()]
    best = again.best()
    assert (again.starts == [1.0, 0.2, 0.5]).all()  # of all seeds
    assert f"Model({TEXT!r}, inputs=('t',)" in best.code()
    assert "init=[1.0, 0.2, 0.5]" in best.code()
    assert "default = [\n    1.0,\n    0.2,\n    0.5,\n]" in best.to_study()
    # The folder is continued by the text too.
    more = sweep(
        Model(TEXT, ["t"]), X, Y, Grid(lr=[0.05, 0.1], seed=[0, 1, 2], shuffle=True, init={"default": [1.0, 0.2, 0.5]}),
        out=tmp_path / "run", resume=True, **SETTINGS,
    )  # fmt: skip
    assert len(more.frame) == 6
    by_id = swept.frame.set_index("config_id")["final_loss"]
    assert by_id.equals(more.frame.set_index("config_id")["final_loss"].loc[by_id.index])


def test_a_search_starts_at_the_defaults():
    found = tune(peak, X, Y, Space(lr="log:0.01:0.1", seed=[0, 1]), trials=4, **SETTINGS)
    assert found.best().init.tolist() == [1.0, 0.2, 0.5]
    a, b, x = sympy.symbols("a b x")
    assert tune(a * x + b, X, Y, Space(seed=[0]), trials=2, **SETTINGS).best().model.expression == "a*x + b"


def test_a_given_start_is_taken():
    given = sweep(peak, X, Y, Grid(lr=0.1, init=[2, 0, 1]), **SETTINGS)
    assert given.starts.tolist() == [[2.0, 0.0, 1.0]]


@pytest.mark.filterwarnings("ignore:The fit")
def test_a_regressor_starts_at_the_defaults_in_the_units_of_the_columns():
    """With a rate of nearly 0 they are what it ends with, though it trains standardized columns."""
    given = {"lr": 1e-12, "epochs": 1, "kernel": "reference", "random_state": 0}
    fitted = SGDCurveRegressor(lambda u, a=3.0, b=2.0: a * u + b, **given).fit(7 * X[:, np.newaxis] + 4, 9 * Y)
    np.testing.assert_allclose(fitted.params_, [3.0, 2.0], atol=1e-6)
    table = pd.DataFrame({"p": X, "q": X**2})
    by_name = SGDCurveRegressor(lambda q, a=1.0: a * q, **given).fit(table, Y)
    assert by_name.model_.inputs == ("q",)
    weights = SGDCurveRegressor(lambda x, w, b: w @ x + b, epochs=5, kernel="reference", random_state=0).fit(table, Y)
    text = SGDCurveRegressor(epochs=5, kernel="reference", random_state=0).fit(table, Y)
    np.testing.assert_allclose(weights.params_, text.params_, rtol=1e-9)
    classes = SGDCurveClassifier(lambda x, W, b: W @ x + b, epochs=1, kernel="reference").fit(table, np.arange(40) % 3)  # noqa: N803
    assert classes.model_.classes == 3


@pytest.mark.parametrize("center", ["both", "none"])
def test_a_table_is_standardized_with_its_defaults(center):
    table = builtin("auto-mpg")
    fitted = fit_table(
        Model(lambda hp, a=0.001, b=-0.3, c=50.0: a * hp**2 + b * hp + c),
        *(table,),
        standardized=True,
        center=center,
        lr=1e-15,
        epochs=1,
        kernel="reference",
    )
    np.testing.assert_allclose(list(fitted.params.values()), [0.001, -0.3, 50.0], rtol=1e-6)
    data, scaling = standardize(table, center=center)
    assert carry_back(fitted.result, data, scaling).params == fitted.params


PLUGIN = """
import numpy as np
from sgdbench import register_model

@register_model
def damped(t, height=1.0, rate=0.5):
    return height * np.exp(-rate * t)
"""


@pytest.mark.usefixtures("rules_forgotten", "no_report")
def test_a_plug_in_gives_the_command_line_a_function(ran, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    t = np.linspace(0, 3, 60)
    pd.DataFrame({"time": t, "y": 2 * np.exp(-0.8 * t)}).to_csv(tmp_path / "d.csv", index=False)
    words = ["d.csv", "--y", "y", "--model", "damped", "--plugin", "mine.py"]
    told = json.loads(ran("fit", *words, "--lr", "1e-12", "--epochs", "1", "--standardize", "--json"))
    assert told["params"] == pytest.approx({"height": 1.0, "rate": 0.5})
    assert "damped " in ran("list", "models", "--plugin", "mine.py")
    ran("new", *words, "--out", "study.toml")
    study = (tmp_path / "study.toml").read_text()
    assert 'expression = "damped"' in study
    quick = ["--epochs", "2", "--lr", "0.1", "--optimizer", "sgd", "--confirm", "0", "--set", "run.kernel=reference"]
    ran("run", "study.toml", "--plugin", "mine.py", "--out", "run", *quick)
    result = load_run(tmp_path / "run")
    assert result.model.expression == "height*exp(-rate*t)"
    assert result.starts[0][1] == pytest.approx(0.5 * t.std())  # of standardized columns
