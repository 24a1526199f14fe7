"""Edges of stability of scores of classes, held against the whole Hessian."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine

from sgdbench import Model, fit
from sgdbench.analysis.curvature import edges_at
from sgdbench.data.scaling import standardize
from sgdbench.data.table import Dataset
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import mlp

SOFTMAX = make_loss("softmax")


@pytest.fixture(scope="module")
def wine():
    x, y = load_wine(return_X_y=True)
    table = Dataset(x, y.astype(float), tuple(f"x{k}" for k in range(13)), "y", "wine")
    return standardize(table, targets=False)[0]


def hessian(x, probabilities):
    """Return the Hessian of the mean log loss by the weights and the constants, class by class."""
    design = np.column_stack([x, np.ones(len(x))])
    classes = probabilities.shape[1]
    blocks = [
        [
            design.T @ (design * (probabilities[:, j] * ((j == k) - probabilities[:, k]))[:, np.newaxis]) / len(x)
            for k in range(classes)
        ]
        for j in range(classes)
    ]
    return np.block(blocks)


def test_the_edge_of_full_batches_at_the_start_is_that_of_the_hessian(wine):
    model = Model("W @ x + b", wine.x_names, classes=3)
    single, full = edges_at(model, SOFTMAX, wine, np.zeros(42))
    largest = np.linalg.eigvalsh(hessian(wine.x, np.full((178, 3), 1 / 3))).max()
    assert full == pytest.approx(2 / largest, rel=1e-6)
    assert single < full


def test_the_edge_elsewhere_is_not_above_that_of_the_hessian(wine):
    model = Model("W @ x + b", wine.x_names, classes=3)
    params = np.random.default_rng(0).normal(size=42)
    full = edges_at(model, SOFTMAX, wine, params)[1]
    largest = np.linalg.eigvalsh(hessian(wine.x, SOFTMAX.mean_of(model.predict(params, wine.x)))).max()
    assert 0.3 * 2 / largest < full <= 2 / largest * (1 + 1e-9)


def test_scores_with_a_hidden_layer_have_no_edge(wine):
    model = mlp(2, inputs=wine.x_names, classes=3)
    assert edges_at(model, SOFTMAX, wine, np.ones(len(model.params))) is None


def test_single_samples_of_many_parameters_have_a_bound_that_is_stable_in_any_order():
    x, y = load_digits(return_X_y=True)
    table = Dataset(x[:300] / 16, y[:300].astype(float), tuple(f"x{k}" for k in range(64)), "y", "digits")
    model = Model("w @ x + b", table.x_names)
    single, full = edges_at(model, make_loss("squared"), table, np.zeros(65))
    design = np.column_stack([table.x, np.ones(300)])
    assert single == pytest.approx(2 / np.max(np.sum(design**2, axis=1)), rel=1e-12)
    assert full == pytest.approx(2 / np.linalg.eigvalsh(design.T @ design / 300).max(), rel=1e-9)
    stable = fit(model, table.x, table.y, lr=single, epochs=50, shuffle=True, kernel="reference")
    assert stable.loss[-1] < stable.loss[0]


@pytest.mark.parametrize(("scale", "edges"), [(1e200, (0.0, 0.0)), (1e-200, None)])
def test_no_rate_is_stable_where_curvature_is_too_large_for_a_float_and_every_one_where_it_is_too_small(scale, edges):
    table = Dataset(scale * np.arange(1.0, 4.0).reshape(-1, 1), np.arange(3.0), ("x",), "y", "large or small")
    assert edges_at(Model("a*x"), make_loss("squared"), table, np.zeros(1)) == edges
