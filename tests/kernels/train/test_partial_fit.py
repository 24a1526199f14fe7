"""partial_fit(): the epochs of a run one by one, from its state."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Model, fit
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.model.sample_weight import WeightedModel
from sgdbench.kernels.train.partial_fit import RunState, partial_fit, start_run

NAMES = tuple(f"x{number}" for number in range(1, 13))
X = np.random.default_rng(0).standard_normal((30, 12))
CLASSES = np.arange(30.0) % 3

CLASSIFIER = Model("W @ x + b", NAMES, classes=3)


# Calls of one kernel that is compiled elsewhere too; what is kept from call to call is handed to all in the same way.
@pytest.mark.parametrize(
    ("model", "loss", "optimizer", "batch_size", "shuffle", "kernel"),
    [
        (Model("w @ x + b", NAMES), "logistic", "adam", 8, True, "reference"),
        *((CLASSIFIER, "softmax", "sgd", *order, "fused") for order in ((1, True), (7, False))),
        (make_model("mlp(4)", NAMES).with_classes(3), "softmax", "sgd", 7, True, "reference"),
        (Model("(u @ x)*(v @ x) + a*x1**2", NAMES), "logistic", "averaged(polyak)", 8, "blocks(size=9, buffer=20)",
         "reference"),
    ],
)  # fmt: skip
def test_models_with_vectors_have_the_bits_of_fit(model, loss, optimizer, batch_size, shuffle, kernel):
    settings = {"optimizer": optimizer, "loss": loss, "batch_size": batch_size, "shuffle": shuffle, "kernel": kernel}
    settings |= {"lr": 0.05, "seed": 3, "drop_last": False}
    y = np.minimum(CLASSES, 1) if loss == "logistic" else CLASSES
    whole = fit(model, X, y, epochs=3, **settings)
    state, losses = start_run(model, model.draw_start(3), optimizer), []
    for _ in range(3):
        state, loss_after = partial_fit(model, X, y, state, **settings)
        losses.append(loss_after)
    np.testing.assert_array_equal(state.params, whole.params)
    np.testing.assert_array_equal(state.memory, whole.memory)
    np.testing.assert_array_equal(losses, whole.loss[1:])


def test_a_call_need_not_have_all_classes():
    """An epoch without shuffling is the epochs of its parts, one after the other."""
    model, settings = CLASSIFIER, {"loss": "softmax", "lr": 0.1, "kernel": "reference"}
    start = start_run(model, model.draw_start(0))
    first, _ = partial_fit(model, X[:20], CLASSES[:20] % 2, start, **settings)
    parts, _ = partial_fit(model, X[20:], CLASSES[20:], first, **settings)
    whole, _ = partial_fit(model, X, [*CLASSES[:20] % 2, *CLASSES[20:]], start, **settings)
    np.testing.assert_array_equal(parts.params, whole.params)


def test_a_weight_is_a_factor_on_the_step_through_a_hidden_layer():
    """By the reference; tests/kernels/test_equality.py holds the kernels against it.

    Without one, weights are those of scikit-learn: tests/bench/estimators/test_classifier.py.
    """
    model, settings = make_model("mlp(4)", NAMES).with_classes(3), {"lr": 0.1, "kernel": "reference"}
    state = start_run(model, model.draw_start(0))
    weighted, _ = partial_fit(WeightedModel(model), [[*X[4], 2.5]], [1], state, loss="softmax", **settings)
    alone, _ = partial_fit(model, X[4:5], [1], state, loss="softmax", **settings | {"lr": 0.25})
    np.testing.assert_allclose(weighted.params, alone.params, rtol=1e-13)
    assert not np.array_equal(alone.params, state.params)


def test_weights_stay_where_fit_gives_a_model_the_scores_of_classes():
    weights = np.random.default_rng(1).uniform(0, 3, 30)
    model, settings = Model("W @ x + b", NAMES), {"loss": "softmax", "kernel": "reference", "epochs": 2}
    one, three = (
        fit(WeightedModel(each), np.column_stack([X, weights]), CLASSES, **settings)
        for each in (model, model.with_classes(3))
    )
    np.testing.assert_array_equal(one.params, three.params)
    assert not np.array_equal(one.params, fit(model, X, CLASSES, **settings).params)


def test_a_state_of_whole_numbers_is_one_of_floats():
    """Such as one that was read from a file: parameters came out rounded to whole numbers."""
    model, settings = Model("w @ x + b", NAMES), {"optimizer": "momentum", "kernel": "reference"}
    whole, floats = (
        partial_fit(model, X, X[:, 0], state, **settings)
        for state in (RunState([0] * 13, [0] * 13, 0), start_run(model, np.zeros(13), "momentum"))
    )
    np.testing.assert_array_equal(whole[0].params, floats[0].params)
    assert whole[1] == floats[1] > 0


def test_states_and_rows_that_are_none_are_refused():
    model, frame = Model("w @ x + b", NAMES), pd.DataFrame(X, columns=NAMES)
    state = start_run(model, np.zeros(13))
    for epochs in (-1, 1.5):
        with pytest.raises(ValueError, match="the epochs of the state must be a whole number of at least 0, not "):
            partial_fit(model, X, X[:, 0], state._replace(epochs=epochs), kernel="reference")
    with pytest.raises(ValueError, match="x and y must be in the same order, but their indexes differ"):
        partial_fit(model, frame, frame["x1"][::-1], state, kernel="reference")
