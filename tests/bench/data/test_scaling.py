from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from sgdbench.data.scaling import Scaling, standardize
from sgdbench.data.table import Dataset, builtin
from sgdbench.data.units import describe_residual_units, original_loss, original_units, write_params
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.models import mlp

ONE_INPUT = [
    "(a*x + b)*x + c",
    "a + b*x + c*x**2 + d*x**3 + e*x**4 + f*x**5",
    "a*exp(-b*x) + c",
    "a*exp(-b*x) + c*exp(-d*x) + e",
    "exp(a)*exp(-exp(b)*x) + c",
    "a*2**(-x/t) + c",
    "a*exp(-(x - m)**2/(2*s**2)) + c",
    "a*exp(-((x - m)/s)**4) + b*x + c",
    "L/(1 + exp(-k*(x - x0))) + c",
    "L/(1 + a*exp(-k*x)) + c",
    "a*exp(-b*exp(-k*x)) + c",
    "a*tanh(k*(x - m)) + c",
    "a*sin(2*pi*x/T + p) + b*x + c",
    "a*sin(w*x) + b*cos(w*x) + c",
    "a*cos(w*x + p)*exp(-k*x) + c",
    "V*x/(K + x) + c",
    "(a + b*x)/(1 + c*x)",
    "a/(1 + ((x - m)/s)**2) + c",
    "a*sqrt((x - m)**2 + 1/s**2) + c",
    "a*log(1 + exp(k*(x - m))) + c",
    "a*abs(x - m) + b*x + c",
    "max(a*x + b, c*x + d)",
    "where(x < m, a*x + b, c)",
    "a*min(x, m) + b*x + c*erf(k*(x - m)) + d",
    "a*sigmoid(k*(x - m)) + c",
    # More parameters than the curve needs.
    "a*b*x + c",
    "(a + b)*x + a - b + c",
    "a*exp(b*x + d) + c",
    "a*exp(b*(x - d)) + c",
]
TWO_INPUTS = [
    "a*x1**2 + b*x1*x2 + c*x2**2 + d*x1 + e*x2 + f",
    "a*(x1 + x2) + b*(x1 - x2) + c",
    "a*exp(-b*x1 - c*x2) + d",
    "a*tanh(w @ x + b) + c",
    "a*exp(w @ x) + c",
]
TWO, THREE = ["x1", "x2"], ["x1", "x2", "x3"]
GROUPS = {"x": THREE, "age": "x4", "z": ["x5"]}
CARRIED = [
    *map(Model, ONE_INPUT),
    *(Model(text, TWO) for text in TWO_INPUTS),
    Model("w @ x + b", [f"x{k}" for k in range(40)]),
    Model("w @ x + a*age + v @ z + b", GROUPS),
    Model("(w @ x + b)*(v @ z + c)*(a*age + d) + e", GROUPS),
    mlp(4, inputs=THREE),
    mlp(3, "relu", inputs=THREE),
    Model("b + v @ sin(W @ x + c*age + d)", {"x": TWO, "age": "x3"}, hidden=2),
]
NOT_CARRIED = [
    *map(Model, ["a*x", "a*x**b", "a*exp(b*x)", "L/(1 + exp(-k*(x - x0)))", "V*x/(K + x)"]),
    Model("a*exp(-((x1 - m)**2 + (x2 - n)**2)/s) + c", TWO),
    Model("w @ x + sqrt(age**2 + a**2) + b", {"x": TWO, "age": "x3"}),
    Model("w @ x", TWO),
    Model("v @ tanh(W @ x)", TWO, hidden=2),
    # Algebra would take minutes.
    Model("(a*x + b)**64 + c"),
    Model("*".join(f"(x + a{i})" for i in range(20))),
    Model("tanh(a)*exp(a)*x + c"),
    Model("(a**64)**64*x + c"),
]


def random_scaling(rng, inputs):
    scale = np.exp(rng.normal(size=inputs))
    return Scaling(3 * scale * rng.normal(size=inputs), scale, 10 * rng.normal(), np.exp(rng.normal()))


def assert_same_curve(model, params, theta, scaling):
    """Both parameter vectors give one curve, at points that `original_units` does not look at."""
    x = scaling.x_mean + scaling.x_scale * np.random.default_rng(99).uniform(-3, 3, size=(50, len(model.inputs)))
    expected = scaling.y_mean + scaling.y_scale * model.predict(theta, (x - scaling.x_mean) / scaling.x_scale)
    assert_allclose(model.predict(params, x), expected, rtol=1e-8, atol=1e-8 * scaling.y_scale)


@pytest.mark.parametrize("model", CARRIED, ids=lambda model: model.expression)
def test_parameters_of_the_same_curve_in_original_units(model):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        theta = rng.choice([-1, 1], len(model.params)) * rng.uniform(0.1, 3, len(model.params))
        scaling = random_scaling(rng, len(model.inputs))
        result = original_units(model, theta, scaling)
        assert result.reason is None
        assert_same_curve(model, result.params, theta, scaling)


@pytest.mark.parametrize("model", NOT_CARRIED, ids=lambda model: model.expression)
def test_models_whose_family_does_not_contain_that_curve(model):
    rng = np.random.default_rng(0)
    theta, scaling = rng.uniform(0.3, 0.7, len(model.params)), random_scaling(rng, len(model.inputs))
    result = original_units(model, theta, scaling)
    assert result.params is None
    assert result.reason == (
        f"No parameters of {model.expression} were found that give the fitted curve in original units; "
        "fit without standardizing to get them."
    )


@pytest.mark.parametrize("model", [Model("W @ x + b", ["x1", "x2"]), mlp(5, inputs=["x1", "x2"])], ids=str)
def test_scores_of_classes_are_carried_back(model):
    rng = np.random.default_rng(5)
    model = model.with_classes(4)
    theta, scaling = rng.normal(size=len(model.params)), replace(random_scaling(rng, 2), y_mean=0.0, y_scale=1.0)
    assert_same_curve(model, original_units(model, theta, scaling).params, theta, scaling)


def test_weights_in_the_table_units_are_those_of_linear_regression():
    x, y = load_diabetes(return_X_y=True)
    data, scaling = standardize(Dataset(x, y, tuple(f"x{k}" for k in range(10)), "y", "here"))
    trained, judge = LinearRegression().fit(data.x, data.y), LinearRegression().fit(x, y)
    model = Model("w @ x + b", data.x_names)
    found = original_units(model, [*trained.coef_, trained.intercept_], scaling).params
    assert_allclose(found, [*judge.coef_, judge.intercept_], rtol=1e-9)


def test_inputs_that_do_not_vary_are_centered_where_that_is_accepted():
    x = np.column_stack([np.full(5, 0.1), np.arange(5.0)])
    data = Dataset(x, np.arange(5.0), ("same", "x"), "y", "here", validation=(x[:2] + 1, np.zeros(2)))
    scaled, scaling = standardize(data, constant=True)
    assert_array_equal(scaled.x[:, 0], 0.0)
    assert_array_equal(scaled.validation[0][:, 0], 1.0)
    assert (scaling.x_mean[0], scaling.x_scale[0]) == (0.1, 1.0)
    assert_allclose(scaled.x[:, 1], StandardScaler().fit_transform(x)[:, 1])
    with pytest.raises(ValueError, match="column 'same' must vary in the rows that are trained on to be standardized"):
        standardize(data)


@pytest.mark.parametrize("width", [0.5, -0.5])
def test_of_two_solutions_the_one_with_the_fitted_sign(width):
    model = Model("a*exp(-(x - m)**2/(2*s**2)) + c")
    scaling = Scaling(np.array([100.0]), np.array([40.0]), 20.0, 8.0)
    a, m, s, c = original_units(model, [2.0, -1.0, width, 0.25], scaling).params
    assert_allclose([a, m, s, c], [16, 60, 40 * width, 22], rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "theta"),
    [("a*x**5 + b*x**4 + c*x**3 + d*x**2 + e*x + f", [1, -2, 3, -4, 5, -6]), ("a*exp(-b*x) + c", [1, 3, 1])],
)
def test_calendar_years_lose_some_models_to_rounding(text, theta):
    years = Scaling(np.array([2010.0]), np.array([5.0]), 20.0, 8.0)
    result = original_units(Model(text), theta, years)
    assert result.params is None
    assert result.reason == (
        f"The parameters of {text} in original units are lost to rounding, because they are too large or cancel "
        "too much; fit without standardizing, or subtract a round number from x first."
    )


def test_the_input_that_is_farthest_from_zero_is_named_where_rounding_loses_the_parameters():
    numbers = Scaling(np.array([20.0, 1e15]), np.array([5.0, 900.0]), 0.0, 1.0)
    reason = original_units(Model("a*age + b*number + c", ("age", "number")), [1, 1, 1], numbers).reason
    assert reason.endswith("or subtract a round number from number first.")


@pytest.mark.parametrize(("begin", "digits"), [(0.0, 6), (1.7e9, 12)])  # seconds since 1970
def test_parameters_are_written_with_digits_enough_for_the_curve(begin, digits):
    model, x = Model("a*x + b"), begin + np.arange(0.0, 3600.0, 20.0)
    _, scaling = standardize(Dataset(x[:, np.newaxis], np.sin(x), ("x",), "y", "sensor"))
    params = original_units(model, [0.9876543210123, 0.0123456789012], scaling).params
    written = write_params(model, params, scaling, 6)
    assert max(len(text.strip("-0.").replace(".", "")) for text in written) == digits
    assert_allclose(model.predict(np.array(written, float), x), model.predict(params, x), atol=3e-5 * scaling.y_scale)


def test_a_diverged_fit_has_no_parameters_in_any_units():
    scaling = random_scaling(np.random.default_rng(0), 1)
    result = original_units(Model("a*x + b"), [np.nan, 1.0], scaling)
    assert (result.params, result.reason) == (None, "The fitted parameters are not finite.")


def test_standardize_is_scikit_learns_scaler():
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(50, 9, (100, 3)), rng.normal(-3, 0.1, 100), ("u", "v", "w"), "y", "here", dropped=2)
    standardized, scaling = standardize(data)
    scaler = StandardScaler().fit(np.column_stack([data.x, data.y]))
    expected = scaler.transform(np.column_stack([data.x, data.y]))
    assert_allclose(np.column_stack([standardized.x, standardized.y]), expected, atol=1e-12)
    assert_allclose([*scaling.x_mean, scaling.y_mean], scaler.mean_, rtol=1e-14)
    assert_allclose([*scaling.x_scale, scaling.y_scale], scaler.scale_, rtol=1e-12)
    assert standardized.x.flags.c_contiguous
    assert (standardized.x_names, standardized.y_name, standardized.dropped) == (("u", "v", "w"), "y", 2)


def test_labels_are_not_standardized():
    y = np.array([0.0, 1.0, 1.0, 0.0])
    data = Dataset(np.eye(4), y, tuple("uvwx"), "y", "here", classes=Classes(("no", "yes")))
    standardized, scaling = standardize(data)
    assert_array_equal(standardized.y, y)
    assert (scaling.y_mean, scaling.y_scale) == (0.0, 1.0)


def test_original_loss_is_the_mean_squared_error_there():
    data = builtin("auto-mpg")
    standardized, scaling = standardize(data)
    guess = np.sin(standardized.x[:, 0])
    loss = np.mean((guess - standardized.y) ** 2)
    there = np.mean((scaling.y_mean + scaling.y_scale * guess - data.y) ** 2)
    squared, absolute, huber = map(make_loss, ("squared", "absolute", "huber"))
    assert_allclose(original_loss([loss, 4 * loss], scaling, squared), [there, 4 * there])
    assert_array_equal(original_loss(np.inf, scaling, squared), np.inf)
    assert_array_equal(original_loss(loss, None, squared), loss)
    deviation = np.mean(np.abs(guess - standardized.y))
    there = np.mean(np.abs(scaling.y_mean + scaling.y_scale * guess - data.y))
    assert_allclose(original_loss(deviation, scaling, absolute), there)
    assert_array_equal(original_loss(loss, scaling, huber), loss)  # its delta is in units of training
    assert [bool(describe_residual_units(one, scaling)) for one in (squared, absolute, huber)] == [False, False, True]
    assert describe_residual_units(make_loss("poisson"), scaling) == describe_residual_units(huber, None) == ""
    assert ": 1 of these is 93,050 in the units of y. " in describe_residual_units(huber, Scaling([], [], 0, 93052.6))


@pytest.mark.parametrize("center", ["x", "y", "none"])
def test_what_is_not_centered_gets_a_root_mean_square_of_1(center):
    data = builtin("auto-mpg")
    scaled, scaling = standardize(data, center=center)
    for column, name in ((scaled.x[:, 0], "x"), (scaled.y, "y")):
        assert_allclose(np.mean(column**2), 1)
        assert abs(np.mean(column)) < 1e-12 if name == center else np.mean(column) > 0.5
    assert_allclose(scaling.x_mean + scaling.x_scale * scaled.x, data.x)
    assert_allclose(scaling.y_mean + scaling.y_scale * scaled.y, data.y)
