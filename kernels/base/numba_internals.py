"""The private parts of numba and llvmlite that are used: typing, caches, compiler passes and locks.

New versions may change them without notice. `TESTED_VERSIONS` lists the versions tested; with another version,
`tests/kernels/base/test_numba_internals.py` names the differences.
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

from sgdbench.kernels.base import cache

# Other modules import these names from here.
__all__ = ["AbstractTemplate", "Intrinsic", "global_compiler_lock", "infer_global", "make_array"]

TESTED_VERSIONS = ("0.66.0", "0.68.1")
"""Versions of numba."""
COMPILER_LOCKS = (global_compiler_lock, llvm._lock)
"""The locks of a compilation, in the order in which it takes them."""

NO_REFERENCE_COUNTS = {"_nrt": False}
"""The option of `numba.njit` for functions that allocate nothing and leave their arrays to the caller."""


def features_of(context: Any = None) -> list[str]:
    """Return the features of the target processor in LLVM's notation, for example "+avx2".

    Parameters
    ----------
    context : optional
        The target; by default that of all code compiled in this process.
    """
    features: list[str] = (context or cpu_target.target_context).codegen().magic_tuple()[2].split(",")
    return features


def allows_fma(context: Any) -> bool:
    """Return whether `fastmath` lets the emitted code fuse a multiplication with an addition."""
    return bool(context.fastmath)


def row_of_array(context: Any, builder: Any, kind: Any, row: Any, array: Any, number: Any) -> Any:
    """Emit array[number] as an array of type `row`, for a contiguous array of type `kind`; the view has no owner."""
    whole, part = make_array(kind)(context, builder, array), make_array(row)(context, builder)
    shape, strides = (cgutils.unpack_tuple(builder, numbers) for numbers in (whole.shape, whole.strides))
    data = cgutils.pointer_add(builder, whole.data, builder.mul(number, strides[0]))
    populate_array(part, data, shape[1:], strides[1:], whole.itemsize, None)
    return part._getvalue()


def record_compilations() -> AbstractContextManager[Any]:
    """Return a context manager whose value has a `buffer` of the compilations in the block."""
    recorder: AbstractContextManager[Any] = event.install_recorder("numba:compile")
    return recorder


def use_cache(dispatcher: Any, cache: "CodeCache") -> None:
    """Make a function keep its code in a cache."""
    dispatcher._cache = cache  # `cache=True` would set a cache of numba's


def ignore_literals(dispatcher: Any) -> None:
    """Compile a function once for all integers: numba gives literal 0 and 1 different types."""
    get_call_template = dispatcher.get_call_template

    def get_call_template_of_types(args: Any, kws: Any) -> Any:
        return get_call_template([*map(unliteral, args)], {name: unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = get_call_template_of_types


class CodeCache(NullCache):
    """The machine code of a kernel in the cache folder: one file, whose checksum is verified before loading.

    numba's own cache loads any bytes that it finds, even another user's, and compares the modification time of a source
    file. A kernel needs no such comparison: its name is a digest of everything that it is made of.

    Parameters
    ----------
    name
    prepare : callable, optional
        Called before a function without stored code is compiled.
    """

    suffix = "nbc"

    def __init__(self, name: str, prepare: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._prepare = prepare

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the stored compiled function, or None."""
        # Loaded code needs the runtime only. `target_context.refresh()` would also import numba's compiler: seventy
        # modules, among them SciPy's linear algebra, in 0.14 s.
        rtsys.initialize(target_context)
        stored = cache.read_bytes(self._file_name(sig, target_context.codegen()))
        if stored is not None:
            # An intact file may still not fit a numba that was modified without a new version number.
            with suppress(Exception):
                return CompileResult._rebuild(target_context, *pickle.loads(stored))  # noqa: S301 (vouched for)
        self._prepare()
        return None

    def is_stored(self, sig: Any) -> bool:
        """Return whether code for a signature is stored, for this processor and these versions."""
        folder = cache.folder()
        return folder is not None and (folder / self._file_name(sig, cpu_target.target_context.codegen())).exists()

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled function, or warn that every process has to compile it."""
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
        """Return the name of the file, which depends on signature, processor and versions."""
        versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__)
        key = repr((sig, codegen.magic_tuple(), versions))
        return f"{self.name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.{self.suffix}"


class InnerCache(CodeCache):
    """The code of a function that is linked into others, stored as LLVM bitcode in the cache folder."""

    suffix = "bc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the stored function, or None."""
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
        """Store a compiled function if it uses no Python objects and there is room."""
        used = (lookup_environment(variable.name) for variable in data.library._final_module.global_variables)
        objects = any(environment is not None and environment.consts for environment in used)
        if not (objects or data.reload_init or data.library.has_dynamic_globals):
            data.fndesc.typemap = data.fndesc.calltypes = None  # these may hold objects that cannot be pickled
            bitcode = data.library._get_module_for_linking().as_bitcode()
            with suppress(OSError):
                saved = zlib.compress(dumps((bitcode, data.fndesc, data.signature)), level=1)
                cache.write_bytes(self._file_name(sig, data.library.codegen), saved)


class _InnerLibrary(JITCodeLibrary):
    """The code of a function that is linked into its caller's code."""

    @classmethod
    def of_bitcode(cls, codegen: Any, fndesc: Any, bitcode: bytes) -> "_InnerLibrary":
        """Return the library of stored bitcode."""
        library = cls(codegen, fndesc.qualname)
        library._final_module = library._shared_module = parse_bitcode(bitcode)
        library._finalized = True
        return library

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _PlainLibrary(_InnerLibrary):
    """Like `_InnerLibrary`, but optimized only after linking into the caller."""

    def _optimize_final_module(self) -> None:
        pass


class InnerCompiler(Compiler):
    """A compiler for functions that only compiled functions call; it emits no separate machine code for them.

    numba emits machine code for every function, although a function inlined or linked into its caller never runs it.
    That took a sixth of the compile time of a kernel with forty functions.
    """

    library = _InnerLibrary

    def compile_extra(self, func: Any) -> Any:
        """Return the result of numba's compiler, with an entry point that cannot be called."""
        self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.targetctx.get_executable = _make_key
        return super().compile_extra(func)


class PlainInnerCompiler(InnerCompiler):
    """Like `InnerCompiler`, but without optimization before a function is linked into its caller.

    This halves the compile time of a kernel for one run. It makes kernels of lanes slower, minibatches by 4 %, but not
    those of models with vectors.
    """

    library = _PlainLibrary


def _make_key(library: Any, fndesc: Any, env: Any) -> Any:
    """Return an entry point under which numba finds a compiled function; its address is 0."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))
