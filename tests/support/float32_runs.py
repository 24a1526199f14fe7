"""Runs in float32, in lanes and by the reference."""

import numpy as np

from kernels import Model
from kernels.base.run import Hyperparameters
from kernels.compile.kinds import lane_width
from kernels.data.samples import allocate_data
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.optimizers.run_options import option_values
from kernels.train.block import train_runs

FIT = {"init": [-1, 10, 26], "lr": 0.05, "schedule": "halve(1)", "epochs": 2, "seed": 7, "dtype": "float32"}


KINKS = Model("sqrt(a**2 + x)/(b + x**2) - c*x**-3 + where(x > 0.3*b, max(a*x, b/3), abs(b - x)) - relu(c - x/5)")


LANES = lane_width("lanes", "float32", KINKS.program, make_loss("squared"))


def runs_of(model, x, y, loss, optimizer, batch_size, runs):
    """Runs in lanes, and some of them by the reference; their places come first."""
    loss, rule = make_loss(loss), make_optimizer(optimizer)
    starts = [1, 2, 0.1] + 0.2 * np.random.default_rng(4).standard_normal((runs, 3))
    rates, held_out = np.tile(np.geomspace(0.001, 0.05, runs), (3, 1)), ((x[:50],), y[:50])
    data = allocate_data((x,), y, shuffle=True, validation=held_out, dtype="float32")
    hyper = Hyperparameters(rates, option_values(loss, rule), batch_size, False, True, 5, -np.inf)
    some, memory = [0, LANES - 1, runs - 1], rule.initial_memory(starts)
    alone = hyper._replace(rates=rates[:, some].copy())
    return (
        some,
        train_runs("lanes", model, loss, rule, data, hyper, starts, memory),
        train_runs("reference", model, loss, rule, data, alone, starts[some], memory[some]),
    )
