"""Parallel compilation of kernels in helper processes: numba compiles one function at a time per process.

A helper receives the text of a kernel and writes machine code to the cache folder, from which this process loads it.
If a helper fails, this process compiles what is missing.
"""

import atexit
import pickle
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Lock, Thread

from sgdbench.kernels.base import cache
from sgdbench.kernels.base.announcements import announce
from sgdbench.kernels.compile.build import Module, build, is_stored
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.loops.driver import compile_driver

HELPER_CODE = (
    "import sys; sys.path[:] = {path!r}; from sgdbench.kernels.train.compile_together import help_compiling as go; go()"
)
DONE_SIGNAL = b"."
FEEDER_THREAD = "sgdbench-feeder"
"""The name of threads that tell other processes what to compile."""
# Each process takes up to a third of a gigabyte.
MAX_PROCESSES = 16

_lock = Lock()
_now: dict[Module, Event] = {}
_later: dict[Module, Event] = {}
_begun: dict[Module, Event] = {}
_helpers: set["subprocess.Popen[bytes]"] = set()


def compile_together(specs: Iterable[KernelSpec], processes: int) -> None:
    """Compile kernels or load them, with the help of other processes if several are not cached.

    Parameters
    ----------
    specs : iterable of KernelSpec
    processes : int
        The maximum number of compiling processes, including this one.
    """
    specs = list(specs)
    modules = dict.fromkeys(map(module_of, specs))
    missing = _missing(modules)
    with _lock:
        for module in missing:
            _now[module] = _later.pop(module, Event())
    if missing:
        _start_helpers(processes)
    try:
        for lanes in {spec.width > 1 for spec in specs}:
            compile_driver(lanes=lanes)
        while taken := _take(_now):
            try:
                build(taken)
            finally:
                _begun.pop(taken).set()
        waiting = [_begun[module] for module in modules if module in _begun]
        if waiting:
            with announce("compiling kernels"):
                for event in waiting:
                    event.wait()
    except BaseException:
        _now.clear()
        _stop_helpers()
        raise
    for module in modules:
        build(module)


def compile_later(specs: Iterable[KernelSpec]) -> None:
    """Let the helpers of `compile_together` compile these kernels too, once they are idle.

    This returns at once; a later `compile_together` waits for those of its kernels that are already being compiled.
    """
    missing = _missing(dict.fromkeys(map(module_of, specs)))
    with _lock:
        _later.update((module, Event()) for module in missing)


def _missing(modules: Iterable[Module]) -> list[Module]:
    """Return the kernels that no process has compiled or is compiling, if there is a shared cache folder."""
    if not cache.folder():
        return []
    return [module for module in modules if module not in _begun and not is_stored(module)]


def _take(waiting: dict[Module, Event]) -> Module | None:
    """Take the first of the waiting kernels, which is then being compiled; None if there is none."""
    with _lock:
        if not waiting:
            return None
        module = next(iter(waiting))
        _begun[module] = waiting.pop(module)
        return module


def _start_helpers(processes: int) -> None:
    """Start as many processes as there is work for, counting this process."""
    count = min(processes, MAX_PROCESSES, len(_now) + len(_later)) - 1
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-c", HELPER_CODE.format(path=sys.path)]
    with suppress(OSError, ValueError):  # processes, or a Python executable, may be unavailable
        while len(_helpers) < count:
            helper = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]  # noqa: S603
            _helpers.add(helper)
            Thread(target=_feed, args=(helper,), name=FEEDER_THREAD, daemon=True).start()


@atexit.register
def _stop_helpers() -> None:
    """Terminate the helper processes, whatever they are doing."""
    for helper in [*_helpers]:
        helper.kill()
        helper.wait()


def _feed(helper: "subprocess.Popen[bytes]") -> None:
    """Send a helper one kernel after another; the kernels of `compile_later` are last."""
    assert helper.stdin  # noqa: S101 (for the type)
    assert helper.stdout  # noqa: S101
    with suppress(OSError), helper:  # the helper may have ended
        while module := _take(_now) or _take(_later):
            try:
                pickle.dump(module, helper.stdin)
                helper.stdin.flush()
                if helper.stdout.read(1) != DONE_SIGNAL:
                    break
            finally:
                _begun.pop(module).set()
    _helpers.discard(helper)


def help_compiling() -> None:
    """Compile kernels that arrive pickled on standard input, and answer each with a byte."""
    while True:
        try:
            module = pickle.load(sys.stdin.buffer)  # noqa: S301 (of the process that started this one)
        except EOFError:
            return
        build(module)
        sys.stdout.buffer.write(DONE_SIGNAL)
        sys.stdout.buffer.flush()
