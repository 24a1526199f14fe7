"""Loops on an ideal machine, scheduled by hand."""

import pytest
from test_limits import loop_of
from test_machine_code import QUADRATIC

from bench.timing import schedule
from bench.timing.cores import CORES
from bench.timing.limits import bounds_of
from bench.timing.machine_code import Loop, parse_instruction, update_loop
from bench.timing.schedule import ideal_cycles

ZEN_4 = CORES["znver4"]


def chain_of(*lines):
    return Loop(".L", tuple(map(parse_instruction, lines)), frozenset({"sp"}))


# Two of them are added first: it does not matter where the third is.
THIRD_HAS_TIME = chain_of(
    "vfmadd231sd\t%xmm8, %xmm0, %xmm1",
    "vfmadd231sd\t%xmm8, %xmm0, %xmm2",
    "vfmadd231sd\t%xmm8, %xmm0, %xmm3",
    "vaddsd\t%xmm1, %xmm2, %xmm4",
    "vaddsd\t%xmm3, %xmm4, %xmm0",
)
# All three are needed at once.
THIRD_IS_WAITED_FOR = THIRD_HAS_TIME._replace(
    instructions=(
        *THIRD_HAS_TIME.instructions[:3],
        parse_instruction("vaddsd\t%xmm1, %xmm3, %xmm4"),
        parse_instruction("vaddsd\t%xmm2, %xmm4, %xmm0"),
    )
)


@pytest.mark.parametrize(("loop", "cycles"), [(THIRD_HAS_TIME, 4 + 3 + 3), (THIRD_IS_WAITED_FOR, 1 + 4 + 3 + 3)])
def test_of_three_that_are_ready_at_once_one_waits_for_a_unit(loop, cycles):
    assert loop.chain(lambda one: ZEN_4.latency(one.kind)) == 10
    assert ideal_cycles(loop, ZEN_4) == cycles


def test_one_run_of_the_quadratic_waits_for_its_chain_alone():
    assert ideal_cycles(update_loop(QUADRATIC), ZEN_4) == 15
    assert ideal_cycles(update_loop(QUADRATIC), CORES["skylake"]) == 20


@pytest.mark.parametrize("processor", ["znver4", "znver5", "skylake-avx512", "sapphirerapids", "icelake-client"])
@pytest.mark.parametrize(("multiply", "add"), [(28, 24), (12, 40)])
def test_what_does_not_depend_on_anything_takes_as_long_as_its_units(processor, multiply, add):
    loop, core = loop_of(multiply=multiply, add=add), CORES[processor]
    assert ideal_cycles(loop, core) == pytest.approx(bounds_of(loop, core).units, rel=0.05)


def test_the_divider_takes_one_after_the_other():
    """16 cycles for each of two divisions, 18 for the square root, and none of them for anything else."""
    core = CORES["skylake-avx512"]
    assert ideal_cycles(loop_of(divide=2, sqrt=1), core) == 50
    assert ideal_cycles(loop_of(divide=2, sqrt=1, multiply=60, add=30), core) == 50


def test_it_looks_no_farther_ahead_than_processors_do(monkeypatch):
    """Two chains of 20 additions, one behind the other: the second begins with the first one, or after twelve of it."""
    loop = chain_of(*(f"vaddsd\t%xmm8, %xmm{place}, %xmm{place}" for place in (0, 1) for _ in range(20)))
    assert ideal_cycles(loop, ZEN_4) == 20 * 3
    monkeypatch.setattr(schedule, "WINDOW", 8)
    assert ideal_cycles(loop, ZEN_4) == pytest.approx(2 * (20 - 8 + 1) * 3, abs=6)
