"""Machine code as assembly, read as far as tests need it: the innermost loops, and what is in them.

It is what LLVM prints for x86-64 in the syntax of AT&T, where the operand that is written stands last, or for arm64.
"""

import re
from typing import NamedTuple

import llvmlite.binding as llvm
import numba
import pytest

KINDS = {
    "add": r"v?(?:add|sub)",
    "multiply": r"v?mul",
    "fma": r"vfn?m(?:add|sub)\d*",
    "divide": r"v?div",
    "sqrt": r"v?sqrt",
}
ARM_KINDS = {
    "add": "f(?:add|sub)",
    "multiply": "fn?mul",
    "fma": "fn?m(?:la|ls|add|sub)",
    "divide": "fdiv",
    "sqrt": "fsqrt",
}
JUMP = r"\t(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\t(?:.*, )?(\.L\w+)"
AVX512, AVX2 = "x86-64-v4", "x86-64-v3"
ARM = ("neoverse-v2", "apple-m1")


def skip_without_assembly():
    """Skip a module of tests where there is no machine code, or it is not that of x86-64."""
    if numba.config.DISABLE_JIT:
        pytest.skip("there is no machine code: numba's JIT is off", allow_module_level=True)
    if not llvm.get_process_triple().startswith("x86_64"):
        pytest.skip(f"reads assembly of x86-64, and this is {llvm.get_process_triple()}", allow_module_level=True)


def assembly_of(compiled, processor=None):
    """The assembly of a library of numba, or of a function, from its optimized code for this processor or another."""
    if hasattr(compiled, "overloads"):
        (made,) = compiled.overloads.values()
        compiled = made.library
    # A copy: the back end changes what it is given.
    module = llvm.parse_bitcode(compiled._get_module_for_linking().as_bitcode())
    machine = compiled.codegen._tm
    if processor in ARM:
        return arm_assembly_of(without_order(module), processor)
    if processor:
        if "avx512" not in processor and processor != AVX512:
            module = llvm.parse_assembly(without_order(module))
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(cpu=processor, opt=3, reloc="default", codemodel="jitdefault", jit=True)
    return machine.emit_assembly(module)


def without_order(module):
    """LLVM's code without what keeps an order of registers of AVX-512 (`sgdbench.kernels.simd.division`)."""
    operand = r"<8 x double> [^,()]+"
    return re.sub(
        rf'(?:tail )?call <8 x double> asm "", "=v,0,v"\(({operand}), {operand}\)(?: #\d+)?', r"freeze \1", str(module)
    )


def arm_assembly_of(code, processor):
    """The assembly of LLVM's code for x86-64, emitted for another architecture."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError as error:
        pytest.skip(f"this LLVM does not compile for arm64: {error}")
    machine = target.create_target_machine(cpu=processor, opt=3)
    code = re.sub('target triple = ".*"', f'target triple = "{machine.triple}"', code)
    code = re.sub('target datalayout = ".*"', f'target datalayout = "{machine.target_data}"', code)
    # Numba counts references to arrays by an instruction of x86-64, outside of loops.
    code = re.sub(r"(?:tail )?call i8 @llvm\.x86\.atomic\.sub\.cc.*", "add i8 0, 0", code)
    code = re.sub(r"declare i8 @llvm\.x86\.atomic.*", "", code)
    assert "llvm.x86." not in code  # which would end the process
    return machine.emit_assembly(llvm.parse_assembly(code))


class Loop(NamedTuple):
    """The instructions of a loop without loops in it; the last one jumps to the first."""

    lines: list[str]

    @property
    def is_arm(self):
        return not any("%" in line for line in self.lines)

    def count(self, *, scalar=False):
        """How many operations on floats there are, by kind: those on vectors, or those on scalars."""
        if self.is_arm:
            patterns = {kind: rf"\t{name}\t{'[sd]' if scalar else 'v'}\d" for kind, name in ARM_KINDS.items()}
        else:
            patterns = {kind: rf"\t{name}{'s[sd]' if scalar else 'p[sd]'}\t" for kind, name in KINDS.items()}
        found = {kind: sum(bool(re.match(pattern, line)) for line in self.lines) for kind, pattern in patterns.items()}
        return {kind: count for kind, count in found.items() if count}

    @property
    def stack_accesses(self):
        return sum(bool(re.search(r"\(%r[sb]p|\[(?:sp|x29)", line)) for line in self.lines)

    @property
    def memory_accesses(self):
        return sum("(%" in line and not line.startswith("\tlea") for line in self.lines)

    @property
    def is_straight(self):
        branch = r"\t(?:b|b\.\w+|blr?|cbn?z|tbn?z)\t" if self.is_arm else r"\t(?:j|call)"
        return not any(re.match(branch, line) for line in self.lines[:-1])


def functions_of(text):
    """The functions of an assembly, each from its label on."""
    return re.split(r"^(?=[^.\s][^\n]*:)", text, flags=re.MULTILINE)


def innermost_loops(text, function=""):
    """The loops without loops in them, of the functions whose label contains a text."""
    for part in functions_of(text):
        lines = part.splitlines()
        if not lines or function not in lines[0]:
            continue
        labels = {line.partition(":")[0]: place for place, line in enumerate(lines) if re.match(r"\.L\w+:", line)}
        jumps = [(place, re.match(JUMP, line)) for place, line in enumerate(lines)]
        spans = {(labels[jump[1]], place) for place, jump in jumps if jump and labels.get(jump[1], place) < place}
        for first, last in sorted(spans):
            if not any((first, last) != other and first <= other[0] and other[1] <= last for other in spans):
                yield Loop([line for line in lines[first : last + 1] if re.match(r"\t[a-z]", line)])
