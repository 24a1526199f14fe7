"""The machine code of a kernel, as assembly to be read."""

from typing import Any

import llvmlite.binding as llvm

from kernels.numba_internals import bitcode_of, library_of, target_machine_of
from kernels.specialize import Kernel


def assembly(kernel: Kernel, processor: str | None = None) -> str:
    """Return the assembly of a kernel, all its functions, in the syntax of AT&T.

    It is emitted from the optimized code that is kept in the cache folder beside the machine code, by the same back end
    with the same options: numba has no assembly of what it has loaded. The back end has prepared that code once
    already, so around the loops the text may differ a little from what runs; the loops were the same, register by
    register.

    Parameters
    ----------
    kernel : Kernel
    processor : str, optional
        What LLVM calls the processor to emit code for, such as "x86-64-v3"; without it, the one that runs the kernel.
        The code before the back end stays that of this machine.

    Raises
    ------
    ValueError
        If the kernel was not compiled, or LLVM does not know such a processor here.
    """
    dispatcher = kernel.load()
    if not hasattr(dispatcher, "overloads"):
        raise ValueError(f"{kernel.name} is not compiled: numba's JIT is off")
    library = library_of(dispatcher)
    # A copy: the back end changes what it is given.
    module = llvm.parse_bitcode(bitcode_of(library))
    machine = target_machine_of(library) if processor is None else _machine_of(processor)
    text: str = machine.emit_assembly(module)
    return text


def _machine_of(processor: str) -> Any:
    """Return what emits code for a processor, with the options that numba has."""
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    if not llvm.get_process_triple().startswith("x86_64"):
        raise ValueError(f"code for {processor} cannot be emitted on {llvm.get_process_triple()}")
    return target.create_target_machine(cpu=processor, opt=3, reloc="default", codemodel="jitdefault", jit=True)
