"""What numba does not promise, tried piece by piece: where a new version differs, a sentence says what has changed."""

import re
from contextlib import contextmanager

import numba
import numpy as np
import pytest
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from sgdbench.kernels.base import numba_internals
from sgdbench.kernels.base.numba_internals import InnerCompiler, Intrinsic, PlainInnerCompiler
from sgdbench.kernels.simd.lanes import read_lane
from tests.support.constants import ROOT

if numba.config.DISABLE_JIT:
    pytest.skip("numba compiles nothing", allow_module_level=True)

DOUBLE = types.float64(types.float64)


@contextmanager
def tried(what):
    """Make a sentence of what goes wrong in the block."""
    try:
        yield
    except Exception as error:
        versions = ", ".join(numba_internals.TESTED_VERSIONS)
        pytest.fail(
            f"numba {numba.__version__} has another {what} than {versions}, with which "
            f"kernels/base/numba_internals.py was tried: {type(error).__name__}: {error}"
        )


def compiled(function, **options):
    dispatcher = njit(**options)(function)
    dispatcher.compile(DOUBLE)
    return dispatcher


def test_machine_code_is_kept_and_loaded():
    with tried("interface of caches"):
        first, second = (njit(lambda u: 2.0 * u + 1.0) for _ in range(2))
        prepared = []
        for dispatcher in (first, second):
            kept = numba_internals.CodeCache("kernel_of_a_test", lambda: prepared.append(len(prepared)))
            numba_internals.use_cache(dispatcher, kept)
        with numba_internals.record_compilations() as compilations:
            first.compile(DOUBLE)
            assert compilations.buffer, "no compilation was recorded"
        with numba_internals.record_compilations() as compilations:
            second.compile(DOUBLE)
            assert not compilations.buffer, "what was kept was compiled anew"
        assert not first.stats.cache_hits
        assert second.stats.cache_hits
        assert prepared == [0], "what was kept was prepared to be compiled"
        assert second(0.5) == 2.0


@pytest.mark.parametrize("compiler", [InnerCompiler, PlainInnerCompiler])
def test_functions_inside_a_kernel_are_kept_and_loaded(compiler):
    options = {"pipeline_class": compiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    def tripled(u):
        return 3.0 * u + 1.0

    def compilations_of_a_caller():
        inner = njit(**options)(tripled)
        numba_internals.use_cache(inner, numba_internals.InnerCache(f"tripled_by_{compiler.__name__}"))
        with numba_internals.record_compilations() as compilations:
            assert njit(lambda u: inner(u) - 1.0)(0.5) == 1.5
        return len(compilations.buffer) // 2

    with tried("bitcode of a function, or result of a compilation"):
        assert compilations_of_a_caller() == 2
        assert compilations_of_a_caller() == 1


def test_a_compilation_holds_the_locks():
    held = []

    @intrinsic
    def look(typingctx, number):
        def codegen(context, builder, sig, args):
            held.append(numba_internals.global_compiler_lock.is_locked())
            return args[0]

        return number(number), codegen

    with tried("lock of the compiler"):
        compiled(lambda u: look(u) + 1.0)
        assert held == [True]
        for lock in numba_internals.COMPILER_LOCKS:
            with lock, lock:  # one thread may take it twice
                pass


def test_without_counts_of_references_arrays_are_read_and_none_is_made():
    def total_of_halves(array):
        total = 0.0
        for half in (array[:4], array[4:]):
            for number in half:
                total += number
        return total

    with tried("option against counting references"):
        uncounted = njit(**numba_internals.NO_REFERENCE_COUNTS)
        assert uncounted(total_of_halves)(np.arange(8.0)) == 28.0
        with pytest.raises(TypingError, match=r"No implementation of function .*empty"):
            uncounted(lambda: np.empty(3))()


def test_an_intrinsic_tells_its_code():
    with tried("kind of intrinsics"):
        assert isinstance(read_lane, Intrinsic)
        assert read_lane._defn.__code__.co_name == "_read_lane"


def test_features_of_the_processor():
    with tried("target of compiled code"):
        assert all(name[0] in "+-" for name in numba_internals.features_of() if name)


def test_what_is_no_interface_is_used_in_one_file():
    public = {"numba", "numba.extending", "numba.types", "llvmlite", "llvmlite.ir", "llvmlite.binding"}
    files = [path for package in ("kernels", "bench") for path in (ROOT / package).rglob("*.py")]
    for path in files:
        imports = re.findall(r"^ *(?:from|import) ((?:numba|llvmlite)\b[\w.]*)", path.read_text("utf-8"), re.MULTILINE)
        private = set(imports) - public
        assert not private or path.name == "numba_internals.py", f"{path} imports {', '.join(private)}"
