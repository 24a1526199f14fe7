"""Bounds worked out by hand, and a table of times that are known."""

from types import SimpleNamespace

import llvmlite.binding as llvm
import numpy as np
import pytest

from bench.tables.formatting import MISSING
from bench.tables.readable import caption, limits_footnotes, limits_summary, readable_table
from bench.timing import budget, clock, limits
from bench.timing.budget import BOUND, TARGETS, measure_target
from bench.timing.cores import BOTH, CORES, FOR_ADDING, FOR_MULTIPLYING
from bench.timing.limits import COLUMNS, LEG, LEGS, bounds_of, find_refusal, limits_table
from bench.timing.machine_code import Instruction, Loop, innermost_loops
from bench.timing.paired import AGAIN, Timings
from bench.timing.problem import classic
from kernels.agreement import KERNELS
from kernels.run import DIVERGED, MAX_EPOCHS, Data


def loop_of(register="zmm", samples=1, **counts):
    """A loop with so many operations, all independent of each other."""
    scalar = register == "scalar"
    operands = tuple(f"%{'xmm' if scalar else register}{place}" for place in (1, 2, 3))
    names = {"multiply": "vmul", "add": "vadd", "fma": "vfmadd231", "divide": "vdiv", "sqrt": "vsqrt"}
    body = [
        Instruction(names[kind] + ("sd" if scalar else "pd"), operands) for kind, n in counts.items() for _ in range(n)
    ]
    body += [
        Instruction("vmovsd", ("(%rdi,%rax,8)", "%xmm9")),
        Instruction("addq", (f"${samples}", "%rax")),
        Instruction("jne", (".L",)),
    ]
    return Loop(".L", tuple(body), frozenset({"sp"}))


@pytest.mark.parametrize(
    ("processor", "cycles"),
    [
        # 52 instructions in two ports that do both.
        ("skylake-avx512", 26),
        ("sapphirerapids", 26),
        # The same, of 512 bits in one port.
        ("icelake-client", 52),
        # 28 multiplications in two ports, 24 additions in two others; twice as long where they pass in halves.
        ("znver5", 14),
        ("znver4", 28),
    ],
)
def test_the_units_take_as_long_as_by_hand(processor, cycles):
    found = bounds_of(loop_of(multiply=28, add=24), CORES[processor], 32)
    assert found.units == cycles / 32
    assert found.divider == 0


@pytest.mark.parametrize(
    ("processor", "counts", "cycles"),
    [
        ("skylake", {"multiply": 56, "add": 48}, 52),
        ("znver3", {"multiply": 56, "add": 48}, 28),
        ("znver3", {"multiply": 10, "add": 48, "fma": 30}, 24),
        ("znver3", {"multiply": 10, "add": 8, "fma": 30}, 20),
        # One of the two ports adds.
        ("haswell", {"multiply": 10, "add": 48}, 48),
        # Three ports, of which one does both.
        ("alderlake", {"multiply": 30, "add": 30}, 20),
        ("alderlake", {"multiply": 50, "add": 10}, 25),
    ],
)
def test_the_units_of_256_bits(processor, counts, cycles):
    assert bounds_of(loop_of("ymm", **counts), CORES[processor]).units == cycles


def test_the_divider_is_one():
    core = CORES["skylake-avx512"]
    for register, cycles in (("zmm", 2 * 16 + 18), ("ymm", 2 * 8 + 9), ("scalar", 2 * 4 + 4)):
        assert bounds_of(loop_of(register, divide=2, sqrt=1), core, 2).divider == cycles / 2


def test_a_turn_of_several_samples_is_divided_by_them():
    one, four = (bounds_of(loop_of("scalar", samples, multiply=8), CORES["znver4"], 1) for samples in (1, 4))
    assert one.units == 4 == 4 * four.units
    assert one.latency == 1 == 4 * four.latency  # that of the counter


def test_the_bound_is_the_largest():
    found = limits.Bounds(latency=3.0, units=2.0, divider=1.0)
    assert (found.limit, max(found)) == ("latency", 3.0)
    assert found._replace(units=4.0).limit == "units"


def test_vectors_that_a_processor_has_not_and_calls_have_no_bound():
    with pytest.raises(ValueError, match=r"^no bound: Zen 3 has no vectors of 512 bits in the table$"):
        bounds_of(loop_of(add=1), CORES["znver3"])
    calls = loop_of(add=1)
    calls = calls._replace(instructions=(Instruction("callq", ("exp",)), *calls.instructions))
    with pytest.raises(ValueError, match=r"^no bound: there are calls or branches in the loop$"):
        bounds_of(calls, CORES["znver4"])


@pytest.mark.parametrize("name", CORES)
def test_every_core_can_do_everything(name):
    core = CORES[name]
    assert core.source
    assert all(2 <= cycles <= 21 for cycles in (core.add, core.multiply, core.fma, core.divide, core.sqrt))
    assert set(core.dividing) == {"divide", "sqrt"}
    for ports in (core.ports, core.wide_ports or core.ports):
        assert set(ports) <= {"add", "multiply", BOTH}
        assert set(ports) & set(FOR_ADDING)
        assert set(ports) & set(FOR_MULTIPLYING)


# A table of times that are known

SECONDS = {limits.NARROW: 60e-6, limits.WIDE: 80e-6, "fused": 200e-6, "lanes": 1000e-6}
SLOWNESS = np.array([1.0, 0.9, 1.1, 0.95, 1.05])[:, np.newaxis]


def turns(calls, baseline, seconds):
    """Rounds on a machine whose clock goes up and down, which changes no cycles."""
    each = [SECONDS[name] for name in (*calls, baseline)]
    return Timings((*calls, baseline + AGAIN), SLOWNESS * each, (1,) * len(each))


@pytest.fixture
def known(monkeypatch):
    """Nothing is compiled, and times, processor and loop are known; returns what changes one of them."""
    state = (MAX_EPOCHS, LEGS)
    replacements = {
        "take_turns": turns,
        "llvm": SimpleNamespace(get_host_cpu_name=lambda: "znver4", get_process_triple=lambda: "x86_64-linux"),
        "environment": lambda: {"processor": "Known"},
        "make_clock": lambda *, lanes: lambda: None,
        "assembly": lambda kernel: kernel,
        "update_loop": lambda kernel: loop_of(multiply=28, add=24),
        "_compile": lambda kernel, problem: SimpleNamespace(train=None),
        "_make_call": lambda kernel, train, problem: lambda: state,
        "numba": SimpleNamespace(config=SimpleNamespace(DISABLE_JIT=0)),
    }
    for name, value in replacements.items():
        monkeypatch.setattr(limits, name, value)
    return lambda name, value: monkeypatch.setattr(limits, name, value)


def test_cycles_are_times_by_the_clock_of_the_same_round(known):
    table = limits_table(classic(), ("fused", "lanes")).set_index("variant")
    assert [*COLUMNS][1:] == list(table)
    updates = LEG * LEGS
    np.testing.assert_allclose(table["ns"], [200e3 / updates, 1000e3 / updates / 32])
    np.testing.assert_allclose(table["ghz"], [1e-9 * clock.CYCLES / 60e-6, 1e-9 * clock.CYCLES / 80e-6])
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(
            table[f"cycles{end}"], [200 / 60 * clock.CYCLES / updates, 1000 / 80 * clock.CYCLES / updates / 32]
        )
    assert table["bound"].tolist() == [28, 28 / 32]
    assert table["limit"].tolist() == ["units", "units"]
    np.testing.assert_allclose(table["share"], table["bound"] / table["cycles"])
    assert table["processor"].tolist() == ["Known (znver4)"] * 2
    assert table["note"].tolist() == ["", ""]


def test_the_share_is_known_as_well_as_the_cycles(known):
    def wobbling(*args, **kwargs):
        timings = turns(*args, **kwargs)
        return timings._replace(seconds=timings.seconds * np.random.default_rng(0).uniform(1, 1.1, (5, 4)))

    known("take_turns", wobbling)
    (row,) = limits_table(classic(), ("lanes",)).to_dict("records")
    assert row["cycles_low"] < row["cycles"] < row["cycles_high"]
    ends = row["share_low"], row["share"], row["share_high"]
    assert ends == tuple(row["bound"] / row[f"cycles{end}"] for end in ("_high", "", "_low"))


def test_an_unknown_processor_has_cycles_and_no_bound(known):
    known("llvm", SimpleNamespace(get_host_cpu_name=lambda: "k8", get_process_triple=lambda: "x86_64-linux"))
    table = limits_table(classic(), ("lanes",))
    assert table["cycles"].notna().all()
    assert table[["latency", "units", "divider", "bound", "share", "share_low", "share_high"]].isna().all(axis=None)
    assert limits_footnotes(table) == ["lanes: unknown processor k8: no bound"]
    (row,) = limits_summary(table).to_dict("records")
    assert (row["bound in cycles"], row["bound by"], row["share of the bound"]) == (MISSING,) * 3


def test_a_run_that_does_not_stay_finite_is_not_timed(known):
    known("_make_call", lambda kernel, train, problem: lambda: (MAX_EPOCHS if kernel == "fused" else DIVERGED, LEGS))
    table = limits_table(classic(), ("fused", "lanes"))
    assert table["cycles"].notna().tolist() == [True, False]
    assert limits_footnotes(table) == ["lanes: not measured: the run does not stay finite"]
    assert limits_summary(table)["clock"].tolist()[1] == MISSING


def test_the_table_is_shown_with_shares_and_says_how_cycles_were_obtained(known):
    table = limits_table(classic(), ("lanes",))
    (row,) = readable_table("limits", table).to_dict("records")
    assert row["variant"] == "lanes"
    assert row["bound in cycles"] == "0.875"
    assert row["bound by"] == "units that add and multiply"
    assert row["processor"] == "Known (znver4)"
    assert "The clock was measured" in caption("limits", table)


@pytest.mark.parametrize(
    ("change", "problem", "reason"),
    [
        ({}, classic(1, 16), "bounds are for updates sample by sample"),
        ({"numba": SimpleNamespace(config=SimpleNamespace(DISABLE_JIT=1))}, classic(1), "numba's JIT is off"),
        (
            {"llvm": SimpleNamespace(get_process_triple=lambda: "arm64-apple")},
            classic(1),
            "cycles are known for x86-64 and this is arm64-apple",
        ),
    ],
)
def test_what_has_no_limits_says_why(known, change, problem, reason):
    for name, value in change.items():
        known(name, value)
    assert find_refusal(problem) == f"not measured, because {reason}"
    with pytest.raises(ValueError, match=rf"^limits: not measured, because {reason}$"):
        limits_table(problem)


def test_the_share_of_lanes_is_a_row_of_the_budget(known, monkeypatch):
    (target,) = [target for target in TARGETS if target.other == BOUND]
    monkeypatch.setattr(budget, "verify", lambda variant, problem: None)
    found = measure_target(target, seconds=0.1)
    (share,) = limits_table(classic(), [target.ours])["share"]
    assert found.verified
    assert found.faster == pytest.approx((share, share, share))
    known("llvm", SimpleNamespace(get_host_cpu_name=lambda: "k8", get_process_triple=lambda: "x86_64-linux"))
    assert measure_target(target, seconds=0.1) == (None, None, "unknown processor k8: no bound")
    assert target.least == 0.85


# On this processor

no_cycles = pytest.mark.skipif(find_refusal(classic(1)) is not None, reason=str(find_refusal(classic(1))))


@no_cycles
@pytest.mark.parametrize("lanes", [False, True])
def test_the_clock_takes_the_cycles_that_it_says(lanes):
    """Its machine code has the chain of multiplications and exclusive ors, and nothing that takes longer beside it."""
    (text,) = clock.make_clock(lanes=lanes).func.inspect_asm().values()
    loop = max(innermost_loops(text), key=lambda loop: sum("imul" in one.name for one in loop.instructions))
    turns, rest = divmod(sum("imul" in one.name for one in loop.instructions), 3)
    assert (turns > 0, rest) == (True, 0)
    latencies = {"add": 4, "multiply": 5, "move": 0}
    assert (
        loop.chain(lambda one: 3 if "imul" in one.name else latencies.get(one.kind, 1)) == turns * clock.CYCLES_OF_TURN
    )
    assert loop.count_of("multiply") >= turns
    assert clock.CYCLES == clock.TURNS * clock.CYCLES_OF_TURN


@no_cycles
def test_this_processor_has_a_table():
    table = limits_table(classic(3), ("fused", "lanes"), seconds=0.05)
    assert table["variant"].tolist() == ["fused", "lanes"]
    assert table["runs"].tolist() == [1, KERNELS["lanes"].width]
    assert (table[["ns", "cycles", "ghz"]] > 0).all(axis=None)
    assert (table["cycles_low"] <= table["cycles"]).all()
    if llvm.get_host_cpu_name() in CORES:
        assert table["limit"].iloc[0] == "latency"  # of one run
        assert (table["bound"] == table[["latency", "units", "divider"]].max(axis=1)).all()


@no_cycles
def test_a_leg_trains_on_all_of_its_samples():
    """From the same start in each call."""
    problem = classic(3)
    for kernel in ("fused", "lanes"):
        call = limits._make_call(kernel, limits._compile(kernel, problem).train, problem)
        assert call() == call() == (MAX_EPOCHS, LEGS)
    (record,) = [cell.cell_contents for cell in call.__closure__ if isinstance(cell.cell_contents, Data)]
    assert record.visited_y.size == LEG + 1
    np.testing.assert_array_equal(record.visited_y[:800], problem.y)
