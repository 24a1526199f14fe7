import pickle
import tracemalloc

import numpy as np
import pytest

from sgdbench import Model, fit
from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.train.fit_result import mean_loss, metrics_on

LINE = Model("a*x + b")
PARAMS = np.array([3.0, 1.0])


@pytest.mark.parametrize("loss", ["squared", "huber(0.1)", "logistic"])
def test_samples_for_the_test_are_evaluated_piece_by_piece(loss):
    rng = np.random.default_rng(0)
    x = rng.normal(size=1_000_000)
    y = 3 * x + 1 + rng.normal(size=x.size)
    criterion, values = make_loss(loss), LINE.predict(PARAMS, x)
    y = (y > 0).astype(float) if loss == "logistic" else y
    if loss == "logistic":
        expected = {"accuracy": np.mean((values > 0) == y)}
    else:
        squares = np.mean((values - y) ** 2)
        expected = {"rmse": np.sqrt(squares), "r2": 1 - squares / np.var(y)}
    tracemalloc.start()
    found = {"loss": mean_loss(LINE, criterion, PARAMS, (x,), y)} | metrics_on(LINE, criterion, PARAMS, (x,), y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2
    if loss == "squared":
        expected["loss"] = squares
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_result_is_shown_in_one_short_line():
    run = fit(LINE, [1.0, 2.0], [1.0, 3.0], init=[2, -1], kernel="reference")
    assert repr(run) == "<FitResult of a*x + b: max_epochs, loss 0, a = 2, b = -1>"
    many = fit("w @ x + b", np.eye(40), np.ones(40), kernel="reference", epochs=1, loss="huber(2)")
    assert repr(many).endswith(", w[x12] = 0.0313811, ... and 29 more>")
    assert repr(many.criterion) == "<Loss huber(delta=2.0)>"


def test_the_loss_at_other_parameters_takes_names():
    run = fit(LINE, [1.0, 2.0], [1.0, 3.0], init=[2, -1], kernel="reference")
    assert run.loss_at({"b": 0, "a": 2}) == run.loss_at([2, 0]) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_result_can_be_sent_to_another_process(loss):
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    result = fit("w @ x + b", x, [0, 1, 1, 0], loss=loss, epochs=2, kernel="reference", test=0.25)
    again = pickle.loads(pickle.dumps(result))
    assert again.params.tolist() == result.params.tolist()
    assert again.test_loss == result.test_loss
    assert str(again) == str(result)


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_samples_held_out_are_predicted_as_they_are(held_out):
    """Also as many as there are inputs, which as an array would be rows."""
    x = np.random.default_rng(0).standard_normal((12, 3))
    y = (x[:, 0] > 0).astype(float)
    result = fit("w @ x + b", x, y, loss="logistic", kernel="reference", epochs=2, **{held_out: 0.25})
    columns, _ = getattr(result, held_out)
    rows = np.column_stack(columns)
    assert rows.shape == (3, 3)
    for predict in (result.predict, result.predict_mean, result.predict_class):
        np.testing.assert_array_equal(predict(columns), predict(rows))
