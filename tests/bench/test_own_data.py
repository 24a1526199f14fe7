"""A user's own table: names of its columns, a study that is written for it, and a sweep without a study."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sgdbench import SGDCurveRegressor, fit
from sgdbench.analysis.advice import predicted_edge
from sgdbench.analysis.default_study import default_study
from sgdbench.commands.options import TableColumns
from sgdbench.commands.problem import load_problem
from sgdbench.data import builtin, load_table
from sgdbench.data.batches import read_batches
from sgdbench.data.columns import choose_inputs, default_expression, describe_left_out, find_inputs, usable_columns
from sgdbench.data.scaling import standardize
from sgdbench.data.units import original_units
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.column_names import column_name
from sgdbench.kernels.model.models import make_model_for_columns
from sgdbench.study.load import load_study
from sgdbench.study.schema_page import schema_page
from tests.support.constants import ROOT


@pytest.fixture
def cars(tmp_path):
    data = builtin("auto-mpg")
    frame = pd.DataFrame({"Engine Power (PS)": data.x[:, 0], "name": "x", "constant": 1.0, "mpg": data.y})
    frame.to_csv(tmp_path / "cars.csv", index=False)
    return tmp_path / "cars.csv"


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("hp", "hp"),
        ("MPG", "MPG"),
        ("Engine Power (PS)", "engine_power_ps"),
        ("Größe (cm)", "größe_cm"),
        ("скорость км/ч", "скорость_км_ч"),
        ("2nd try", "x_2nd_try"),
        ("exp", "x_exp"),
        ("x²", "x2"),
        ("__init__", "init"),
        ("%", "column"),
        ("w" * 90, "w" * 64),
        ("__import__('os')", "import_os"),
        ("max", "x_max"),
        ("Where", "Where"),
    ],
)
def test_one_rule_makes_names_of_headings(heading, name):
    assert column_name(heading) == name
    assert make_model_for_columns(f"p*{name} + q", [heading]).inputs == (name,)


def test_why_columns_are_left_out(tmp_path):
    rows = ["y,a,a,,text,void,same,late,twice", "1,2,3,4,u,?,7,5,1", "2,3,4,5,v,,7,?,-2", "3,4,5,6,w,NA,7,6,z"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert usable_columns(tmp_path / "t.csv", "y")[:2] == (
        ["late"],  # in which a value is missing: without it the row is refused or dropped, and counted
        {
            "a": "2 columns have this heading",
            "": "it has no heading",
            "text": "no numbers: 'u' in line 2",
            "void": "no values",
            "same": "always 7",
            "twice": "not all numbers: 'z' in line 4",
        },
    )
    assert (
        describe_left_out({"": "it has no heading", "a": "no values"}) == "a column (it has no heading), a (no values)"
    )
    many = {f"c{k}": "no values" for k in range(16)}
    assert describe_left_out(many).endswith("c11 (no values), ... and 4 more")


def test_a_column_that_numbers_the_rows_is_an_input_where_it_is_named_or_the_only_one(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("id,hp,y\n7,2,3\n5,3,4\n6,9,6\n")
    assert usable_columns(table, "y")[:2] == (["hp"], {"id": "it numbers the rows"})
    assert choose_inputs(table, None, "y", "a*id + b*hp", make_loss("squared")).columns == ["id", "hp"]
    table.write_text("index,y,Id\n1,2,5\n2,3,9\n3,9,2\n")
    assert usable_columns(table, "y")[:2] == (["Id"], {"index": "it numbers the rows"})
    table.write_text("Unnamed: 0,y,Id\n1,2,5\n2,3,9\n7,9,2\n")
    assert usable_columns(table, "y")[:2] == (["Id"], {"Unnamed: 0": "an index without a name"})
    table.write_text("index,y\n1,2\n2,3\n3,9\n")
    assert usable_columns(table, "y")[:2] == (["index"], {})


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_of_texts_are_found_together(tmp_path, monkeypatch, form):
    table, passes = tmp_path / f"t.{form}", []
    frame = pd.DataFrame({f"t{k}": ["a", "b"] for k in range(9)} | {"hp": [1.5, 2.5], "y": [1, 2]})
    frame.to_csv(table, index=False) if form == "csv" else frame.to_parquet(table)
    monkeypatch.setattr(
        "sgdbench.data.columns.read_batches", lambda *of, **how: passes.append(of) or read_batches(*of, **how)
    )
    found, left_out, _ = usable_columns(table, "y")
    assert (found, len(left_out), len(passes)) == (["hp"], 9, 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_in_python_headings_of_one_name_are_refused_where_it_is_in_use():
    frame = pd.DataFrame(np.eye(4), columns=["a b", "a-b", "c", "y"])
    x, y, settings = frame[["a b", "a-b", "c"]], frame["y"], {"epochs": 1, "kernel": "reference"}
    curve = partial(SGDCurveRegressor, random_state=0, **settings)
    for fit_one in (lambda text: fit(text, frame, "y", **settings), lambda text: curve(text).fit(x, y)):
        with pytest.raises(
            ValueError, match=r"^the columns 'a b' and 'a-b' would both be called a_b; give one of them"
        ):
            fit_one("k*a_b + d")
    for text, names in (("k*c + d", ("k", "d")), ("w @ x + k*c", ("w[a_b]", "w[a-b]", "w[c]", "k"))):
        assert curve(text).fit(x, y).model_.params == names
    assert fit("k*c + d", frame, "y", **settings).param_names == ("k", "d")
    named = frame.rename(columns={"c": "a_b"})
    assert fit("k*a_b + d", named, "y", **settings).model.inputs == ("a_b",)  # which is called so itself
    np.testing.assert_array_equal(fit("k*a_b + d", named, "y", **settings).x[0], frame["c"])


def test_a_column_is_renamed_where_the_left_side_is_a_name(tmp_path):
    (tmp_path / "t.csv").write_text("Engine Power (PS),wt,1=2,hp,a=b,b,y\n")
    found = partial(find_inputs, tmp_path / "t.csv", y="y")
    assert found(["x=Engine Power (PS)", "wt"]) == (["Engine Power (PS)", "wt"], ["x", "wt"])
    assert found(["1=2", "hp"]) == (["1=2", "hp"], None)
    assert found(["z=a=b"]) == (["a=b"], ["z"])
    assert found(["a=b"]) == (["a=b"], None)  # a heading, not the column b


def test_wildcards_name_columns_and_groups(tmp_path):
    (tmp_path / "t.csv").write_text("age,p_1,temp [C],p_2,p_10,y_p,a=b\n")
    found = partial(find_inputs, tmp_path / "t.csv", y="y_p")
    assert found(["*_[12]"]) == (["p_1", "p_2"], None)
    assert found(["temp [C]", "*p*"]) == (["temp [C]", "p_1", "temp [C]", "p_2", "p_10"], None)  # refused when read
    assert found(["years=age", "p_*"]) == (["age", "p_1", "p_2", "p_10"], ["years", "p_1", "p_2", "p_10"])
    assert found(["x=p_*", "age", "t=temp [C]"]) == (
        ["p_1", "p_2", "p_10", "age", "temp [C]"],
        {"x": ["p_1", "p_2", "p_10"], "age": "age", "t": "temp [C]"},
    )
    with pytest.raises(ValueError, match="a name of its own, and 'age' occurs twice"):
        found(["age=p_*", "age"])
    (tmp_path / "t.csv").write_text("p_1,age,p_1,y_p\n")
    assert found(["p_*"])[0] == ["p_1"]  # refused when read, as one that occurs twice


def test_the_data_of_a_study_may_have_moved(tmp_path):
    table, study = tmp_path / "t.csv", tmp_path / "t.toml"
    study.write_text("""name = "t"\ndata = { path = "gone.csv", x = "hp", y = "y" }\nmodel.expression = "a*hp + b" """)
    table.write_text("hp,y\n1,2\n2,4\n")
    found = load_problem(str(study), TableColumns(None, None, None, False), {"data.path": str(table)}, None)
    assert found.dataset()[0].y.tolist() == [2, 4]


def test_letters_of_all_scripts_are_trained(ran, tmp_path):
    (tmp_path / "größen.csv").write_text("Größe (cm);π\n1,5;3\n2,5;5\n-1;-2\n", encoding="utf-8")
    fit = ["fit", "größen.csv", "--x", "Größe (cm)", "--y", "π", "--epochs", "2000", "--json"]
    out = ran(*fit, "--model", "λ*größe_cm + β", "--kernel", "reference")
    np.testing.assert_allclose(list(json.loads(out)["params"].values()), [2, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("inputs", "expression"),
    [
        (["hp"], "a*hp + b"),
        (["a", "c"], "b*a + d*c + e"),
        ([f"c{k}" for k in range(12)], "".join(f"{'abcdefghijkl'[k]}*c{k} + " for k in range(12)) + "m"),
        ([f"c{k}" for k in range(13)], "w @ x + b"),
        (["w", "b", "x", *(f"c{k}" for k in range(10))], "v @ x + c"),
        ([*"wvubc", *(f"c{k}" for k in range(10))], "w1 @ x + b1"),
        ({"x": ["p", "q"], "age": "Age", "z": ["r"]}, "w @ x + a*age + v @ z + b"),
    ],
)
def test_the_default_model_is_a_weighted_sum(inputs, expression):
    assert default_expression(inputs, make_loss("squared")) == expression
    groups = isinstance(inputs, dict)
    columns = ["p", "q", "Age", "r"] if groups else inputs
    model = make_model_for_columns(expression, columns, inputs if groups else None)
    assert model.is_linear
    assert len(model.params) == len(columns) + 1


def test_the_default_model_of_classes_has_a_matrix():
    assert default_expression(["hp", "W"], make_loss("softmax")) == "u @ x + b"
    assert default_expression(["hp", "W"], make_loss("softmax"), "b") == "u @ x + c"
    assert default_expression(["hp", "a"], make_loss("squared"), "b") == "c*hp + d*a + e"
    assert default_expression({"x": ["p"]}, make_loss("squared"), "w") == "v @ x + b"
    assert default_expression({"x": ["p"], "age": "age"}, make_loss("softmax")) == "W @ x + a*age + b"


def test_the_default_grid_ends_at_the_predicted_edge(cars):
    made = default_study(cars, None, "mpg")
    data, _ = standardize(load_table(cars, "Engine Power (PS)", "mpg"))
    full = predicted_edge(made.study.make_model(data), data, "sgd", "full", shuffle=False, seed=0)
    rates = made.study.make_grid().lr
    assert rates.max() == pytest.approx(full, rel=0.5)
    assert rates.max() >= full * (1 - 1e-9)
    assert rates.min() <= made.edges[0] / 30
    best = np.polyfit(data.x[:, 0], data.y, 1, full=True)[1][0] / data.y.size
    assert made.study.run.target == pytest.approx(best + 0.01 * (1 - best), rel=1e-3)
    assert made.study.run.target_loss == "squared"
    cars.write_text("hp,mpg\n3,5\n")
    assert default_study(cars, ["hp"], "mpg", "w @ x + b").study.make_grid().sizes(1) == (1,)  # all rows are one


@pytest.mark.parametrize(("epochs", "schedules"), [(20, ("constant", "halve(10)")), (5, ("constant",))])
def test_epochs_are_fewer_where_they_cost_much(ran, cars, monkeypatch, capsys, epochs, schedules):
    """Of 5,000 columns, 100 epochs took ten minutes; in five nothing is halved, and half of the runs were the same."""
    monkeypatch.setattr("sgdbench.analysis.default_study.AFFORDABLE_WORK", 392 * 2 * 810 * epochs)
    ran("new", "cars.csv", "--y", "mpg")
    study = load_study("cars.toml")
    assert (study.run.epochs, study.make_grid().schedule) == (epochs, schedules)
    constant = " at constant rates" if epochs == 5 else ""
    said = f"{epochs} instead of 100{constant}, because there are 392 samples and 2 parameters."
    assert f"[run]\n# {said}\nepochs = {epochs}\n" in Path("cars.toml").read_text("utf-8")
    for settings in ({}, {"run.epochs": 3}):
        study = load_problem("cars.csv", TableColumns(None, "mpg", None, False), settings, None)
        assert study.run.epochs == settings.get("run.epochs", epochs)
        assert (f"Epochs: {said}\n" in capsys.readouterr().out) == (not settings)


@pytest.mark.parametrize(
    ("model", "places"), [("mlp(3)", "where runs start"), ("a*exp(b*x) + c*exp(d*x) + e", "or near")]
)
def test_rates_of_other_models_begin_where_runs_learn(model, places, tmp_path):
    """Not by the curvature at parameters of 1e8, near which the lowest loss may lie: there they began at 1e-20."""
    x = np.linspace(-1, 1, 60)
    y = np.exp(-2 * x) + 0.1 * np.random.default_rng(1).normal(size=60)
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
    made = default_study(tmp_path / "t.csv", None, "y", model)
    assert places in made.places
    data, rates = made.study.dataset()[0], made.study.make_grid().lr
    assert 1e-6 < rates.min() < 0.02
    assert 0.1 < rates.max() < 20
    assert len(rates) < 13
    given = {"epochs": 10, "batch_size": 4, "shuffle": True, "kernel": "reference"}
    made = made.study.make_model(data)
    ends = [[fit(made, data.x, data.y, lr=lr, seed=seed, **given).loss[-1] for seed in range(2)] for lr in rates]
    assert 0 < np.argmin(np.median(np.nan_to_num(ends, nan=np.inf), axis=1)) < len(rates) - 1


def test_a_loss_without_curvature_gets_a_wide_range(cars):
    made = default_study(cars, ["hp=Engine Power (PS)"], "mpg", "a*exp(b*hp)", loss="absolute")
    assert (made.edges, made.study.grid.lr) == (None, "log:0.001:1:9")
    assert made.study.run.target is not None


@pytest.mark.parametrize(
    ("model", "center"), [("a*hp + b", "both"), ("a*exp(b*hp)", "x"), ("V*hp/(K + hp)", "none"), ("sin(hp) + b", None)]
)
def test_columns_are_centered_only_where_that_carries_back(cars, model, center):
    made = default_study(cars, ["hp=Engine Power (PS)"], "mpg", model)
    table = made.study.data
    assert (table.center if table.standardize else None) == center
    assert bool(made.scaling) == (center != "both")
    if center is None:
        return
    data, scaling = made.study.dataset()
    params = original_units(made.study.make_model(data), made.attainable.params, scaling).params
    prediction = made.study.make_model(data).predict(params, load_table(cars, "Engine Power (PS)", "mpg").x)
    there = np.mean((prediction - load_table(cars, "Engine Power (PS)", "mpg").y) ** 2)
    assert there == pytest.approx(made.attainable.loss * scaling.y_scale**2, rel=1e-6)


def test_columns_are_centered_also_where_rounding_loses_the_parameters(tmp_path):
    seconds = 1_700_000_000 + np.arange(0, 3600, 60)
    pd.DataFrame({"t": seconds, "y": np.cos(seconds / 900)}).to_csv(tmp_path / "sensor.csv", index=False)
    made = default_study(tmp_path / "sensor.csv", ["t"], "y", "a*t**2 + b*t + c")
    assert (made.study.data.center, made.scaling) == ("both", "")


def test_columns_that_stay_as_they_are_have_the_reason(cars):
    made = default_study(cars, ["hp=Engine Power (PS)", "constant"], "mpg", "a*hp + b*constant")
    assert made.scaling.startswith("Columns stay as they are: column 'constant' must vary to be standardized: ")


def test_a_study_whose_parameters_are_called_like_columns_says_so(tmp_path, capsys):
    (tmp_path / "cars.csv").write_text("hp,name,mpg\n1,2,3\n", encoding="utf-8")
    problem = """
        name = "{0}"
        data = {{ path = "cars.csv", x = ["h*"], y = "mpg" }}
        model.expression = "a*hp + b*{0}"
        """
    study, suite = tmp_path / "study.toml", tmp_path / "suite.toml"
    study.write_text(problem.format("name"), encoding="utf-8")
    problems = "".join("[[problem]]" + problem.format(parameter) for parameter in ("name", "c"))
    suite.write_text('name = "both"\n' + problems, encoding="utf-8")
    for path in (study, suite):
        load_problem(str(path), TableColumns(None, None, None, False), {}, None)
        assert capsys.readouterr().out == "Ignored: name (a parameter has this name).\n"


@pytest.mark.parametrize("options", [[], ["--x", "z=Engine Power (PS)", "--model", "a*exp(b*z)"]])
def test_a_new_study_is_the_default_one_with_comments(ran, cars, options):
    """bench/transcripts/new.txt has the comments."""
    ran("new", "cars.csv", "--y", "mpg", *options, "--out", "deep/mine.toml")
    study = load_study(cars.parent / "deep" / "mine.toml")
    x = options[1:2] or None
    model = options[3] if options else None
    assert study == default_study(study.data.path, x, "mpg", model, name="mine").study.model_copy(
        update={"data": study.data}
    )
    assert study.dataset()[0].y.size == 392


def test_odd_names_are_data_in_a_new_study(sgdbench, tmp_path):
    odd = 'x"] # [red]\\'
    pd.DataFrame({odd: [1.0, 2, 4], "y": [1.0, 3, 2]}).to_csv(tmp_path / 'odd "name".csv', index=False)
    assert sgdbench("new", 'odd "name".csv', "--y", "y", "--out", "odd.toml")[0] == 0
    study = load_study(tmp_path / "odd.toml")
    assert (study.data.x, study.model.expression) == ([odd], "a*x_red + b")


@pytest.mark.usefixtures("no_report")
def test_a_table_is_swept_without_a_study(ran, cars):
    run = ["run", "cars.csv", "--x", "hp=Engine Power (PS)", "--y", "mpg", "--model", "a*hp + b", "--epochs", "3"]
    with cars.open("a", encoding="utf-8") as file:
        file.write(",x,1.0,20\n")
    quick = ["--seed", "0-1", "--batch-size", "16", "--optimizer", "sgd", "--set", "run.kernel=reference"]
    (cars.parent / "more.csv").write_text("Engine Power (PS),mpg\n90,30\n,20\n")
    out = ran(*run, *quick, "--drop-missing", "--test", "more.csv")
    told = "a*hp + b on cars.csv (392 samples, 1 row dropped, 1 held-out row dropped), standardized, up to 3 epochs"
    assert f"Run: 36 configurations of {told}" in out
    assert out.endswith("Report: results/cars/report.md\n")
    assert load_study(cars.parent / "results" / "cars" / "run.toml").model.inputs == ["hp"]


@pytest.mark.parametrize("given", ["cars.csv", "cars.toml", "auto-mpg"])
def test_held_out_rows_choose_the_settings_where_no_target_is_given(sgdbench, cars, studies, given):
    assert sgdbench("new", "cars.csv", "--y", "mpg")[0] == 0
    command = ["run", given, *(["--y", "mpg"] if given == "cars.csv" else []), "--validation", "0.2"]
    said = "Target: none: settings are chosen by the loss on the held-out rows; --target gives one.\n"
    assert said in sgdbench(*command)[1]
    assert (studies[-1].run.target, studies[-1].run.target_loss) == (None, None)
    assert said in sgdbench(*command, "--loss", "absolute")[1]
    assert studies[-1].run.target is None
    assert "Target" not in sgdbench(*command, "--target", "40")[1]
    assert studies[-1].run.target == pytest.approx(40 / np.var(pd.read_csv(cars)["mpg"]), rel=0.2)
    assert "Target" not in sgdbench(*command, "--set", "run.target=0.5")[1]
    assert studies[-1].run.target == 0.5
    assert sgdbench(*command[:-2], "--test", "0.2")[0] == 0
    assert studies[-1].run.target is not None


def test_the_page_of_keys_is_up_to_date_and_complete(sgdbench):
    page = schema_page()
    assert sgdbench("schema")[1] == page
    assert page in (ROOT / "bench/docs/reference/study-file.md").read_text("utf-8")
    for key in ("`path`", "`validation_path`", "`expression`", "`init`", "`refine`"):
        assert f"| {key} | " in page
    assert "|  |\n" not in page  # every key is explained
