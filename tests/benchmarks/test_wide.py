"""Tables of many columns: a thousand logistic regressions of 30 columns, end to end, and softmax regressions of 64.

scikit-learn trains one configuration after the other, so it is given twenty of them. PyTorch makes the scores of all
classes and runs by one matrix product; the form of the registry, which test_variants.py times, takes any model.
"""

import numpy as np
import pytest

from sgdbench import Grid, sweep
from sgdbench.data import builtin

EPOCHS, DIGIT_EPOCHS = 100, 30


@pytest.fixture(scope="module")
def tumours():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


@pytest.fixture(scope="module")
def digits():
    data = builtin("digits")
    return data.x / 16, data.y.astype(int)


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


@pytest.mark.benchmark(group="digits, softmax regression in batches of 32: time of a sample-update")
def test_digits_pytorch(benchmark, timed, digits):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, y = digits
    whole, count = y.size - y.size % 32, 128 if benchmark.enabled else 4
    factor = torch.tensor(np.geomspace(1e-2, 1, count) / 32)
    rows, labels = torch.tensor(np.column_stack([x, np.ones(y.size)])), torch.tensor(np.eye(10)[y])[:, :, None]

    def scores(theta, inputs):
        return (inputs @ theta).view(-1, 10, count)

    def mean_loss(theta):
        total = torch.zeros(count, dtype=torch.float64)
        for inputs, ones in zip(rows.split(32), labels.split(32), strict=True):
            found = scores(theta, inputs)
            total += (found.logsumexp(1) - (found * ones).sum(1)).sum(0)
        return total / y.size

    def run():
        theta, losses = torch.zeros(65, 10 * count, dtype=torch.float64), []
        with torch.inference_mode():
            for _ in range(DIGIT_EPOCHS):
                order = torch.randperm(y.size)[:whole]
                for inputs, ones in zip(rows[order].split(32), labels[order].split(32), strict=True):
                    powers = scores(theta, inputs)
                    powers.sub_(powers.amax(1, keepdim=True)).exp_()
                    slopes = powers.mul_(factor / powers.sum(1, keepdim=True)).addcmul_(ones, factor, value=-1)
                    theta.addmm_(inputs.T, slopes.view(32, -1), alpha=-1)
                losses.append(mean_loss(theta))
        return losses

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run()[-1].min() < 0.2
        timed(run, items=count * DIGIT_EPOCHS * whole)
    finally:
        torch.set_num_threads(threads)
