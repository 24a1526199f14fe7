"""Building a kernel: from its text to machine code with an address, cached on disk.

The text is a module in the cache folder, so that tracebacks, debuggers and profilers show its lines. Its functions are
compiled one by one and linked. Functions of equal text are reused, also by other kernels and processes: their key is a
digest of their text and of everything that they call.
"""

import gc
import linecache
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numba

from sgdbench.kernels.base import cache
from sgdbench.kernels.base.announcements import announce
from sgdbench.kernels.base.checks import errors_in_one_line
from sgdbench.kernels.base.forking import wait_when_forking
from sgdbench.kernels.base.numba_internals import COMPILER_LOCKS, CodeCache, global_compiler_lock, use_cache
from sgdbench.kernels.loops import call
from sgdbench.kernels.loops import sums as _sums  # noqa: F401 (a fork does not wait for what a generated module imports first)
from sgdbench.kernels.loops.jit import digest, keep
from sgdbench.kernels.simd import compiled_functions as _functions  # noqa: F401 (as above)
from sgdbench.kernels.simd import sums as _lane_sums  # noqa: F401 (as above)

wait_when_forking(*COMPILER_LOCKS)


class Module(NamedTuple):
    """The text of a kernel, and the type of its samples' numbers: everything that the kernel depends on."""

    text: str
    dtype: str = "float64"


class Built(NamedTuple):
    """A kernel that can be called.

    Attributes
    ----------
    address : int
        Called by `sgdbench.kernels.loops.call.call_kernel`; where the JIT is off, the Python function itself.
    cold_seconds : float
        The time that compilation took, in whatever process; nan if unknown.
    load : callable
        Reads the machine code from the cache folder again, so that this can be timed.
    """

    address: Any
    cold_seconds: float
    load: Callable[[], Any]


_built: dict[Module, Built] = {}


def name_of(module: Module) -> str:
    """Return the name of a module: a digest of its text and of the code that intrinsics emit."""
    return f"kernel_{digest(module.text, module.dtype)[:16]}"


def is_stored(module: Module) -> bool:
    """Return whether a kernel needs no compilation: its code is in this process or the cache, or the JIT is off."""
    if numba.config.DISABLE_JIT or module in _built:
        return True
    return CodeCache(name_of(module)).is_stored(call.signature_of(module.dtype).args)


def build(module: Module) -> Built:
    """Return a kernel, compiled or loaded from the cache folder at most once per process."""
    if module not in _built:
        with announce("compiling a kernel"), errors_in_one_line("no kernel can be compiled of this"):
            _built[module] = _build(module)
    return _built[module]


def _build(module: Module) -> Built:
    started = time.perf_counter()
    name = name_of(module)
    scope = run_text(name, module.text)
    if numba.config.DISABLE_JIT:
        return Built(scope["kernel"], 0.0, lambda: None)
    dispatcher = compile_or_load(name, module, scope["kernel"])
    cold_seconds, note = time.perf_counter() - started, f"{name}.seconds"
    if dispatcher.stats.cache_hits:
        cold_seconds = float(cache.read(note) or "nan")
    else:
        cache.write(note, repr(cold_seconds))
    return Built(
        _address(dispatcher), cold_seconds, lambda: compile_or_load(name, module, run_text(name, module.text)["kernel"])
    )


def build_anew(module: Module) -> Any:
    """Compile a kernel whatever is stored, and return numba's library: one loaded from a cache has no assembly."""
    kernel = run_text(name_of(module), module.text)["kernel"]
    kernel.compile(call.signature_of(module.dtype).args)
    (result,) = kernel.overloads.values()
    return result.library


def run_text(name: str, text: str) -> dict[str, Any]:
    """Run the text of a kernel as a module of this name, and return its namespace."""
    folder = cache.folder()
    file = f"{name}.py"
    if cache.read(file) != text:
        cache.write(file, text)
    path = str(folder / file) if folder else f"<{file}>"
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    module = sys.modules[name] = ModuleType(name)
    exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102 (our own text)
    if not numba.config.DISABLE_JIT:
        _share_functions(module, text)
    return module.__dict__


def _share_functions(module: ModuleType, text: str) -> None:
    """Rename the functions of a module to digests of what they compute, under which their code is cached."""
    digests: dict[str, str] = {}
    head = text.partition("\n@njit")[0]
    for own, name in re.findall(r"^(@njit\([^\n]*\)\ndef (\w+)\(.*?)(?=^@njit|\Z)", text, re.DOTALL | re.MULTILINE):
        function = module.__dict__[name]
        called = [digests[one] for one in dict.fromkeys(re.findall(r"\w+", own)) if one in digests]
        digests[name] = digest(head, own, *called)
        if name != "kernel":
            keep(function, f"{name}_{digests[name][:16]}")


def compile_or_load(name: str, module: Module, kernel: Any) -> Any:
    """Compile the entry of a kernel, or load it from the cache folder if it is stored."""
    kernel.py_func.__module__ = name
    use_cache(kernel, CodeCache(name))
    # The process cannot fork while a thread holds the lock, so no child starts with garbage collection disabled.
    with global_compiler_lock, _collections_paused():
        kernel.compile(call.signature_of(module.dtype).args)
    return kernel


def _address(dispatcher: Any) -> int:
    (result,) = dispatcher.overloads.values()
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name))


@contextmanager
def _collections_paused() -> Iterator[None]:
    """Pause Python's garbage collector, which would take a tenth of the compile time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
