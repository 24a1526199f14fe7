"""Updates of the runs of one register after those of another, as models of many parameters have them in lanes."""

from dataclasses import replace

import pytest

from kernels.compile import unrolled
from kernels.compile.specialize import bind_loops
from kernels.compile.unrolled import FILL_REGISTERS, MOST_IN_REGISTERS
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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_bits_are_those_of_the_reference(dtype):
    """Of more runs than a lane holds, so that the last block is not full; test_network.py has the other kernels."""
    given = {"size": 1, "model": DEGREE_7, "loss": "huber(0.5)", "shuffle": BLOCKS, "patience": 1000.0}
    check_bits(**given, dtype=dtype, runs=2 * WIDTH + 5, kernels=["lanes"])


@pytest.mark.parametrize(
    ("params", "optimizer", "settings", "by_register"),
    [
        (FILL_REGISTERS, "sgd", {}, True),
        (FILL_REGISTERS, "sgd", {"kernel": "lanes-fma"}, True),
        (MOST_IN_REGISTERS, "sgd", {}, True),
        (16, "sgd", {"model": " + ".join(f"a{k}*exp(b{k}*x)" for k in range(8))}, True),
        (FILL_REGISTERS - 1, "sgd", {}, False),
        (MOST_IN_REGISTERS + 1, "sgd", {}, False),
        (FILL_REGISTERS, "momentum", {}, False),  # which keeps a state of each parameter
        (FILL_REGISTERS, "sgd(weight_decay=0.1)", {}, False),
        (FILL_REGISTERS, ELSEWHERE, {}, False),
        (FILL_REGISTERS, "sgd", {"kernel": "fused"}, False),
        (FILL_REGISTERS, "sgd", {"dtype": "float32"}, False),
        (FILL_REGISTERS, "sgd", {"doubles": 4}, False),  # AVX2
    ],
)
def test_which_kernels_have_them(monkeypatch, params, optimizer, settings, by_register):
    monkeypatch.setattr(unrolled, "doubles_in_register", lambda: settings.get("doubles", 8))
    optimizer = make_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    made_of = make_model(settings.get("model", f"polynomial({params - 1})")), make_loss("squared"), optimizer
    one = Wanted(settings.get("kernel", "lanes"), *made_of, dtype=settings.get("dtype", "float64"))
    _, _, source = bind_loops(one.ingredients)
    assert ("def leg_by_register" in source) == by_register
