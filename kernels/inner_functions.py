"""The functions inside a kernel, which only compiled code calls: they get no machine code of their own.

numba makes machine code of every function that it compiles, though that of a function that is inlined, or linked into
its caller, is never run. Of the forty functions of a kernel that took a sixth of the time of compiling it.
"""

from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


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
    """Compiles a function for its callers alone."""

    library = _InnerLibrary

    def compile_extra(self, func: Any) -> Any:
        """Return what numba's compiler does, with an entry point that cannot be called."""
        self.state.library = self.library(self.state.targetctx.codegen(), func.__qualname__)
        self.state.targetctx.get_executable = _make_key
        return super().compile_extra(func)


class PlainInnerCompiler(InnerCompiler):
    """Compiles a function for its callers alone, and leaves it to them to optimize it.

    Half of the time of a kernel of one run is spent on that. Those of lanes become slower by it: minibatches by 4 %.
    """

    library = _PlainLibrary


def _make_key(library: Any, fndesc: Any, env: Any) -> Any:
    """Return what numba finds a compiled function by in the place of an entry point; its address is 0."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))
