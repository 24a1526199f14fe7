"""Kernels of models with vectors: the bits of the reference, one run and side by side, and the gradients of PyTorch."""

import numpy as np
import pytest

from kernels import fit
from kernels.base.run import Hyperparameters
from kernels.data.marks import make_marks
from kernels.data.order import make_shuffle
from kernels.data.samples import allocate_data, lay_in_rows
from kernels.losses import make_loss
from kernels.model.models import make_model
from kernels.optimizers import make_optimizer
from kernels.optimizers.run_options import initial_memory, option_values
from kernels.train.block import train_runs

RUNS = 3
ARRAYS = ("params", "memory", "losses", "status", "marks", "validation_losses", "lowest")


def trained(kernels, *, size, n=43, model="w @ x + b", loss="squared", optimizer="sgd", batch=1, classes=1, **given):
    """Return the runs of each kernel, from the same random starts with different rates."""
    given = {"shuffle": False, "dtype": "float64", "patience": np.inf, "by_run": False} | given
    rng = np.random.default_rng(size)
    x = rng.normal(size=(n, size))
    y = x @ rng.normal(size=size) + 1
    if loss in ("logistic", "hinge"):
        y = (y > 0) * 1.0
    if classes > 1:
        y = rng.integers(0, classes, n) * 1.0
    model = make_model(model, [f"x{k}" for k in range(1, size + 1)] if size > 1 else ["x"])
    model = model.with_classes(classes) if classes > 1 else model
    loss, optimizer = make_loss(loss), make_optimizer(optimizer)
    held = (tuple(x[:9].T), y[:9]) if np.isfinite(given["patience"]) else None
    shuffle = make_shuffle(given["shuffle"])
    data = allocate_data(
        tuple(x.T), y, shuffle=shuffle, batch_size=batch, by_row=True, dtype=given["dtype"], validation=held
    )
    marks = make_marks("epoch", n, batch, 3, drop_last=False)
    rates = np.tile(np.linspace(0.01, 0.05, RUNS) / size, (3, 1))
    settings = option_values(loss, optimizer)
    settings = np.stack([settings] * RUNS, axis=1) if given["by_run"] else settings
    hyper = Hyperparameters(rates, settings, batch, False, bool(shuffle), 3, 0.0, marks, given["patience"])
    starts = 0.5 * rng.normal(size=(RUNS, len(model.params)))
    memory = initial_memory([optimizer] * RUNS, starts)
    return [train_runs(kernel, model, loss, optimizer, data, hyper, starts, memory) for kernel in kernels]


def check_bits(**given):
    expected, *others = trained(("reference", "fused", "lanes"), **given)
    assert np.isfinite(expected.losses).all()
    assert (expected.losses[-1] != expected.losses[0]).all()
    for found in others:
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 129, 1000])
def test_any_number_of_weights(size):
    check_bits(size=size)


@pytest.mark.parametrize("batch", [7, 16, 128, 200, 400])
@pytest.mark.parametrize("size", [1, 9, 129])
def test_any_batch(size, batch):
    check_bits(size=size, batch=batch, n=400)


@pytest.mark.parametrize("shuffle", [True, "blocks(size=7, buffer=20)"])
@pytest.mark.parametrize("batch", [1, 8])
def test_any_order(shuffle, batch):
    check_bits(size=9, shuffle=shuffle, batch=batch)


# A kernel takes seconds to compile, so three have all that rules may need: slots, a clock, the norm, the loss, another
# point for the gradient, both kinds of weight decay, and options of each run.
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(
    ("optimizer", "by_run"), [("averaged(polyak)", False), ("clipped(adamw)", True), ("adam(weight_decay=0.1)", False)]
)
def test_optimizers(optimizer, by_run, batch):
    check_bits(size=11, optimizer=optimizer, by_run=by_run, batch=batch)


@pytest.mark.parametrize(
    "given",
    [
        {"model": "(u @ x)*(v @ x) + a*x1**2", "loss": "huber(0.5)"},
        {"model": "mlp(3, relu)"},
        {"model": "mlp(3, relu)", "batch": 9, "shuffle": True},
        {"loss": "hinge"},
        {"loss": "hinge", "batch": 16},
        {"dtype": "float32"},
        {"dtype": "float32", "batch": 8},
        {"patience": 1.0},
    ],
    ids=str,
)
def test_models_losses_and_settings(given):
    check_bits(size=9, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"loss": "logistic"},
        {"model": "W @ x + b", "loss": "softmax", "classes": 5},
        {"model": "W @ x + b", "loss": "softmax", "classes": 30},
        {"model": "mlp(4)", "loss": "softmax", "classes": 3},
        {"model": "mlp(4)", "loss": "softmax", "classes": 3, "batch": 8, "shuffle": True},
    ],
    ids=str,
)
def test_with_exp_and_tanh_to_twelve_digits(given):
    expected, *others = trained(("reference", "fused", "lanes"), size=9, **given)
    for found in others:
        np.testing.assert_allclose(found.params, expected.params, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-12)


def test_scores_of_any_size_overflow_nothing():
    x = np.array([[1e3, -1e3], [-1e3, 1e3], [5e2, 5e2]])
    result = fit("W @ x + b", x, [0, 1, 2], loss="softmax", lr=1e3, epochs=5)
    assert result.status == "max_epochs"
    assert np.isfinite(result.loss).all()


@pytest.mark.parametrize("model", ["W @ x + b", "mlp(6)"])
def test_gradients_are_those_of_pytorch(model):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(32, 7)), rng.integers(0, 4, 32)
    made = make_model(model, [f"x{k}" for k in range(1, 8)]).with_classes(4)
    start = 0.3 * rng.normal(size=len(made.params))
    ours = fit(made, x, y, loss="softmax", init=start, lr=0.2, batch_size="full", epochs=4)
    theta = {name: torch.tensor(made.coef(start, name), requires_grad=True) for name in made.vectors}
    step = torch.optim.SGD(theta.values(), lr=0.2)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    for epoch in range(5):
        hidden = inputs
        if "c" in theta:
            hidden = torch.tanh(inputs @ theta["W"].T + theta["c"])
        scores = hidden @ theta["v" if "c" in theta else "W"].T + theta["b"]
        loss = torch.nn.functional.cross_entropy(scores, targets)
        assert ours.loss[epoch] == pytest.approx(loss.item(), rel=1e-13)
        if epoch < 4:
            step.zero_grad()
            loss.backward()
            step.step()
    for name, value in theta.items():
        np.testing.assert_allclose(made.coef(ours.params, name), value.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_weight_decay_leaves_scalars_alone():
    x = np.zeros((10, 3))
    given = {"lr": 0.1, "epochs": 1, "kernel": "reference"}
    result = fit("w @ x + b", x, np.zeros(10), init=[1, 2, 3, 0.0], optimizer="sgd(weight_decay=0.5)", **given)
    np.testing.assert_allclose(result.params, [*(0.95**10 * np.array([1, 2, 3])), 0.0], rtol=1e-14)
    decayed, without = (
        fit("w @ x + b", x, np.zeros(10), init=[1, 2, 3, 1.0], optimizer=f"adamw(weight_decay={decay})", **given)
        for decay in (0.5, 0)
    )
    np.testing.assert_allclose(decayed.params[:3], 0.95**10 * np.array([1, 2, 3]), rtol=1e-14)
    assert decayed.params[-1] == without.params[-1]


def test_rows_are_not_copied():
    x = np.arange(12.0).reshape(4, 3)
    assert np.shares_memory(lay_in_rows(tuple(x.T)), x)
    assert not np.shares_memory(lay_in_rows(tuple(x[:, ::-1].T)), x)
    np.testing.assert_array_equal(lay_in_rows(tuple(x[:, ::-1].T)), x[:, ::-1].ravel())
    np.testing.assert_array_equal(lay_in_rows(tuple(x[1:].T)), x[1:].ravel())


def test_parameters_are_recorded_where_it_is_asked_for():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    given = {"lr": 0.05, "epochs": 6}
    every = fit("w @ x + b", x, x[:, 0], record_params=True, **given)
    ends = fit("w @ x + b", x, x[:, 0], **given)
    assert every.trajectory.shape == (7, 5)
    np.testing.assert_array_equal(ends.trajectory, every.trajectory[[0, -1]])
    np.testing.assert_array_equal(ends.params, every.params)
    np.testing.assert_array_equal(ends.loss, every.loss)
    kept = fit("w @ x + b", x, x[:, 0], validation=0.3, patience=2, **given)
    assert kept.trajectory.shape[1] == 5
    np.testing.assert_array_equal(kept.params, kept.trajectory[kept.kept_mark])
