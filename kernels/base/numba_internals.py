"""All that is used of numba and llvmlite beyond their public interface: typing, caches, compiler passes and locks.

Other versions may change it without notice. It was tried with those in `TRIED`; where another one differs,
`tests/kernels/base/test_numba_internals.py` says what has changed.
"""

import hashlib
import pickle
import sys
import warnings
from contextlib import AbstractContextManager, suppress
from typing import Any

import llvmlite
import numba
from llvmlite.binding.ffi import lib as llvm
from numba import _dynfunc
from numba.core import event
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.extending import _Intrinsic as Intrinsic
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.np.arrayobj import make_array

from kernels.base import cache

__all__ = [
    "LOCKS",
    "TRIED",
    "AbstractTemplate",
    "CodeCache",
    "InnerCompiler",
    "Intrinsic",
    "PlainInnerCompiler",
    "bitcode_of",
    "features_of",
    "global_compiler_lock",
    "infer_global",
    "library_of",
    "make_array",
    "record_compilations",
    "target_machine_of",
    "use_cache",
]

TRIED = ("0.62.1", "0.68.1")
"""Versions of numba that all of this was tried with."""
LOCKS = (global_compiler_lock, llvm._lock)
"""Those that a compilation holds, in the order in which it takes them."""


def features_of(context: Any = None) -> list[str]:
    """Return what the processor has that code is emitted for, as LLVM writes it: "+avx2".

    Parameters
    ----------
    context : optional
        Of the target; without it, of all that is compiled in this process.
    """
    features: list[str] = (context or cpu_target.target_context).codegen().magic_tuple()[2].split(",")
    return features


def record_compilations() -> AbstractContextManager[Any]:
    """Return a context manager whose value has a `buffer` of all that numba compiles meanwhile."""
    recorder: AbstractContextManager[Any] = event.install_recorder("numba:compile")
    return recorder


def use_cache(dispatcher: Any, kernel: str) -> None:
    """Let a compiled function keep its machine code under the name of a kernel; see `CodeCache`."""
    dispatcher._cache = CodeCache(kernel)  # as `cache=True` would, with a cache of numba's


def library_of(dispatcher: Any) -> Any:
    """Return the code library of a function that was compiled for one signature."""
    (compiled,) = dispatcher.overloads.values()
    return compiled.library


def bitcode_of(library: Any) -> bytes:
    """Return the optimized code that a library keeps beside the machine code."""
    bitcode: bytes = library._get_module_for_linking().as_bitcode()
    return bitcode


def target_machine_of(library: Any) -> Any:
    """Return what emits machine code for a library."""
    return library.codegen._tm


class CodeCache(NullCache):
    """The machine code of a kernel in the cache folder: one file, vouched for before anything in it is loaded.

    numba's own cache loads whatever bytes it finds, also those of another user, and compares the times of a source
    file. A kernel needs no such comparison: its name is a digest of all that it is made of.

    Parameters
    ----------
    kernel : str
        The name of the kernel.
    """

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function as it was saved, or None."""
        target_context.refresh()
        stored = cache.read_bytes(self._file_name(sig, target_context.codegen()))
        if stored is not None:
            # What was written as a whole may still not fit a numba that was changed without a new version.
            with suppress(Exception):
                return CompileResult._rebuild(target_context, *pickle.loads(stored))  # noqa: S301 (vouched for)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, or warn that every process has to compile it."""
        if data.library.has_dynamic_globals:
            reason: str | None = "it holds an address or a large array"
        else:
            try:
                cache.write_bytes(self._file_name(sig, data.codegen), dumps(data._reduce()))
            except OSError as error:
                reason = error.strerror
            else:
                return
        warnings.warn(
            f"the kernel cache cannot be used for {self.kernel} ({reason}): it is compiled anew in every process",
            RuntimeWarning,
            stacklevel=2,
        )

    def _file_name(self, sig: Any, codegen: Any) -> str:
        """Return a name that differs where the same kernel has other machine code: by processor and versions."""
        versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
        key = repr((sig, codegen.magic_tuple(), versions))
        return f"{self.kernel}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.nbc"


class _InnerLibrary(JITCodeLibrary):
    """The code of a function, to be linked into that of its caller."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _PlainLibrary(_InnerLibrary):
    """The same, optimized only where it is linked into."""

    def _optimize_final_module(self) -> None:
        pass


class InnerCompiler(Compiler):
    """Compiles a function for compiled callers alone: it gets no machine code of its own.

    numba makes machine code of every function that it compiles, though that of a function that is inlined, or linked
    into its caller, is never run. For the forty functions of a kernel that took a sixth of the time of compiling it.
    """

    library = _InnerLibrary

    def compile_extra(self, func: Any) -> Any:
        """Return what numba's compiler does, with an entry point that cannot be called."""
        self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.targetctx.get_executable = _make_key
        return super().compile_extra(func)


class PlainInnerCompiler(InnerCompiler):
    """Compiles a function for compiled callers alone, and leaves it to them to optimize it.

    Half of the time of a kernel of one run is spent on that. Those of lanes become slower by it: minibatches by 4 %.
    """

    library = _PlainLibrary


def _make_key(library: Any, fndesc: Any, env: Any) -> Any:
    """Return what numba finds a compiled function by in the place of an entry point; its address is 0."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))
