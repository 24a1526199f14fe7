"""What numba does not promise and no result shows: how much of a kernel is compiled, and what of numba is used."""

import ast

import numba
import numpy as np
import pytest
from numba import njit

from kernels.base import numba_internals
from kernels.base.numba_internals import InnerCompiler, PlainInnerCompiler
from tests.support.constants import ROOT

if numba.config.DISABLE_JIT:
    pytest.skip("numba compiles nothing", allow_module_level=True)


@pytest.mark.parametrize("compiler", [InnerCompiler, PlainInnerCompiler])
def test_functions_inside_a_kernel_get_no_machine_code_of_their_own(compiler):
    inner = njit(pipeline_class=compiler, no_cpython_wrapper=True, no_cfunc_wrapper=True)(lambda u: 3.0 * u + 1.0)
    entry = njit(lambda u: inner(u) - 1.0)
    assert entry(0.5) == 1.5
    for function, has_code in ((inner, False), (entry, True)):
        (found,) = function.overloads.values()
        engine = found.target_context.codegen()._engine
        assert engine.is_symbol_defined(found.fndesc.llvm_func_name) is has_code


def test_references_to_arrays_are_not_counted_where_they_need_not_be():
    def total_of_halves(array):
        total = 0.0
        for half in (array[:4], array[4:]):
            for number in half:
                total += number
        return total

    for options, counts in (({}, True), (numba_internals.NO_REFERENCE_COUNTS, False)):
        dispatcher = njit(**options)(total_of_halves)
        assert dispatcher(np.arange(8.0)) == 28.0
        (code,) = dispatcher.inspect_llvm().values()
        assert ("call void @NRT_" in code) is counts


def test_what_is_no_interface_is_used_in_one_file():
    public = {"numba", "numba.extending", "numba.types", "llvmlite", "llvmlite.ir", "llvmlite.binding"}
    files = [path for package in ("kernels", "bench") for path in (ROOT / package).rglob("*.py")]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            private = {name for name in names if name.split(".")[0] in ("numba", "llvmlite")} - public
            assert not private or path.name == "numba_internals.py", f"{path} imports {', '.join(private)}"
