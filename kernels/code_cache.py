"""The machine code of a kernel, kept in the cache folder: one file, vouched for before anything in it is loaded.

numba's own cache loads whatever bytes it finds, asks nobody who could have written them, and compares the times of a
source file. A kernel needs no such comparison: its name is a digest of all that it is made of.
"""

import hashlib
import pickle
import sys
import warnings
from contextlib import suppress
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from kernels import cache


class CodeCache(NullCache):
    """What a numba dispatcher asks for machine code, and gives it to.

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
