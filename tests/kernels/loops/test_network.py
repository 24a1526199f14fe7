"""Models with vectors: the gradients of PyTorch, how samples lie in memory, and which parameters are recorded."""

import numpy as np
import pytest

from sgdbench import fit
from sgdbench.kernels.base.run import CACHE_LINE, allocate_aligned
from sgdbench.kernels.data import samples
from sgdbench.kernels.data.samples import lay_in_rows
from sgdbench.kernels.model.models import make_model


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
    ours = fit(made, x, y, loss="softmax", init=start, lr=0.2, batch_size="full", epochs=4, kernel="reference")
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
    # The memory of columns of Polars and PyTorch belongs to objects that are no arrays.
    columns = tuple(np.frombuffer(column.tobytes()) for column in x.T)
    np.testing.assert_array_equal(lay_in_rows(columns), x.ravel())


def test_few_rows_begin_at_cache_lines(monkeypatch):
    """Those that could: here rows are as long as a line. Many are left where they are, unless visited often."""
    x = allocate_aligned(8 * 5 + 1)[1:].reshape(5, 8)
    x[:] = np.arange(40.0).reshape(5, 8)
    rows = lay_in_rows(tuple(x.T))
    assert rows.ctypes.data % CACHE_LINE == 0
    assert not np.shares_memory(rows, x)
    np.testing.assert_array_equal(rows, x.ravel())
    columns = tuple(column.copy() for column in x.T)
    assert lay_in_rows(columns).ctypes.data % CACHE_LINE == 0
    np.testing.assert_array_equal(lay_in_rows(columns), x.ravel())
    monkeypatch.setattr(samples, "CHEAPLY_COPIED_NUMBERS", 39)
    assert np.shares_memory(lay_in_rows(tuple(x.T), passes=2), x)
    often = lay_in_rows(tuple(x.T), passes=100)
    assert often.ctypes.data % CACHE_LINE == 0
    np.testing.assert_array_equal(often, x.ravel())
    monkeypatch.setattr(samples, "MAX_COPIED_NUMBERS", 39)
    assert np.shares_memory(lay_in_rows(tuple(x.T), passes=100), x)


@pytest.mark.parametrize(
    ("model", "columns", "kernel"), [("a*x + b", 1, "fused"), ("w @ x + b", 9, "reference"), ("w @ x + b", 12, "fused")]
)
def test_parameters_are_recorded_where_it_is_asked_for(model, columns, kernel):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, columns))
    model = make_model(model, [f"x{k}" for k in range(columns)] if columns > 1 else ["x"])
    given = {"lr": 0.05, "epochs": 6, "init": np.full(len(model.params), 0.5), "kernel": kernel}
    every = fit(model, x, x[:, 0], record_params=True, **given)
    ends = fit(model, x, x[:, 0], record_params=False, **given)
    assert every.trajectory.shape == (7, len(model.params))
    np.testing.assert_array_equal(ends.trajectory, every.trajectory[[0, -1]])
    np.testing.assert_array_equal(ends.params, every.params)
    np.testing.assert_array_equal(ends.loss, every.loss)
    np.testing.assert_array_equal(
        fit(model, x, x[:, 0], **given).trajectory, (ends if model.vectors else every).trajectory
    )
    with pytest.raises(ValueError, match="record_params must be True or False, not 'no'"):
        fit(model, x, x[:, 0], record_params="no", **given)
    # The model is the best at the start, of samples that are not trained on.
    given |= {"validation": (x, model.predict(given["init"], x)), "patience": 3}
    kept = fit(model, x, x[:, 0], **given)
    assert (kept.kept_checkpoint, kept.epochs) == (0, 3)
    np.testing.assert_array_equal(kept.params, kept.trajectory[kept.kept_checkpoint])
    ends = fit(model, x, x[:, 0], record_params=False, **given)
    np.testing.assert_array_equal(ends.params, kept.params)
    np.testing.assert_array_equal(ends.trajectory, kept.trajectory[[0, -1]])
