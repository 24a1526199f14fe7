"""The machine code of the lanes: what the loop of the updates may contain, and that a spoiled one is noticed."""

from functools import cache

import llvmlite.binding as llvm
import numba
import pytest

from bench.timing.machine_code import innermost_loops, parse_instruction, update_loop
from kernels.assembly import assembly
from kernels.block import WIDTH
from kernels.losses import make_loss
from kernels.models import quadratic
from kernels.optimizers import make_optimizer
from kernels.specialize import Kernel, specialize

if numba.config.DISABLE_JIT:
    pytest.skip("there is no machine code: numba's JIT is off", allow_module_level=True)
if not llvm.get_process_triple().startswith("x86_64"):
    pytest.skip(f"reads assembly of x86-64, and this is {llvm.get_process_triple()}", allow_module_level=True)

HOST = "this processor"
# What code is emitted for, with the doubles in a register and the accesses to the stack that are allowed.
#
# Of the quadratic with sgd, theta and the rate are 4 * 32 doubles: 16 of the 32 registers of AVX-512, so that nothing
# has to leave them; and 32 of the 16 that AVX2 has, so that half of it waits on the stack. There were 98 accesses.
AVX512, AVX2 = (8, 0), (4, 110)
PROCESSORS = {"x86-64-v4": AVX512, "skylake-avx512": AVX512, "x86-64-v3": AVX2, HOST: None}
# Of an update: b*x, x*x*a, lr times two derivatives that are not 1, and that times r for three parameters; x*x + c, the
# tree of r, and three steps. x*x itself is of the sample, the same for all runs: a scalar is right there.
MULTIPLICATIONS, ADDITIONS, OF_THE_SAMPLE = 7, 6, 1


def kernel_of(optimizer, width=WIDTH):
    return specialize(quadratic.program, make_loss("squared"), make_optimizer(optimizer), width=width)


@cache
def loop_of(optimizer, processor):
    """The loop that makes the updates of lanes."""
    return update_loop(assembly(kernel_of(optimizer), None if processor == HOST else processor))


def limits_of(processor):
    """The doubles in a register, and the accesses to the stack that are allowed."""
    found = PROCESSORS[processor]
    if found is None:
        features = llvm.get_host_cpu_features()
        if not (features.get("avx512f") or features.get("avx2")):
            pytest.skip(f"{llvm.get_host_cpu_name()} has neither AVX-512 nor AVX2")
        found = AVX512 if features.get("avx512f") else AVX2
    return found


def faults(loop, doubles, stack_accesses):
    """What is wrong with the loop that makes the updates of lanes, in words."""
    registers = WIDTH // doubles
    wanted = {"multiply": MULTIPLICATIONS * registers, "add": ADDITIONS * registers}
    scalars = {kind: loop.count_of(kind, scalar=True) for kind in ("multiply", "add", "fma", "divide", "sqrt")}
    found = []
    if scalars.pop("multiply") > OF_THE_SAMPLE or any(scalars.values()):
        found.append("scalar arithmetic")
    if any(loop.count_of(kind, scalar=False) != count for kind, count in wanted.items()):
        found.append("more or less arithmetic than the formula has")
    if loop.stack_accesses > stack_accesses:
        found.append(f"{loop.stack_accesses} accesses to the stack")
    if not loop.is_straight:
        found.append("calls or branches")
    if loop.samples != 1:
        found.append(f"{loop.samples} samples in a turn")
    return found


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_loop_of_the_lanes_is_vector_arithmetic_in_registers(processor):
    assert faults(loop_of("sgd", processor), *limits_of(processor)) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("vmulsd\t%xmm0, %xmm1, %xmm1", "scalar arithmetic"),
        ("vaddsd\t%xmm0, %xmm1, %xmm31", "scalar arithmetic"),
        ("vmulpd\t%zmm0, %zmm1, %zmm31", "more or less arithmetic than the formula has"),
        ("vmovupd\t%zmm0, 64(%rsp)", "1 accesses to the stack"),
        ("vaddpd\t64(%rsp), %zmm0, %zmm31", "1 accesses to the stack"),
        ("callq\t*%rax", "calls or branches"),
    ],
)
def test_a_line_that_spoils_the_loop_is_noticed(line, fault):
    loop = loop_of("sgd", "skylake-avx512")
    spoiled = loop._replace(instructions=(parse_instruction(line), *loop.instructions))
    assert fault in faults(spoiled, *AVX512)


def test_a_kernel_whose_registers_spill_is_noticed():
    """The code for AVX2, under the rules for AVX-512. (48 lanes, which take seconds to compile, have 374 accesses.)"""
    (fault,) = faults(loop_of("sgd", "x86-64-v3"), AVX2[0], AVX512[1])
    assert int(fault.removesuffix(" accesses to the stack")) > 50


def test_adam_needs_the_stack_because_its_moments_do_not_fit():
    """Three parameters with two moments each and the rate: 40 registers of AVX-512, of 32. There were 101 accesses.

    Scalars are its clock: two powers, and what is divided out for them.
    """
    loop = loop_of("adam", "skylake-avx512")
    assert 8 < loop.stack_accesses <= 115
    scalars = {kind: loop.count_of(kind, scalar=True) for kind in ("multiply", "add", "divide", "sqrt")}
    assert scalars == {"multiply": OF_THE_SAMPLE + 2, "add": 2, "divide": 2, "sqrt": 1}
    assert loop.count_of("divide", scalar=False) == loop.count_of("sqrt", scalar=False) == 3 * WIDTH // 8


def test_the_chain_of_one_run_is_the_one_that_the_formula_has():
    """From theta to theta: a multiplication, two additions, a multiplication by lr * df/dtheta, the subtraction."""
    loop = update_loop(assembly(kernel_of("sgd", width=1)))
    for kind, length in (("multiply", 2), ("add", 3)):
        assert loop.chain(lambda one, kind=kind: float(one.kind == kind)) == length * loop.samples
    assert loop.stack_accesses == 0


def test_what_was_loaded_from_the_cache_has_the_assembly_of_what_was_compiled():
    kernel = kernel_of("sgd", width=1)
    dispatcher = kernel.load()
    assert dispatcher.stats.cache_hits
    with pytest.warns(UserWarning, match="Inspection disabled for cached code"):
        (nothing,) = dispatcher.inspect_asm().values()
    assert list(innermost_loops(nothing)) == []
    assert len(list(innermost_loops(assembly(kernel)))) > 10


def test_what_has_no_assembly_is_refused():
    plain = Kernel("kernel_1", lambda: None, 0.0, "", 0.0, lambda: print)
    with pytest.raises(ValueError, match=r"^kernel_1 is not compiled: numba's JIT is off$"):
        assembly(plain)
