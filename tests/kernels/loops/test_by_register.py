"""Updates of the runs of one register after those of another, as models of many parameters have them in lanes."""

from dataclasses import replace

import pytest

from kernels.compile.specialize import bind_loops
from kernels.compile.unrolled import FILL_REGISTERS
from kernels.losses import make_loss
from kernels.model.models import make_model
from kernels.optimizers import make_optimizer
from kernels.train.block import WIDTH
from kernels.train.trainer import Wanted
from tests.support.network_runs import BLOCKS, check_bits

# The fewest parameters that have them.
DEGREE_7 = " + ".join(f"p{k}*x**{k}" for k in range(2, FILL_REGISTERS)) + " + p1*x + p0"
# An update from a single sample, with the gradient at another point: no built-in optimizer has both.
ELSEWHERE = replace(make_optimizer("sgd"), gradient_at=lambda theta, slots, options: 0.5 * theta)


def test_the_bits_are_those_of_the_reference():
    """Of more runs than a lane holds, so that the last block is not full; test_network.py has the other kernels."""
    given = {"size": 1, "model": DEGREE_7, "loss": "huber(0.5)", "shuffle": BLOCKS, "patience": 1000.0}
    check_bits(**given, dtype="float32", runs=2 * WIDTH + 5, kernels=["lanes"])


@pytest.mark.parametrize(
    ("params", "optimizer", "kernel", "by_register"),
    [
        (FILL_REGISTERS, "sgd", "lanes", True),
        (FILL_REGISTERS, "sgd", "lanes-fma", True),
        (FILL_REGISTERS - 1, "sgd", "lanes", False),
        (FILL_REGISTERS, "momentum", "lanes", False),  # which keeps a state of each parameter
        (FILL_REGISTERS, "sgd(weight_decay=0.1)", "lanes", False),
        (FILL_REGISTERS, ELSEWHERE, "lanes", False),
        (FILL_REGISTERS, "sgd", "fused", False),
    ],
)
def test_who_has_them(params, optimizer, kernel, by_register):
    model = make_model("w @ x + b", [f"x{k}" for k in range(1, params)])
    squared, optimizer = make_loss("squared"), make_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    _, _, source = bind_loops(Wanted(kernel, model, squared, optimizer).ingredients)
    assert ("def leg_by_register" in source) == by_register
