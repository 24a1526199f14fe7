"""Which roofs there are, and how much they do; `test_assembly` reads what they are compiled to."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from sgdbench.kernels.simd.division import has_fast_divider
from sgdbench.timing import roof
from sgdbench.timing.operations import count_sections
from sgdbench.timing.problem import UnavailableError, classic, exponential, many, wide
from sgdbench.timing.roof import MAX_OPERATIONS, MIN_OPERATIONS, dependent, independent, make_roof, vector_registers

RUNS = many(runs=64, epochs=2).part(samples=100)


@pytest.fixture
def uncompiled(monkeypatch):
    """Loops are not compiled, for tests of which there are; it takes a second for each."""
    monkeypatch.setattr(
        roof, "compile_loops", lambda loops, *registers: SimpleNamespace(args=[np.array([turns for _, turns in loops])])
    )


jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def operations_of(body):
    """How many operations there are of each kind, and the registers that they change."""
    kinds = {"+ zero": "add", "* one": "multiply", "multiply_add(": "fma", "divide(": "divide", "sqrt": "sqrt"}
    found = [max((text for text in kinds if text in line), key=len) for line in body]
    return [kinds[text] for text in found], [line.split()[0] for line in body]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("fma", [False, True])
@pytest.mark.parametrize("registers", [12, 24])
def test_a_loop_has_what_was_counted_in_as_many_registers_as_there_are(optimizer, fma, registers):
    ((counts, turns),) = count_sections(classic(100, optimizer=optimizer), fma=fma, losses=False)
    body, repeated = independent(counts, turns, registers)
    kinds, changed = operations_of(body)
    repeats = len(body) // counts.total()
    assert {kind: kinds.count(kind) for kind in counts} == {kind: repeats * count for kind, count in counts.items()}
    assert repeated == turns // repeats
    assert len(body) >= MIN_OPERATIONS
    assert set(changed) == {f"v_{k}" for k in range(registers)}
    # A register takes operations of one kind: nothing is fused by chance.
    assert len(set(zip(changed, kinds, strict=True))) == registers


def test_of_very_many_operations_a_turn_has_a_part():
    """Compiling them all takes minutes."""
    body, turns = independent(Counter({"add": 30_000, "multiply": 10_001, "divide": 3}), 10, 24)
    assert len(body) <= MAX_OPERATIONS + 3
    found = Counter(operations_of(body)[0])
    assert found["divide"] == 1
    assert found["add"] * turns == pytest.approx(300_000, rel=1e-3)
    assert found["multiply"] * turns == pytest.approx(100_010, rel=1e-3)


def test_operations_of_one_run_wait_for_each_other():
    body, turns = dependent(("multiply", "add", "add", "multiply", "add"), 1000)
    kinds, changed = operations_of(body)
    assert kinds[:5] == ["multiply", "add", "add", "multiply", "add"]
    assert set(changed) == {"v_0"}
    assert len(body) * turns == 5 * 1000


@jit
def test_a_roof_is_a_call():
    make_roof("fused-fma", RUNS.part(runs=1))()


@jit
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("kernel", ["fused-fma", "lanes"])
def test_a_roof_does_the_arithmetic_of_the_whole_problem(kernel):
    problem = RUNS if kernel.startswith("lanes") else RUNS.part(runs=1)
    turns = make_roof(kernel, problem).args[-1]
    again = make_roof(kernel, replace(problem, rates=problem.rates.repeat(50, axis=0))).args[-1]
    assert (turns > 0).all()
    assert again[0] == pytest.approx(50 * turns[0], rel=0.2)  # what is left of a turn is left out


@jit
@pytest.mark.usefixtures("uncompiled")
def test_lanes_of_models_with_vectors_have_a_roof():
    products = wide(64, runs=64, n=200)
    (turns,) = make_roof("lanes-fma", products).args[-1:]
    width, _ = vector_registers()
    assert turns[0] * 132 == pytest.approx(64 // width * 400 * 132, rel=0.2)
    make_roof("lanes", replace(products, batch_size=8))


@jit
@pytest.mark.usefixtures("uncompiled")
def test_losses_from_a_factor_are_not_among_the_arithmetic():
    """Those of the kernels that fuse come from the QR factor of the samples; those of the others from the samples."""
    many_losses = many(runs=8, epochs=40)
    assert [make_roof(kernel, many_losses).args[-1].size for kernel in ("lanes", "lanes-fma")] == [2, 1]


@pytest.mark.parametrize(
    ("kernel", "problem", "reason"),
    [
        ("fused", many(exponential, runs=1), "the operations of exp are not counted"),
        ("lanes", replace(RUNS, loss="logcosh"), r"the operations of \w+ are not counted"),
        ("lanes", replace(RUNS, dtype="float32"), "operations on float32 are not measured"),
        ("fused", wide(12), "neither the latencies nor the units alone limit one run of a model with vectors"),
        ("fused", classic(1, 16), "in batches neither the latencies nor the units alone limit one run"),
    ],
)
@jit
def test_what_has_no_roof_says_why(kernel, problem, reason):
    with pytest.raises(UnavailableError, match=f"^{reason}$"):
        make_roof(kernel, problem)


@jit
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("kernel", ["lanes", "lanes-fma"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamax", "adam"])
def test_roots_from_estimates_leave_the_divider_no_roof(optimizer, kernel):
    """Exact kernels have their quotients from the divider, and adamax takes no roots.

    AMD's divider makes the quotients of the others too.
    """
    problem, shared = replace(RUNS, optimizer=optimizer), {"lanes": ["adam"], "lanes-fma": ["adam"]}
    if not has_fast_divider():
        shared["lanes-fma"].append("adamax")
    if vector_registers()[0] == 8 and optimizer in shared[kernel]:
        with pytest.raises(UnavailableError, match="shared between the divider and other units"):
            make_roof(kernel, problem)
    else:
        make_roof(kernel, problem)


@jit
def test_registers():
    width, used = vector_registers()
    assert width in {2, 4, 8}
    assert used in {12, 24}
