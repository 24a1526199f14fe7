"""Short vectors written out: the bits of the loops over weights, as the reference has them."""

import numpy as np
import pytest

from sgdbench.kernels.base.run import Hyperparameters, Record
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program
from sgdbench.kernels.model.sample_weight import WeightedModel
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.reference import train

N = 40


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ("w @ x + b", 11),
        ("b - x1 + w @ x", 3),
        ("w @ x", 1),
        ("u @ x + a*exp(-b*age) + v @ z", {"x": ["p", "q"], "z": ["r", "s", "t"], "age": "age"}),
    ],
)
def test_a_short_product_that_is_a_term_is_written_out(expression, columns):
    model = Model(expression, columns if isinstance(columns, dict) else [f"x{k}" for k in range(1, columns + 1)])
    assert isinstance(model.program, Program)
    assert isinstance(model.network, Network)
    assert not model.by_row


@pytest.mark.parametrize(
    "made",
    [
        Model("w @ x + b", [f"x{k}" for k in range(12)]),
        Model("2*(w @ x) + b", ["x1", "x2"]),
        Model("exp(w @ x)", ["x1", "x2"]),
        Model("W @ x + b", ["x1", "x2"], classes=3),
        Model("v @ tanh(W @ x)", ["x1"], hidden=2),
        WeightedModel(Model("w @ x", ["x1", "x2"])),
    ],
    ids=lambda model: model.expression,
)
def test_others_are_not(made):
    assert made.program is made.network


@pytest.mark.parametrize("size", [1, 2, 8, 11])
@pytest.mark.parametrize("batch", [1, 8])
def test_the_bits_are_those_of_the_loops_over_weights(size, batch):
    rng = np.random.default_rng(size)
    x, start = rng.normal(size=(N, size)), rng.normal(size=size + 1)
    columns, y = tuple(np.ascontiguousarray(x.T)), x @ rng.normal(size=size) + 1
    model = Model("w @ x + b", [f"x{k}" for k in range(1, size + 1)])
    for name in ("sgd", "sgd(weight_decay=0.1)", "adamw(weight_decay=0.1)"):
        found = [
            run(program, make_optimizer(name), allocate_data(columns, y, by_row=by_row), start, batch)
            for program, by_row in ((model.program, False), (model.network, True))
        ]
        np.testing.assert_array_equal(*[record.trajectory for record in found])
        np.testing.assert_array_equal(*[record.losses for record in found])
        assert len(np.unique(found[0].losses)) == len(found[0].losses)


def run(program, optimizer, data, start, batch):
    loss, checkpoints = make_loss("squared"), make_checkpoints("epoch", N, batch, 3, drop_last=False)
    hyper = Hyperparameters(np.full(3, 0.02), option_values(loss, optimizer), batch, False, False, 0, 0.0, checkpoints)
    record = Record(np.empty(4), np.tile(start, (4, 1)), optimizer.initial_memory(start), np.empty(0), np.zeros(2))
    train(program, loss, optimizer, data, hyper, record, 0, 3)
    return record


def test_a_model_with_weights_starts_where_it_does_without():
    for expression in ("w @ x + b", "exp(w @ x)"):
        start = Model(expression, ["x1", "x2"]).draw_start(0)
        np.testing.assert_array_equal(WeightedModel(Model(expression, ["x1", "x2"])).draw_start(0), start)
