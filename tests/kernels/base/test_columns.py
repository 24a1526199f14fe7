"""Inputs by name: data frames and mappings, whatever the order of their columns, and what is missing in them."""

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sgdbench import Model, fit, models
from tests.support.refusals import refusal_of

N = 40
POWER, WEIGHT = np.random.default_rng(6).standard_normal((2, N))
MODEL = Model("a*power + b*weight + c", inputs=("power", "weight"))
Y = 3 * POWER - WEIGHT + 0.5
IN_ORDER = np.stack([POWER, WEIGHT], axis=1)
# The columns in another order, and one that is no input, nor numbers.
COLUMNS = {"weight": WEIGHT, "name": ["car"] * N, "power": POWER}
TABLES = {
    "dict": COLUMNS,
    "dict of lists": {name: list(column) for name, column in COLUMNS.items()},
    "data frame": pd.DataFrame(COLUMNS),
    "data frame with another index": pd.DataFrame(COLUMNS, index=range(N, 0, -1)),
    "nullable": pd.DataFrame(COLUMNS).astype({"power": "Float64", "weight": "Float64"}),
    "arrow": pa.table(COLUMNS),
}


@pytest.fixture(params=TABLES)
def table(request):
    return TABLES[request.param]


def test_a_fit_is_that_of_the_columns_in_the_order_of_the_inputs(table):
    """Held-out samples may be a table too."""
    settings = {"init": [0, 0, 0], "lr": 0.05, "kernel": "reference"}
    expected, run = (fit(MODEL, x, Y, validation=(x, Y), **settings) for x in (IN_ORDER, table))
    for name in ("trajectory", "validation_loss"):
        np.testing.assert_array_equal(getattr(run, name), getattr(expected, name))
    np.testing.assert_allclose(run.params, [3, -1, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(run.predict(table), expected.predict(IN_ORDER))
    np.testing.assert_array_equal(MODEL.design_matrix(table), np.stack([POWER, WEIGHT, np.ones(N)], axis=1))


@pytest.mark.parametrize("table", ["dict", "arrow"], indirect=True)
def test_a_sweep_takes_names_too(table):
    from sgdbench import Grid, sweep

    grid, asked = Grid(lr=[0.01, 0.05], init={"origin": [0, 0, 0]}), {"epochs": 2, "kernel": "reference", "confirm": 0}
    by_name, by_place = (sweep(MODEL, x, Y, grid, **asked).frame for x in (table, IN_ORDER))
    pd.testing.assert_frame_equal(by_name, by_place)


def test_a_name_of_targets_is_that_of_a_column_which_is_no_input_then():
    from sgdbench import Grid, Space, sweep, tune

    numbers = {"weight": WEIGHT, "y": Y, "power": POWER}
    asked = {"init": [0, 0, 0], "epochs": 2, "kernel": "reference"}
    expected = fit("w @ x + b", {"weight": WEIGHT, "power": POWER}, Y, **asked)
    for given in (numbers, pd.DataFrame(numbers), pa.table(numbers)):
        run = fit("w @ x + b", given, "y", **asked)
        np.testing.assert_array_equal(run.params, expected.params)
        assert run.param_names == ("w[weight]", "w[power]", "b")
    frame = pd.DataFrame(numbers)
    np.testing.assert_array_equal(fit("w @ x + b", frame, frame["y"], **asked).params, expected.params)
    for called in ([0, 1, 2], pd.MultiIndex.from_tuples([("in", "weight"), ("out", "y"), ("in", "power")])):
        other = frame.set_axis(called, axis=1)
        np.testing.assert_array_equal(fit("w @ x + b", other, other[called[1]], **asked).params, expected.params)
    parts = [{"weight": WEIGHT[rows], "power": POWER[rows]} for rows in (slice(10, N), slice(10), slice(5))]
    ours = fit("w @ x + b", frame[10:], "y", **asked, validation=(frame[:10], "y"), test=(frame[:5], frame["y"][:5]))
    held_out = {"validation": (parts[1], Y[:10]), "test": (parts[2], Y[:5])}
    theirs = fit("w @ x + b", parts[0], Y[10:], **asked, **held_out)
    np.testing.assert_array_equal(ours.validation_loss, theirs.validation_loss)
    assert ours.test_loss == theirs.test_loss
    grid, space = Grid(lr=[0.1], init=[0, 0, 0]), Space(lr="log:0.1:0.2", init=[0, 0, 0])
    swept = sweep("w @ x + b", numbers, "y", grid, epochs=2, kernel="reference", confirm=0)
    tuned = tune("w @ x + b", numbers, "y", space, trials=2, epochs=2, kernel="reference", confirm=0)
    assert swept.best().refit(numbers, "y", kernel="reference").loss[-1] == expected.loss[-1]
    assert tuned.best().refit(numbers, "y", kernel="reference").model.params == expected.model.params


def test_the_columns_of_a_frame_may_be_called_by_numbers():
    run = fit("w @ x + b", pd.DataFrame(IN_ORDER), Y, epochs=2, kernel="reference")
    np.testing.assert_array_equal(run.params, fit("w @ x + b", IN_ORDER, Y, epochs=2, kernel="reference").params)
    np.testing.assert_array_equal(run.predict(pd.DataFrame(IN_ORDER)[[1, 0]]), run.predict(IN_ORDER))
    assert [*run.coef("w").index] == ["0", "1"]


def test_a_plot_takes_names_too():
    run = fit("linear", {"x": POWER}, Y, init=[0, 0], epochs=2, kernel="reference")
    table = {"no": ["numbers"] * N, "x": POWER, "y": Y}
    by_name, of_y, by_place = (run.plot(x, y).axes[0] for x, y in ((table, Y), (table, "y"), (POWER, Y)))
    for one, two, other in zip(by_name.get_lines(), of_y.get_lines(), by_place.get_lines(), strict=True):
        np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())
        np.testing.assert_array_equal(two.get_xydata(), other.get_xydata())


def test_a_series_and_an_array_have_no_names():
    for x in (pd.Series(POWER, name="power"), pd.Series(POWER, index=["columns", *range(N - 1)]), POWER):
        np.testing.assert_array_equal(models.linear.columns(x), [POWER])


def test_the_inputs_of_an_expression_are_the_columns_that_it_names(table):
    run = fit("a*power + b*weight + c", table, Y, init=[0, 0, 0], lr=0.05, kernel="reference", epochs=2)
    expected = fit(MODEL, IN_ORDER, Y, init=[0, 0, 0], lr=0.05, kernel="reference", epochs=2)
    # The table's own order of the inputs changes no sum.
    np.testing.assert_allclose(run.params, expected.params, rtol=1e-12)
    assert run.model.inputs == ("weight", "power")


def test_an_expression_names_a_column_by_the_rule_for_headings():
    frame = pd.DataFrame({"Engine Power (PS)": POWER, "weight": WEIGHT})
    run = fit("a*engine_power_ps + b", frame, Y, init=[0, 0], kernel="reference", epochs=2)
    named = Model("a*ps + b", inputs={"ps": "Engine Power (PS)"})
    for model, inputs in (("linear", POWER), (named, frame)):
        expected = fit(model, inputs, Y, init=[0, 0], kernel="reference", epochs=2)
        np.testing.assert_array_equal(run.params, expected.params)
    assert eval(repr(named), {"Model": Model}).headings == ("Engine Power (PS)",)
    beside = fit("w @ x + a*engine_power_ps**2", frame, Y, kernel="reference", epochs=2)
    expected = fit("w @ x + a*x1**2", IN_ORDER, Y, kernel="reference", epochs=2)
    np.testing.assert_array_equal(beside.params, expected.params)
    assert beside.param_names == ("w[Engine Power (PS)]", "w[weight]", "a")


def test_no_parameter_is_called_like_the_target(tmp_path, refused):
    from sgdbench import Grid, sweep

    frame = pd.DataFrame({"u": POWER, "Mean y": Y})
    message = "the expression 'a*u + mean_y' uses 'mean_y', which is the target: give a parameter another name"
    for targets in ("Mean y", frame["Mean y"]):
        assert refusal_of(lambda y=targets: fit("a*u + mean_y", frame, y)) == message
        assert refusal_of(lambda y=targets: sweep("a*u + mean_y", frame, y, Grid(lr=0.1), epochs=1)) == message
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    asked = [path, "--x", "u", "--y", "Mean y", "--model", "a*u + mean_y"]
    for command in ("fit", "new", "run"):
        assert refused(command, *asked) == f"sgdbench: {message}\n"
    assert fit("linear", frame.set_axis(["x", "b"], axis=1), "b", epochs=1, kernel="reference").model is models.linear
    # Targets that are no column of the table have a name by chance.
    assert fit("a*u + b", frame[["u"]], pd.Series(Y, name="b"), epochs=1, kernel="reference").model.params == ("a", "b")


@pytest.mark.parametrize("expression", ["w @ x + b", "a - b + w @ x", "a*exp(w @ x + b)", "w @ x - (b + x1)"])
def test_a_column_that_is_called_like_the_constant_is_no_constant(expression):
    for heading in ("b", "(b)"):
        message = refusal_of(lambda heading=heading: fit(expression, {heading: POWER, "x1": WEIGHT}, Y))
        rest = f"is the column {heading!r}, which x holds too; a constant needs a name that no column has, such as b1"
        assert message == f"'b' in {expression!r} {rest}"
    assert "b1" in Model(expression.replace("b", "b1"), inputs=("b", "x1")).params
    told = refusal_of(lambda: Model(expression, inputs=("b", "b1", "b2", "x1")))
    assert told.endswith("such as b3")
    assert "b" not in Model(expression, inputs={"x": ["x1"], "b": "b"}).params  # which is asked for
    assert Model("w @ x + a*b", inputs=("b", "x1")).params == ("w[b]", "w[x1]", "a")


def test_indexes_that_say_nothing_of_an_order_are_accepted():
    frame, y = pd.DataFrame(COLUMNS), pd.Series(Y)
    for other in (y, y.set_axis(range(1, N + 1)), y.set_axis([0] * N)):
        fit(MODEL, frame, other, kernel="reference", epochs=1)
    kinds = pd.MultiIndex.from_product([range(N // 2), [0, 1]]), pd.array(range(N), "Int64"), list("ab" * (N // 2))
    for one, another in itertools.product([frame.index, *kinds], repeat=2):
        fit(MODEL, frame.set_axis(one), y.set_axis(another), kernel="reference", epochs=1)


@pytest.mark.parametrize("labels", [[[k] for k in range(N)], [1, *([k] for k in range(N - 2)), 2]])
def test_an_index_of_lists_is_taken_by_position(labels):
    frame, y = pd.DataFrame(COLUMNS), pd.Series(Y)
    given, index = {"kernel": "reference", "epochs": 1}, pd.Index(labels, dtype=object)
    for other in (index, index[::-1], frame.index):
        run = fit(MODEL, frame.set_axis(index), y.set_axis(other), **given)
        np.testing.assert_array_equal(run.params, fit(MODEL, frame, y, **given).params)


def test_truth_values_are_indicators():
    run, numbers = (fit("linear", x, Y, kernel="reference", epochs=1) for x in (POWER > 0, (POWER > 0) * 1.0))
    np.testing.assert_array_equal(run.params, numbers.params)
    np.testing.assert_array_equal(run.predict({"x": POWER > 0}), numbers.predict(numbers.x[0]))
