"""A table of many columns, end to end: a thousand logistic regressions of 30 columns.

scikit-learn trains one configuration after the other, so it is given twenty of them.
"""

import numpy as np
import pytest

from bench import Grid, sweep

EPOCHS = 100


@pytest.fixture(scope="module")
def tumours():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


@pytest.mark.benchmark(group="breast cancer, logistic regression: time of a sample-update")
def test_breast_cancer_sgdbench(benchmark, timed, tumours):
    x, y = tumours
    count = 1000 if benchmark.enabled else 4
    grid = Grid(lr=f"log:1e-4:1e-1:{count}", init="zero", shuffle=True)
    # Untimed, without seconds of compiling.
    kernel, epochs = ("lanes", EPOCHS) if benchmark.enabled else ("reference", 1)
    settings = {"loss": "logistic", "epochs": epochs, "record": "epoch", "confirm": 0, "kernel": kernel}

    def train():
        return sweep("w @ x + b", x, y, grid, **settings)

    assert len(train().frame) == count
    timed(train, items=count * epochs * y.size)


@pytest.mark.benchmark(group="breast cancer, logistic regression: time of a sample-update")
def test_breast_cancer_scikit_learn(benchmark, timed, tumours):
    from sklearn.linear_model import SGDClassifier

    x, y = tumours
    rates = np.geomspace(1e-4, 1e-1, 20 if benchmark.enabled else 2)

    def train():
        for rate in rates:
            model = SGDClassifier(
                loss="log_loss", penalty=None, learning_rate="constant", eta0=rate, max_iter=EPOCHS, tol=None
            )
            model.fit(x, y)

    train()
    timed(train, items=rates.size * EPOCHS * y.size)
