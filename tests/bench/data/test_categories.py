"""Columns of categories: from the table to the study, the copied code, predictions and estimators."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pyarrow.feather
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sgdbench import Model, SGDCurveClassifier, SGDCurveRegressor, fit, load_run
from sgdbench.data import load_table, standardize
from sgdbench.data.columns import choose_inputs, usable_columns
from sgdbench.data.fit_table import fit_table
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.model.models import make_model_for_columns
from sgdbench.study.load import load_study

CUTS = ("Ideal", "Premium", "Very Good", "Good", "Fair")
COLORS, CLARITIES = tuple("GEFHDIJ"), ("SI1", "VS2", "SI2", "VS1", "VVS2", "VVS1", "IF", "I1")
TEXTS = {"cut": CUTS, "color": COLORS, "clarity": CLARITIES}


def make_diamonds(rows):
    """Return a table of the shape of the diamonds: carats, three columns of ordered categories, and prices."""
    rng = np.random.default_rng(0)
    carat = np.round(np.clip(np.exp(rng.normal(-0.4, 0.55, rows)), 0.2, 5), 2)
    places = {name: np.minimum(rng.geometric(0.3, rows) - 1, len(texts) - 1) for name, texts in TEXTS.items()}
    quality = sum(rng.normal(0, 0.15, len(texts))[places[name]] for name, texts in TEXTS.items())
    frame = {"carat": carat} | {name: np.array(texts)[places[name]] for name, texts in TEXTS.items()}
    price = np.round(4000 * carat**1.3 * np.exp(quality + rng.normal(0, 0.1, rows)))
    return pd.DataFrame(frame | {"depth": np.round(rng.normal(61.7, 1.4, rows), 1), "price": price})


@pytest.fixture(scope="module")
def diamonds():
    return make_diamonds(2000)


@pytest.fixture
def table(diamonds, tmp_path):
    diamonds.to_csv(tmp_path / "diamonds.csv", index=False)
    return tmp_path / "diamonds.csv"


@pytest.fixture(scope="module")
def reference(diamonds):
    """The coefficients of least squares, by name, and the R² with the categories, by scikit-learn."""
    encoder = OneHotEncoder(drop=[texts[0] for texts in TEXTS.values()], sparse_output=False)
    columns = make_column_transformer((encoder, list(TEXTS)), remainder="passthrough", verbose_feature_names_out=False)
    x, y = diamonds.drop(columns="price"), diamonds["price"]
    solved = make_pipeline(columns, LinearRegression()).fit(x, y)
    names = [name.replace(" ", "_").lower() for name in columns.get_feature_names_out()]
    return dict(zip(names, solved[-1].coef_, strict=True)), solved.score(x, y)


def test_indicators_are_those_of_pandas_in_every_form(diamonds, table, tmp_path):
    columns = ["carat", *TEXTS]
    dummies = pd.get_dummies(diamonds[columns], dtype=float).drop(columns=["cut_Ideal", "color_G", "clarity_SI1"])
    diamonds.astype({"cut": "category"}).to_parquet(tmp_path / "d.parquet", row_group_size=300)
    pyarrow.feather.write_feather(diamonds, str(tmp_path / "d.arrow"), compression="uncompressed")
    for path in (table, tmp_path / "d.parquet", tmp_path / "d.arrow"):
        data = load_table(path, columns, "price", mapped=path.suffix == ".parquet")
        assert data.x_names[:5] == ("carat", "cut_fair", "cut_good", "cut_premium", "cut_very_good")
        found = pd.DataFrame(np.array(data.x), columns=data.x_names)
        by_name = dummies.rename(columns=lambda name: name.replace(" ", "_").lower())
        pd.testing.assert_frame_equal(found, by_name[list(found)])
        one = load_table(path, ["cut_good"], "price", categories=data.categories.levels)
        np.testing.assert_array_equal(one.x[:, 0], diamonds["cut"] == "Good")
    # A file of columns is one of its categories.
    swapped = data.categories.levels | {"cut": data.categories.levels["cut"][::-1]}
    other = load_table(tmp_path / "d.parquet", columns, "price", categories=swapped, mapped=True)
    assert other.x_names[1] == "cut_premium"
    np.testing.assert_array_equal(other.x[:, 1], diamonds["cut"] == "Premium")


def test_fit_ends_at_least_squares_of_one_hot_columns(sgdbench, table, reference):
    given = ["--y", "price", "--standardize", "--lr", "0.3", "--batch-size", "full", "--epochs", "3000"]
    given += ["--kernel", "reference"]
    code, out, _ = sgdbench("fit", table, *given, "--json")
    found = json.loads(out)
    coef, score = reference
    assert code == 0
    assert found["categories"]["cut"] == ["Ideal", "Fair", "Good", "Premium", "Very Good"]
    assert found["r2"] == pytest.approx(score, abs=1e-9)
    assert {name: found["params"][f"w[{name}]"] for name in coef} == pytest.approx(coef, rel=1e-4, abs=1e-3)
    without = json.loads(sgdbench("fit", table, *given, "--json", "--no-categories")[1])
    assert without["r2"] < score - 0.02
    assert without["left_out"] == {name: without["left_out"][name] for name in TEXTS}


@pytest.mark.usefixtures("one_figure", "nothing_timed", "replayed_by_reference")
def test_a_run_and_all_that_it_hands_out_know_the_categories(ran, sgdbench, diamonds, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sgdbench.fit", partial(fit, kernel="reference"))  # no kernel is compiled for the copied code
    diamonds = diamonds[:400]
    diamonds.to_csv(table, index=False)
    ran("new", table, "--y", "price", "--out", "study.toml")
    assert load_study(tmp_path / "study.toml").data.categories["color"][0] == "G"
    more, unknown = tmp_path / "more.csv", tmp_path / "unknown.csv"
    diamonds[:200].to_csv(more, index=False)
    diamonds[:200].assign(cut="Superb").to_csv(unknown, index=False)
    quick = ["--lr", "0.001", "--batch-size", "16", "--optimizer", "sgd", "--seed", "0", "--epochs", "5"]
    quick += ["--confirm", "0", "--set", "run.kernel=reference"]
    out = ran("run", "study.toml", *quick, "--out", "a", "--test", str(more))
    assert "\nOn test rows: " in f"\n{out}"
    result = load_run("a")
    assert str(result.model.categories).startswith("cut (5 values; baseline 'Ideal'), color (7 values")
    names = {}
    exec(result.best().code(), names)
    fitted, loss = names["fitted"], result.frame["final_loss"].min()
    assert names["result"].loss[-1] == pytest.approx(loss)
    predicted = names["model"].predict(fitted.params, diamonds)
    assert np.mean((predicted - diamonds["price"]) ** 2) == pytest.approx(fitted.loss)
    (tmp_path / "copied.toml").write_text(result.best().to_study(), "utf-8")
    ran("run", "copied.toml", "--out", "b", "--confirm", "0")
    assert load_run("b").frame["final_loss"].min() == pytest.approx(loss)
    assert "cut (5 values; baseline &#39;Ideal&#39;)" in (tmp_path / "a" / "report.html").read_text("utf-8")
    code, _, said = sgdbench("run", "study.toml", *quick, "--out", "c", "--test", str(unknown))
    assert code == 2
    assert "unknown.csv: column 'cut' is 'Superb' in line 2; expected the values that training had: 'Ideal'" in said


def test_a_study_by_hand_names_the_column(diamonds, table):
    study = table.with_name("mine.toml")
    text = 'name = "m"\ndata = {{ path = "diamonds.csv", x = {}, y = "price" }}\nmodel.expression = "{}"\n'
    for x, model, names in (
        ('["carat", "cut"]', "w @ x + b", ("carat", "cut_fair", "cut_good", "cut_premium", "cut_very_good")),
        ('["carat", "cut_good"]', "a*carat + b*cut_good + c", ("carat", "cut_good")),
        ('["c*_*"]', "w @ x + b", None),
    ):
        study.write_text(text.format(x, model), "utf-8")
        data, _ = load_study(study).dataset()
        assert data.x_names == names or (names is None and len(data.x_names) == 17)


@pytest.mark.parametrize(
    ("x", "columns", "names"),
    [
        (["cut"], ["cut_fair", "cut_good", "cut_premium", "cut_very_good"], None),
        (["cut_g*", "carat"], ["cut_good", "carat"], None),
        (["q=cut_good"], ["cut_good"], ["q"]),
        (
            ["q=cut_[fg]*", "carat"],
            ["cut_fair", "cut_good", "carat"],
            {"q": ["cut_fair", "cut_good"], "carat": "carat"},
        ),
    ],
)
def test_names_and_wildcards_stand_for_indicators(table, x, columns, names):
    found = choose_inputs(table, x, "price", None, make_loss("squared"))
    assert (found.columns, found.names) == (columns, names)
    assert list(found.categories.levels) == ["cut"]


def test_a_model_takes_the_indicators_that_it_names(table):
    found = choose_inputs(table, None, "price", "a*carat + b*cut_very_good + d*depth + e", make_loss("squared"))
    assert found.columns == ["carat", "cut_very_good", "depth"]
    assert found.left_out["color"].startswith("texts: the model names none of color_d, color_e")


def test_which_columns_are_categories(tmp_path):
    rows = 64
    k = np.arange(rows)
    frame = pd.DataFrame(
        {
            "yes": np.where(k % 3, "yes", "no"),
            "day": np.array(["2021-03-09", "2021-03-10"])[k % 2],
            "price": np.array(["$1.50", "$2"])[k % 2],
            "name": [f"n{i}" for i in k],
            "few": [f"n{i % 31}" for i in k],
            "most": [f"n{i % 30}" for i in k],
            "rooms": np.array(["1", "2", "3+"])[k % 3],
            "case": np.array(["A", "a", "b"])[k % 3],
            "same": "x",
            "truth": np.array([True, False])[k % 2],
            "clash": np.array(["p", "q"])[k % 2],
            "clash_q": k,
            "hp": k * 1.5,
            "y": k,
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    columns, left_out, categories = usable_columns(tmp_path / "t.csv", "y")
    assert columns == ["yes", "most", "rooms", "case", "truth", "clash_q", "hp"]
    assert categories.levels["rooms"] == ("1", "2", "3+")
    assert categories.levels["yes"] == ("yes", "no")
    assert categories.of_column("case") == ["case_a", "case_b"]
    assert left_out == {
        "day": "no numbers: '2021-03-09' in line 2",
        "price": "no numbers: '$1.50' in line 2",
        "name": "more than 30 different texts",
        "few": "more than 30 different texts",
        "same": "no numbers: 'x' in line 2",
        "clash": "an indicator 'clash_q', as another column is called",
    }
    assert usable_columns(tmp_path / "t.csv", "y", no_categories=True)[0] == ["truth", "clash_q", "hp"]


def test_names_of_indicators_are_names_and_differ():
    made = Categories({"Lot Frontage": ["x", "Very Good", "very good", "+", "-"], "s": ["w", "a" * 90, "a" * 91]})
    first = ["lot_frontage_very_good", "lot_frontage_very_good_2", "lot_frontage", "lot_frontage_2"]
    assert [*made.indicators][:4] == first
    assert len(made.indicators) == len(set(made.indicators)) == 6
    assert all(Model("p*" + name + " + q", [name]).inputs == (name,) for name in made.indicators)


def test_missing_texts_are_missing_values(ran, sgdbench, diamonds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = diamonds.copy()
    frame.loc[3, "cut"] = np.nan
    frame.to_csv("gap.csv", index=False)
    given = ["fit", "gap.csv", "--y", "price", "--standardize", "--lr", "0.001", "--epochs", "1"]
    given += ["--kernel", "reference"]
    _, _, said = sgdbench(*given)
    assert "gap.csv: line 5 has no value in column 'cut' (1 of 2000 rows are incomplete)" in said
    assert said.rstrip().endswith("or leave out columns of text with --no-categories")
    assert json.loads(ran(*given, "--drop-missing", "--json"))["rows_dropped"] == 1


def test_a_value_of_held_out_rows_alone_is_no_obstacle(diamonds, tmp_path):
    frame = diamonds[["carat", "price"]].assign(cut=["rare"] + ["usual", "often", "usual"] * 666 + ["often"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    rows = load_table(tmp_path / "t.csv", ["carat", "cut"], "price")
    data, scaling = standardize(replace(rows, x=rows.x[1:], y=rows.y[1:]))
    assert scaling.x_scale[rows.x_names.index("cut_rare")] == 1.0
    assert not data.x[:, rows.x_names.index("cut_rare")].any()


@pytest.mark.parametrize("expression", ["w @ x + b", "a*carat + b*cut_good + c", "mlp(3)"])
def test_predictions_take_frames_with_texts(diamonds, table, expression):
    x = ["carat", "cut_good"] if "carat" in expression else ["carat", "cut"]
    data = load_table(table, ["carat", "cut"], "price")
    data = load_table(table, x, "price", categories=data.categories.levels)
    model = make_model_for_columns(expression, data.x_names).with_categories(data.categories)
    fitted = fit_table(model, data, standardized=True, epochs=2, lr=0.001, kernel="reference")
    at = model.predict(fitted.params, data.x)
    np.testing.assert_allclose(model.predict(fitted.params, diamonds), at)
    trained = fit(model, diamonds, diamonds["price"] / 1e4, epochs=1, lr=0.01, kernel="reference")
    np.testing.assert_array_equal(trained.predict(diamonds[["cut", "carat"]]), trained.predict(data.x))
    with pytest.raises(
        ValueError,
        match=r"^x\['cut'\] is 'Idael' \(did you mean 'Ideal'\?\) in row 7 \(counted from 0\); expected the values",
    ):
        model.predict(fitted.params, diamonds.assign(cut=diamonds["cut"].where(diamonds.index != 7, "Idael")))
    renamed = diamonds.rename(columns={"carat": "Carat (g)"})  # a heading by its name in expressions
    by_name = Model("a*carat_g + b*cut_good + c", ["carat_g", "cut_good"]).with_categories(data.categories)
    np.testing.assert_allclose(
        by_name.predict([1, 2, 3], renamed), diamonds["carat"] + 2 * (diamonds["cut"] == "Good") + 3
    )
    with pytest.raises(ValueError, match=r"^x\['cut'\] is missing in row 0"):
        model.predict(fitted.params, diamonds.assign(cut=None))
    with pytest.raises(ValueError, match=r"^x must have the column 'cut', and its columns are \['carat'\]$"):
        model.predict(fitted.params, diamonds[["carat"]])


def test_estimators_take_frames_with_texts(diamonds, reference):
    x, y = diamonds.drop(columns="price"), diamonds["price"] / 1e3
    x = x.assign(depth=(x["depth"] - 61.7) / 1.4, carat=x["carat"] - 0.8)
    found = SGDCurveRegressor(lr=0.3, optimizer="sgd", batch_size="full", epochs=1500, random_state=0).fit(x, y)
    assert found.score(x, y) == pytest.approx(reference[1], abs=1e-4)
    assert found.feature_names_in_[1] == "cut_fair"
    assert found.coef_.shape == (found.n_features_in_,) == (19,)
    by_name = SGDCurveRegressor("a*carat + b*cut_good + c", epochs=2, kernel="reference", random_state=0).fit(x, y)
    assert by_name.model_.inputs == ("carat", "cut_good")
    classes = SGDCurveClassifier(epochs=1, kernel="reference", random_state=0).fit(x, diamonds["cut"])
    assert set(classes.predict(x)) <= set(CUTS)


def test_texts_that_are_there_twice_on_average_are_categories(tmp_path):
    for rows, found in (("1,a,1\n2,a,2\n1,b,4\n2,b,3\n", ("a", "b")), ("1,a,1\n2,a,2\n1,b,4\n", None)):
        (tmp_path / "t.csv").write_text(f"x,text,y\n{rows}")
        _, left_out, categories = usable_columns(tmp_path / "t.csv", "y")
        assert (categories.levels.get("text"), "text" in left_out) == (found, found is None)
