"""The private parts of numba and llvmlite that are used: typing, caches, compiler passes and locks.

A new version may change them without notice. They were tried with the versions in `TRIED`; where another one differs,
`tests/kernels/base/test_numba_internals.py` names the difference.
"""

import hashlib
import pickle
import sys
import warnings
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import llvmlite
import numba
from llvmlite.binding import parse_bitcode
from llvmlite.binding.ffi import lib as llvm
from numba import _dynfunc
from numba.core import cgutils, event
from numba.core.caching import NullCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult, compile_result
from numba.core.compiler_lock import global_compiler_lock
from numba.core.environment import Environment, lookup_environment
from numba.core.extending import _Intrinsic as Intrinsic
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.core.types.misc import unliteral
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.np.arrayobj import make_array, populate_array

from kernels.base import cache

# Imported from here by others.
__all__ = ["AbstractTemplate", "Intrinsic", "global_compiler_lock", "infer_global", "make_array"]

TRIED = ("0.66.0", "0.68.1")
"""Versions of numba."""
LOCKS = (global_compiler_lock, llvm._lock)
"""The locks of a compilation, in the order in which it takes them."""

NO_REFERENCE_COUNTS = {"_nrt": False}
"""The option of `numba.njit` for functions that allocate nothing and leave their arrays to the caller."""


def features_of(context: Any = None) -> list[str]:
    """Return the features of the processor that code is emitted for, as LLVM writes them: "+avx2".

    Parameters
    ----------
    context : optional
        The target; by default that of all code that is compiled in this process.
    """
    features: list[str] = (context or cpu_target.target_context).codegen().magic_tuple()[2].split(",")
    return features


def allows_fma(context: Any) -> bool:
    """Return whether a multiplication and an addition may be fused in the code that is emitted, as `fastmath` says."""
    return bool(context.fastmath)


def row_of_array(context: Any, builder: Any, kind: Any, row: Any, array: Any, number: Any) -> Any:
    """Emit array[number], an array of the type `row`, of a contiguous array of the type `kind`; it has no owner."""
    whole, part = make_array(kind)(context, builder, array), make_array(row)(context, builder)
    shape, strides = (cgutils.unpack_tuple(builder, numbers) for numbers in (whole.shape, whole.strides))
    data = cgutils.pointer_add(builder, whole.data, builder.mul(number, strides[0]))
    populate_array(part, data, shape[1:], strides[1:], whole.itemsize, None)
    return part._getvalue()


def record_compilations() -> AbstractContextManager[Any]:
    """Return a context manager whose value has a `buffer` of the compilations in the block."""
    recorder: AbstractContextManager[Any] = event.install_recorder("numba:compile")
    return recorder


def use_cache(dispatcher: Any, kept: "CodeCache") -> None:
    """Make a function keep its code in a cache."""
    dispatcher._cache = kept  # `cache=True` would set a cache of numba's


def ignore_literals(dispatcher: Any) -> None:
    """Let a function be compiled once for integers: numba takes the 0 and the 1 of two calls for different types."""
    get_call_template = dispatcher.get_call_template

    def get_call_template_of_types(args: Any, kws: Any) -> Any:
        return get_call_template([*map(unliteral, args)], {name: unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = get_call_template_of_types


class CodeCache(NullCache):
    """The machine code of a kernel in the cache folder: one file, whose checksum is compared before it is loaded.

    numba's own cache loads any bytes that it finds, also those of another user, and compares the times of a source
    file. A kernel needs no such comparison: its name is a digest of all that it is made of.

    Parameters
    ----------
    name
    prepare : callable, optional
        Called before a function is compiled of which there is no code.
    """

    suffix = "nbc"

    def __init__(self, name: str, prepare: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._prepare = prepare

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function as it was saved, or None."""
        # Loaded code needs the runtime alone. `target_context.refresh()` would also import what numba compiles with:
        # seventy modules, SciPy's linear algebra among them, which takes a seventh of a second.
        rtsys.initialize(target_context)
        stored = cache.read_bytes(self._file_name(sig, target_context.codegen()))
        if stored is not None:
            # An intact file may still not fit a numba that was changed without a new version.
            with suppress(Exception):
                return CompileResult._rebuild(target_context, *pickle.loads(stored))  # noqa: S301 (vouched for)
        self._prepare()
        return None

    def is_stored(self, sig: Any) -> bool:
        """Return whether there is a file for a signature, on this processor and with these versions."""
        folder = cache.folder()
        return folder is not None and (folder / self._file_name(sig, cpu_target.target_context.codegen())).exists()

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled function, or warn that every process has to compile it."""
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
            f"the kernel cache cannot be used for {self.name} ({reason}): it is compiled again in every process",
            RuntimeWarning,
            stacklevel=2,
        )

    def _file_name(self, sig: Any, codegen: Any) -> str:
        """Return the name of the file: another one for other signatures, processors and versions."""
        versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
        key = repr((sig, codegen.magic_tuple(), versions))
        return f"{self.name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.{self.suffix}"


class InnerCache(CodeCache):
    """The code of a function that is linked into others, as LLVM's bitcode in the cache folder."""

    suffix = "bc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function as it was saved, or None."""
        stored = cache.read_bytes(self._file_name(sig, target_context.codegen()))
        if stored is not None:
            with suppress(Exception):
                bitcode, fndesc, signature = pickle.loads(zlib.decompress(stored))  # noqa: S301 (vouched for)
                environment = Environment.from_fndesc(fndesc)
                return compile_result(
                    target_context=target_context,
                    typing_context=target_context.typing_context,
                    library=_InnerLibrary.of_bitcode(target_context.codegen(), fndesc, bitcode),
                    environment=environment,
                    entry_point=_make_key(None, fndesc, environment),
                    fndesc=fndesc,
                    signature=signature,
                    objectmode=False,
                )
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled function, where it needs no objects of Python and there is room."""
        used = (lookup_environment(variable.name) for variable in data.library._final_module.global_variables)
        objects = any(environment is not None and environment.consts for environment in used)
        if not (objects or data.reload_init or data.library.has_dynamic_globals):
            data.fndesc.typemap = data.fndesc.calltypes = None  # which may hold what cannot be pickled
            bitcode = data.library._get_module_for_linking().as_bitcode()
            with suppress(OSError):
                saved = zlib.compress(dumps((bitcode, data.fndesc, data.signature)), level=1)
                cache.write_bytes(self._file_name(sig, data.library.codegen), saved)


class _InnerLibrary(JITCodeLibrary):
    """The code of a function that is linked into the code of its caller."""

    @classmethod
    def of_bitcode(cls, codegen: Any, fndesc: Any, bitcode: bytes) -> "_InnerLibrary":
        """Return the code that was saved."""
        library = cls(codegen, fndesc.qualname)
        library._final_module = library._shared_module = parse_bitcode(bitcode)
        library._finalized = True
        return library

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _PlainLibrary(_InnerLibrary):
    """The same, optimized only where it is linked into."""

    def _optimize_final_module(self) -> None:
        pass


class InnerCompiler(Compiler):
    """A compiler of functions that only compiled functions call: they get no machine code of their own.

    numba makes machine code of every function, though it is never run where the function is inlined or linked into its
    caller. For the forty functions of a kernel that took a sixth of the time of compiling it.
    """

    library = _InnerLibrary

    def compile_extra(self, func: Any) -> Any:
        """Return the result of numba's compiler, with an entry point that cannot be called."""
        self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.targetctx.get_executable = _make_key
        return super().compile_extra(func)


class PlainInnerCompiler(InnerCompiler):
    """The same without optimization before a function is linked into its caller.

    That halves the time to compile a kernel of one run. Kernels of lanes become slower by it, minibatches by 4 %; those
    of models with vectors do not.
    """

    library = _PlainLibrary


def _make_key(library: Any, fndesc: Any, env: Any) -> Any:
    """Return an entry point for numba to find a compiled function by; its address is 0."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))
