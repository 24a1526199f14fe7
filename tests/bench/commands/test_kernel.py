"""`sgdbench kernel`: what is printed is what trains, and what is written runs without sgdbench."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sgdbench import Model, fit, source
from sgdbench.kernels.model.column_names import number_columns
from sgdbench.kernels.model.models import make_model

QUADRATIC = "a*x**2 + b*x + c"
# Trains by a module that is read from a file, where sgdbench cannot be imported.
ALONE = """
import json, sys
sys.modules["sgdbench"] = None
import numpy as np
scope = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), scope)
x, y, theta, places = (np.array(one) for one in json.load(sys.stdin))
for size in (1, 16):
    for order in (np.arange(y.size) if len(sys.argv) > 2 else None, places):
        theta_of, losses = scope["train"](x, y, theta, np.full(3, 0.1), batch_size=size, places=order)
        print(theta_of.tobytes().hex(), losses.tobytes().hex())
"""


def test_the_source_of_a_kernel_is_printed(ran):
    printed = ran("kernel", QUADRATIC, "--optimizer", "momentum(0.9)")
    assert printed == source(QUADRATIC, optimizer="momentum(0.9)")
    lanes = ran("kernel", "a*x + b", "--lanes", "--fma", "--loss", "huber")
    assert lanes == source("a*x + b", kernel="lanes-fma", loss="huber")
    assert "options(fma=True, lanes=True)" in lanes
    named = ran("kernel", "a*u + b*v", "--inputs", "u,v")
    assert named == source(Model("a*u + b*v", ["u", "v"])) == source("a*u + b*v", inputs=["u", "v"])


@pytest.mark.parametrize(("option", "expected"), [("--asm", "vmulsd|mulsd|fmul"), ("--llvm", "fmul double")])
def test_machine_code_is_printed(ran, option, expected):
    printed = ran("kernel", "a*x + b", option)
    assert any(one in printed for one in expected.split("|"))


@pytest.mark.parametrize(
    ("model", "inputs", "settings", "compiled"),
    [
        (QUADRATIC, 1, {"optimizer": "momentum(0.9, weight_decay=0.1)"}, False),
        ("max(a*x, b) + where(x < 0, c, d)", 1, {"optimizer": "averaged(clipped(adam))", "loss": "huber(0.7)"}, True),
        ("w @ x + b", 20, {"optimizer": "adam", "loss": "hinge"}, True),
        ("mlp(3, relu)", 9, {"optimizer": "clipped(nadam)"}, False),
    ],
)
def test_a_standalone_module_has_the_bits_of_fit_without_sgdbench(ran, tmp_path, model, inputs, settings, compiled):
    """Also of an order that is given, for all epochs. Compiling takes seconds; two modules run as Python."""

    rng = np.random.default_rng(3)
    x, y, order = rng.uniform(-1, 1, (50, inputs)), rng.integers(0, 2, 50) * 1.0, rng.permutation(50)
    x = x[:, 0] if inputs == 1 else x
    names = number_columns(inputs)
    start = rng.normal(scale=0.5, size=len(make_model(model, names).params))
    given = [one for name, value in (settings | {"inputs": str(inputs)}).items() for one in (f"--{name}", value)]
    ran("kernel", model, *given, "--standalone", tmp_path / "own.py")
    data = json.dumps([x.tolist(), y.tolist(), start.tolist(), order.tolist()])
    # Places that are None or an array are two types, for each of which numba would compile the module.
    command = [sys.executable, "-I", "-c", ALONE, str(tmp_path / "own.py"), *(["compiled"] if compiled else [])]
    environment = os.environ | ({} if compiled else {"NUMBA_DISABLE_JIT": "1"})
    done = subprocess.run(command, env=environment, input=data, capture_output=True, text=True, check=True)
    settings |= {"init": start, "lr": 0.1, "epochs": 3, "drop_last": False, "kernel": "reference"}
    expected = [fit(make_model(model, names), *some, batch_size=size, **settings)
                for size in (1, 16) for some in ((x, y), (x[order], y[order]))]  # fmt: skip
    for line, result, in_order in zip(done.stdout.splitlines(), expected, (True, False) * 2, strict=True):
        theta, losses = (np.frombuffer(bytes.fromhex(part)) for part in line.split())
        np.testing.assert_array_equal(theta, result.params)
        if in_order:  # the loss of samples in another order has other last bits
            np.testing.assert_array_equal(losses, result.loss)
