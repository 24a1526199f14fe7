import json

import numpy as np
import pytest

from sgdbench import Model, fit
from sgdbench.data.fit_table import carry_back, fit_table
from sgdbench.data.scaling import standardize
from sgdbench.data.table import Dataset, builtin
from sgdbench.data.units import curve_in_table_units
from sgdbench.kernels.losses import make_loss

SQUARED = make_loss("squared")
CARS = builtin("auto-mpg")
PARABOLA = Model("a*hp**2 + b*hp + c", inputs=("hp",))
FULL = {"standardized": True, "batch_size": "full", "lr": 0.3, "epochs": 300}


@pytest.fixture(scope="module")
def least_squares():
    """The coefficients by NumPy, and their loss."""
    powers = np.vander(CARS.x[:, 0], 3)
    params, *_ = np.linalg.lstsq(powers, CARS.y)
    return params, np.mean((powers @ params - CARS.y) ** 2)


@pytest.fixture(scope="module")
def standardized():
    return fit_table(PARABOLA, CARS, **FULL)


def test_standardized_gradient_descent_ends_at_least_squares_in_the_tables_units(standardized, least_squares):
    params, loss = least_squares
    np.testing.assert_allclose(list(standardized.params.values()), params, rtol=1e-8)
    assert standardized.loss == pytest.approx(loss, rel=1e-10)
    assert standardized.note is None


def test_a_fit_of_standardized_columns_is_carried_back(standardized):
    data, scaling = standardize(CARS)
    result = fit(PARABOLA, data.x, data.y, batch_size="full", lr=0.3, epochs=300)
    assert carry_back(result, data, scaling).summary()["params"] == standardized.params
    assert carry_back(result, data, None).params == dict(zip("abc", result.params, strict=True))


def test_the_target_is_in_the_tables_units(least_squares):
    target = 1.01 * least_squares[1]
    fitted = fit_table(PARABOLA, CARS, target=target, **FULL)
    losses = CARS.y.var() * fitted.result.loss
    assert fitted.status == "converged"
    assert fitted.loss <= target < losses[-2]
    assert fitted.loss == pytest.approx(np.mean((np.polyval(list(fitted.params.values()), CARS.x[:, 0]) - CARS.y) ** 2))


def test_the_curve_of_several_inputs():
    x = np.random.default_rng(0).normal([3, -20], [2, 5], (50, 2))
    table = Dataset(x, x @ [2.0, 0.5] + 1, ("u", "v"), "y", "test")
    plane = Model("a*u + b*v + c", inputs=("u", "v"))
    data, scaling = standardize(table)
    params = np.linalg.lstsq(np.column_stack([data.x, np.ones(50)]), data.y)[0]
    np.testing.assert_allclose(curve_in_table_units(plane, SQUARED, scaling)(params, x), table.y)
    np.testing.assert_array_equal(curve_in_table_units(plane, SQUARED, None)(params, x), plane.predict(params, x))


def test_a_summary_of_a_diverged_fit_is_json_that_every_parser_reads():
    fitted = fit_table(PARABOLA, CARS, standardized=True, lr=1e3, epochs=50)
    summary = json.loads(json.dumps(fitted.summary(), allow_nan=False))
    assert summary["status"] == "diverged"
    assert summary["params"] == {"a": None, "b": None, "c": None}
    assert summary["loss"] is None
    assert "note" not in summary


def test_ctrl_c_keeps_what_was_reached():
    seen = []

    def impatient(result, data):
        seen.append(result)
        assert data is not CARS
        if len(seen) == 3:
            raise KeyboardInterrupt

    fitted = fit_table(PARABOLA, CARS, watch=impatient, kernel="reference", **FULL | {"epochs": 10**5})
    assert fitted.interrupted
    assert fitted.status == fitted.summary()["status"] == "interrupted"
    assert fitted.result is seen[-1]
    assert 0 < fitted.result.epochs < 10**5


def test_ctrl_c_before_there_is_anything_is_passed_on(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sgdbench.data.fit_table.kernels_fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_table(PARABOLA, CARS)
