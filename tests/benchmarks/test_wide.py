"""Tables of many columns, end to end: a thousand logistic regressions of 30 columns, and softmax regressions of 64.

scikit-learn trains one configuration after the other, so it is given twenty of them; JAX and PyTorch train all as one
array, with gradients by hand.
"""

import numpy as np
import pytest

from bench import Grid, sweep
from bench.data import builtin

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

    def train():
        return sweep("w @ x + b", x, y, grid, loss="logistic", epochs=EPOCHS, record="epoch", confirm=0)

    assert len(train().frame) == count
    timed(train, items=count * EPOCHS * y.size)


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
@pytest.mark.parametrize("kernel", ["lanes", pytest.param("lanes-fma", marks=pytest.mark.measured_only)])
def test_digits_sgdbench(benchmark, timed, digits, kernel):
    x, y = digits
    count = 128 if benchmark.enabled else 4
    grid = Grid(lr=f"log:1e-2:1:{count}", init="zero", batch_size=32, shuffle=True)
    settings = {"loss": "softmax", "epochs": DIGIT_EPOCHS, "record": "epoch", "confirm": 0, "kernel": kernel}

    def train():
        return sweep("W @ x + b", x, y, grid, **settings)

    assert train().frame["final_loss"].min() < 0.2
    timed(train, items=count * DIGIT_EPOCHS * (y.size - y.size % 32))


@pytest.mark.benchmark(group="digits, softmax regression in batches of 32: time of a sample-update")
def test_digits_jax(benchmark, timed, digits):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y = digits
    whole, count = y.size - y.size % 32, 128 if benchmark.enabled else 4
    rates = jnp.asarray(np.geomspace(1e-2, 1, count))
    # The constant is the weight of a column of ones: one matrix product makes the scores of all classes and runs.
    rows, labels = jnp.asarray(np.column_stack([x, np.ones(y.size)])), jnp.asarray(np.eye(10)[y])

    def scores(theta, inputs):
        return (theta @ inputs.T).reshape(10, count, -1)

    def sum_losses(theta, inputs, ones):
        found = scores(theta, inputs)
        return jnp.sum(jax.nn.logsumexp(found, axis=0) - jnp.sum(found * ones.T[:, None], axis=0), axis=1)

    def mean_loss(theta):
        # In pieces that the processor's cache holds, and the rest.
        pieces = [part[:whole].reshape(-1, 32, part.shape[1]) for part in (rows, labels)]
        sums = jax.lax.map(lambda piece: sum_losses(theta, *piece), pieces)
        return (sums.sum(axis=0) + sum_losses(theta, rows[whole:], labels[whole:])) / y.size

    def step(theta, batch):
        inputs, ones = batch
        slopes = (jax.nn.softmax(scores(theta, inputs), axis=0) - ones.T[:, None]) * (rates / 32)[:, None]
        return theta - slopes.reshape(-1, 32) @ inputs, None

    @jax.jit
    def train(theta, key):
        def epoch(theta, key):
            order = jax.random.permutation(key, y.size)[:whole].reshape(-1, 32)
            theta, _ = jax.lax.scan(step, theta, (rows[order], labels[order]))
            return theta, mean_loss(theta)

        return jax.lax.scan(epoch, theta, jax.random.split(key, DIGIT_EPOCHS))

    start = jnp.zeros((10 * count, 65))

    def run():
        return jax.block_until_ready(train(start, jax.random.PRNGKey(0)))

    assert run()[1][-1].min() < 0.2
    timed(run, items=count * DIGIT_EPOCHS * whole)


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
