"""Assembly as data, on loops whose chains are worked out by hand."""

import pytest

from bench.timing.machine_code import Instruction, innermost_loops, update_loop

STACK = frozenset({"sp"})
# The quadratic with sgd, as LLVM writes it: the loop over samples, in a loop over legs.
QUADRATIC = """
kernel:
\tpushq\t%rbx
.LBB0_1:
\tmovq\t%rdi, %rbx
\t.p2align\t4
.LBB0_153:
\tvmovsd\t(%rbx,%rax,8), %xmm0
\tvmulsd\t%xmm0, %xmm6, %xmm3
\tvsubsd\t(%r15,%rax,8), %xmm3, %xmm3
\tvmulsd\t%xmm0, %xmm0, %xmm1
\tvmulsd\t%xmm0, %xmm8, %xmm0
\tincq\t%rax
\tvmulsd\t%xmm1, %xmm5, %xmm2
\tvmulsd\t%xmm1, %xmm8, %xmm1
\tvaddsd\t%xmm2, %xmm7, %xmm2
\tvaddsd\t%xmm2, %xmm3, %xmm2
\tvmulsd\t%xmm2, %xmm1, %xmm1
\tvmulsd\t%xmm2, %xmm0, %xmm0
\tvsubsd\t%xmm1, %xmm5, %xmm5
\tvmulsd\t%xmm2, %xmm8, %xmm1
\tvsubsd\t%xmm0, %xmm6, %xmm6
\tvsubsd\t%xmm1, %xmm7, %xmm7
\tcmpq\t%rax, %rcx
\tjne\t.LBB0_153
\tdecq\t%rsi
\tjne\t.LBB0_1
\tretq
"""
# More arithmetic, and no chain but that of a sum: the loop of a loss.
SUM = """
.LBB1_2:
\tvmulsd\t(%rdi,%rax,8), %xmm3, %xmm0
\tvmulsd\t(%rdi,%rax,8), %xmm4, %xmm1
\tvmulsd\t(%rdi,%rax,8), %xmm5, %xmm2
""" + "\tvmulsd\t%xmm0, %xmm1, %xmm2\n" * 20 + """\tvaddsd\t%xmm2, %xmm6, %xmm6
\tincq\t%rax
\tcmpq\t%rax, %rcx
\tjne\t.LBB1_2
"""  # fmt: skip


def loop_of(*lines, step="incq\t%rax"):
    """A loop over samples, the first of which it reads, with these lines in it."""
    body = "\n".join(f"\t{line}" for line in ("vmovsd\t(%rdi,%rax,8), %xmm15", *lines, step, "jne\t.LBB0_1"))
    return update_loop(f"kernel:\n.LBB0_1:\n{body}\n")


def cycles(add, multiply):
    return lambda one: {"add": add, "multiply": multiply, "move": 0}.get(one.kind, 1)


def test_the_chain_of_the_quadratic_is_as_by_hand():
    """A multiplication, two additions, a multiplication by lr * df/dtheta, and the subtraction."""
    loop = update_loop(QUADRATIC)
    assert loop.label == ".LBB0_153"
    assert loop.samples == 1
    assert (loop.count_of("multiply"), loop.count_of("add"), loop.arithmetic) == (8, 6, 14)
    assert (loop.stack_accesses, loop.is_straight) == (0, True)
    assert loop.chain(cycles(add=1, multiply=0)) == 3
    assert loop.chain(cycles(add=0, multiply=1)) == 2
    assert loop.chain(cycles(add=3, multiply=3)) == 15
    assert loop.chain(cycles(add=4, multiply=4)) == 20


def test_the_loop_of_the_updates_is_that_with_the_longest_chain():
    for text in (QUADRATIC + SUM, QUADRATIC.replace("retq", SUM)):
        assert update_loop(text).label == ".LBB0_153"
        assert [loop.label for loop in innermost_loops(text)] == [".LBB0_153", ".LBB1_2"]


def test_of_two_such_loops_it_is_the_one_that_takes_more_samples():
    once = ["vmulsd\t%xmm15, %xmm1, %xmm1", "vaddsd\t%xmm1, %xmm2, %xmm1"]
    small, large = ("\n".join(f"\t{line}" for line in once * times) for times in (1, 4))
    text = "kernel:\n"
    for label, body, step in ((".LBB0_1", small, 1), (".LBB0_2", large, 4), (".LBB0_3", small, 1)):
        text += f"{label}:\n\tvmovsd\t(%rdi,%rax,8), %xmm15\n{body}\n\taddq\t${step}, %rax\n\tjne\t{label}\n"
    assert update_loop(text).label == ".LBB0_2"
    assert update_loop(text).samples == 4


def test_no_loop_over_samples_is_an_error():
    with pytest.raises(ValueError, match=r"^there is no loop over samples in the assembly$"):
        update_loop("kernel:\n\tvaddsd\t%xmm0, %xmm1, %xmm2\n\tretq\n")


@pytest.mark.parametrize(
    ("step", "samples"),
    [
        ("incq\t%rax", 1),
        ("addq\t$4, %rax", 4),
        ("leaq\t4(%rax), %rax", 4),
        ("addq\t$-2, %rax", 2),
        ("addq\t$16, %rdi", 2),
    ],
)
def test_samples_of_a_turn(step, samples):
    assert loop_of("vaddsd\t%xmm15, %xmm1, %xmm1", step=step).samples == samples


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # What is fused waits for the register that it writes.
        (["vfmadd231sd\t%xmm1, %xmm2, %xmm0"], 1),
        (["vfmadd213pd\t(%rsi){1to8}, %zmm1, %zmm2", "vaddpd\t%zmm2, %zmm1, %zmm2"], 2),
        # Parts of a register are that register, and so are its names of other widths.
        (["vaddpd\t%zmm1, %zmm2, %zmm3", "vmulpd\t%ymm3, %ymm3, %ymm1"], 2),
        # A result that nobody needs in the next turn is on no chain, nor is one that is made anew.
        (["vaddsd\t%xmm1, %xmm2, %xmm3", "vmulsd\t%xmm3, %xmm3, %xmm3"], 1),
        (["vxorpd\t%xmm1, %xmm1, %xmm1", "vaddsd\t%xmm1, %xmm2, %xmm1", "vmulsd\t%xmm1, %xmm1, %xmm1"], 1),
        # A move takes no time, but hands on.
        (["vaddsd\t%xmm1, %xmm2, %xmm3", "vmovapd\t%xmm3, %xmm1"], 1),
        # What goes through the stack is the same value.
        (["vaddsd\t8(%rsp), %xmm2, %xmm3", "vmulsd\t%xmm3, %xmm4, %xmm5", "vmovsd\t%xmm5, 8(%rsp)"], 2),
        (["vaddsd\t8(%rsp), %xmm2, %xmm3", "vmulsd\t%xmm3, %xmm4, %xmm5", "vmovsd\t%xmm5, 16(%rsp)"], 1),
        # Merging keeps a part of what was there, zeroing does not.
        (["vaddpd\t%zmm2, %zmm3, %zmm1 {%k1}", "vmulpd\t%zmm1, %zmm1, %zmm1"], 2),
        (["vaddpd\t%zmm2, %zmm3, %zmm1 {%k1} {z}", "vmulpd\t%zmm1, %zmm1, %zmm1"], 1),
        # Without AVX, an instruction of two operands reads both.
        (["addsd\t%xmm2, %xmm1", "mulsd\t%xmm3, %xmm1"], 2),
        (["movapd\t%xmm2, %xmm1", "mulsd\t%xmm3, %xmm1", "addsd\t%xmm3, %xmm1"], 1),
        # Half of a period: the two values change places in each turn.
        (["vaddsd\t%xmm1, %xmm9, %xmm3", "vmovapd\t%xmm2, %xmm1", "vmovapd\t%xmm3, %xmm2"], 1),
    ],
)
def test_chains_by_hand(lines, expected):
    """In operations; the counter of the loop makes a chain of one."""
    assert loop_of(*lines).chain(cycles(add=1, multiply=1)) == expected


def test_operations_by_kind_and_width():
    loop = loop_of(
        "vaddpd\t%zmm1, %zmm2, %zmm3", "vsubsd\t%xmm1, %xmm2, %xmm3", "vmulpd\t(%rsi){1to4}, %ymm1, %ymm2",
        "vfnmadd213pd\t%zmm1, %zmm2, %zmm3", "vdivpd\t%zmm1, %zmm2, %zmm3", "vsqrtsd\t%xmm1, %xmm2, %xmm3",
        "mulsd\t%xmm1, %xmm2", "vpaddq\t%zmm1, %zmm2, %zmm3", "vbroadcastsd\t%xmm1, %zmm2",
    )  # fmt: skip
    kinds = [one.kind for one in loop.instructions]
    assert kinds == [
        "move",
        "add",
        "add",
        "multiply",
        "fma",
        "divide",
        "sqrt",
        "multiply",
        "other",
        "move",
        "other",
        "jump",
    ]
    assert [one.width for one in loop.instructions[1:4]] == [512, 128, 256]
    assert (loop.count_of("multiply", scalar=True), loop.count_of("multiply", scalar=False)) == (1, 1)


def test_a_frame_pointer_reaches_the_stack_and_is_a_register_elsewhere():
    line = "\tvmovupd\t-64(%rbp), %zmm1\n"
    for start, accesses in (("\tmovq\t%rsp, %rbp\n", 1), ("\tmovq\t%rdi, %rbp\n", 0)):
        loop = update_loop(
            f"kernel:\n{start}.LBB0_1:\n{line}\tvaddpd\t(%rdi), %zmm1, %zmm1\n\taddq\t$8, %rdi\n\tjne\t.LBB0_1\n"
        )
        assert loop.stack_accesses == accesses


@pytest.mark.parametrize("line", ["callq\t*%rbx", "jne\t.LBB0_7"])
def test_calls_and_branches_are_seen(line):
    assert not loop_of("vaddsd\t%xmm15, %xmm1, %xmm1", line).is_straight


def test_what_an_instruction_reads_and_writes():
    one = Instruction("vsubsd", ("8(%rsp,%r9,8)", "%xmm3", "%xmm14"))
    assert one.reads(STACK) == {"sp", "r9", "v3", "8(%rsp,%r9,8)"}
    assert one.writes(STACK) == {"v14"}
    assert Instruction("cmpq", ("%rax", "%r8d")).reads(STACK) == {"a", "r8"}
    assert Instruction("cmpq", ("%rax", "%r8d")).writes(STACK) == set()
    assert Instruction("imulq", ("%rcx", "%rax")).reads(STACK) == {"c", "a"}
    assert Instruction("imulq", ("$3", "%rcx", "%rax")).reads(STACK) == {"c"}
