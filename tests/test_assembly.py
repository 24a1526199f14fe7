"""The machine code of lanes and roofs: vector arithmetic in registers, and as much of it as was counted."""

import re
from collections import Counter
from functools import cache

import llvmlite.binding as llvm
import pytest

from sgdbench import Model
from sgdbench.kernels.compile.build import build_anew
from sgdbench.kernels.compile.kinds import REGISTERS
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.simd.division import has_fast_divider
from sgdbench.timing.operations import count_sections
from sgdbench.timing.problem import classic, many
from sgdbench.timing.roof import compile_loops, dependent, independent, longest_chain
from tests.support.assembly import (
    ARM,
    AVX2,
    AVX512,
    Loop,
    assembly_of,
    functions_of,
    innermost_loops,
    skip_without_assembly,
)

skip_without_assembly()

# The doubles in a register, the registers that a roof uses, and the accesses to the stack that an update may have. Of
# the quadratic with sgd, theta and the rate are 16 registers. AVX-512 and arm64 have twice as many, so that nothing has
# to leave them; AVX2 and SSE2 have no more, so that some of it waits on the stack: 32 and 25 accesses were found beside
# 52 operations, and 4 for an Apple M1. In 32 lanes they were 98 and 210, and on arm64 172 to 185.
PROCESSORS = {
    **dict.fromkeys((AVX512, "skylake-avx512"), (8, 24, 0)),
    **dict.fromkeys((AVX2, "haswell"), (4, 12, 36)),
    "x86-64": (2, 12, 30),
    **dict.fromkeys(ARM, (2, 24, 4)),
}
FUSING = [name for name in PROCESSORS if name != "x86-64" and name not in ARM]  # as they were counted
HOST = "this processor"
# x*x is of the sample, the same for all runs: a scalar is right there.
OF_THE_SAMPLE = {"multiply": 1}


def limits_of(processor):
    if processor != HOST:
        return PROCESSORS[processor]
    features = llvm.get_host_cpu_features()
    if not (features.get("avx512f") or features.get("avx2")):
        pytest.skip(f"{llvm.get_host_cpu_name()} has neither AVX-512 nor AVX2")
    return PROCESSORS[AVX512 if features.get("avx512f") else AVX2]


def counted(optimizer, *, fma=False):
    ((operations, _),) = count_sections(classic(1, optimizer=optimizer), fma=fma, losses=False)
    return operations


def without_roots(operations):
    """The operations of an exact kernel where all roots, or half of them, are made of others; see `simd.division`."""
    share = 0.5 if has_fast_divider() else 1
    if not llvm.get_host_cpu_features().get("avx512f"):
        share = 0
    roots = share * operations["sqrt"]
    return operations - Counter(sqrt=roots) + Counter(multiply=3 * roots, fma=7 * roots)


@cache
def compiled(model, optimizer, width, *, fma=False):
    """The code of a kernel of lanes of this width."""
    spec = KernelSpec("lanes-fma" if fma else "lanes", model, make_loss("squared"), make_optimizer(optimizer))
    spec.__dict__["width"] = width
    return build_anew(module_of.__wrapped__(spec))


@cache
def loops_of(optimizer, processor, *, fma=False, registers=REGISTERS):
    """The innermost loops of lanes that do the arithmetic of one update or of two, and of how many.

    It is that which was counted for the formula.
    """
    width = registers * limits_of(processor)[0]
    text = assembly_of(compiled(quadratic, optimizer, width, fma=fma), None if processor == HOST else processor)
    operations = counted(optimizer, fma=fma)
    operations = (operations if fma else without_roots(operations)).items()
    wanted = {updates: {kind: updates * registers * count for kind, count in operations} for updates in (1, 2)}
    return [(loop, updates) for loop in innermost_loops(text) for updates in wanted if loop.count() == wanted[updates]]


def faults(loop, stack_accesses, updates=1):
    """What is wrong with the loop that makes one update of lanes or two, in words."""
    found = []
    if loop.count(scalar=True) != {kind: updates * count for kind, count in OF_THE_SAMPLE.items()}:
        found.append("scalar arithmetic")
    if loop.stack_accesses > updates * stack_accesses:
        found.append(f"{loop.stack_accesses} accesses to the stack")
    if not loop.is_straight:
        found.append("calls or branches")
    return found


@pytest.mark.parametrize(
    ("processor", "fma"),
    [*((name, False) for name in [*PROCESSORS, HOST]), *((name, True) for name in [*FUSING, HOST])],
)
def test_the_loop_of_the_lanes_is_vector_arithmetic_in_registers(processor, fma):
    if fma and processor in (AVX2, "haswell") and llvm.get_host_cpu_features().get("avx512f"):
        pytest.skip("fused code of a processor with AVX-512 divides by its instructions, which others do not have")
    ((loop, updates),) = loops_of("sgd", processor, fma=fma)
    assert faults(loop, limits_of(processor)[-1], updates) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("\tvmulsd\t%xmm0, %xmm1, %xmm1", "scalar arithmetic"),
        ("\tvaddsd\t%xmm0, %xmm1, %xmm31", "scalar arithmetic"),
        ("\tvmovupd\t%zmm0, 64(%rsp)", "1 accesses to the stack"),
        ("\tvaddpd\t64(%rsp), %zmm0, %zmm31", "1 accesses to the stack"),
        ("\tcallq\t*%rax", "calls or branches"),
    ],
)
def test_a_line_that_spoils_the_loop_is_noticed(line, fault):
    ((loop, _),) = loops_of("sgd", "skylake-avx512")
    assert fault in faults(Loop([line, *loop.lines]), 0)
    assert Loop(["\tvmulpd\t%zmm0, %zmm1, %zmm31", *loop.lines]).count() != loop.count()


def test_a_kernel_whose_registers_spill_is_noticed():
    """32 lanes with AVX2. (48 lanes with AVX-512, which take seconds to compile, have 374 accesses.)"""
    ((loop, _),) = loops_of("sgd", AVX2, registers=8)
    (fault,) = faults(loop, 36)
    assert int(fault.removesuffix(" accesses to the stack")) > 50


@pytest.mark.parametrize("processor", [AVX512, AVX2])
def test_registers_that_spill_lie_in_one_cache_line(processor):
    """As those of four samples at a time in `w @ x + b` do; without alignment they did in some processes alone."""
    model = Model("w @ x + b", [f"x{place}" for place in range(100)])
    functions = functions_of(assembly_of(compiled(model, "sgd", 32), processor))
    for name in ("train_batches", "loss_sum"):
        (function,) = [one for one in functions if name in one.partition(":")[0]]
        # Their number follows the processor that LLVM optimizes for.
        assert re.search(r"[yz]mm.*\(%r[sb]p\)", function)
        (alignment,) = re.findall(r"andq\t\$-(\d+), %rsp", function)
        assert int(alignment) % 64 == 0


def test_adam_needs_the_stack_because_its_moments_do_not_fit():
    """Three parameters with two moments each and the rate: 40 registers of AVX-512, of 32. There were 101 accesses,
    and 99 with roots from estimates.

    Scalars are its clock: two powers, and what is divided out for them.
    """
    ((loop, _),) = loops_of("adam", "skylake-avx512")
    assert 8 < loop.stack_accesses <= 115
    assert loop.count(scalar=True) == {"multiply": 3, "add": 2, "divide": 2, "sqrt": 1}


def some_turns(operations):
    """The operations of one turn of a loop, or of two: LLVM unrolls loops of 48 operations for AMD's processors."""
    return [{kind: turns * count for kind, count in operations.items()} for turns in (1, 2)]


@pytest.mark.parametrize(
    ("optimizer", "processor", "fma"),
    [("sgd", AVX512, False), ("sgd", AVX2, True), ("adam", AVX512, True), ("adam", AVX2, False)],
)
def test_a_roof_is_the_arithmetic_that_was_counted_and_nothing_else(optimizer, processor, fma):
    """In as many registers as it asks for: no load, no store, no call; nothing is simplified, fused or left out."""
    width, registers, _ = PROCESSORS[processor]
    sections = count_sections(many(runs=64, optimizer=optimizer), fma=fma, losses=True)
    made = [independent(*section, registers) for section in sections]
    text = assembly_of(compile_loops(made, width, registers).func, processor)
    found = [loop for loop in innermost_loops(text) if loop.count()]
    for loop, (body, _), (operations, _) in zip(found, made, sections, strict=True):
        repeats = len(body) // operations.total()
        assert loop.count() in some_turns({kind: repeats * count for kind, count in operations.items()})
        assert loop.count(scalar=True) == {}
        assert loop.memory_accesses == 0
        assert loop.is_straight
        assert len({line.rpartition(" ")[2] for line in loop.lines if "mm" in line}) == registers


@pytest.mark.parametrize("fma", [False, True])
def test_a_roof_of_one_run_is_a_chain(fma):
    chain = longest_chain(classic(1, optimizer="adam"), fma=fma)
    body, turns = dependent(chain, 1000)
    text = assembly_of(compile_loops([(body, turns)], 1, 1).func)
    (loop,) = [loop for loop in innermost_loops(text) if loop.count(scalar=True)]
    assert loop.count(scalar=True) in some_turns(
        {kind: len(body) // len(chain) * chain.count(kind) for kind in {*chain}}
    )
    assert loop.memory_accesses == 0
