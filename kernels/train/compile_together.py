"""Compiling several kernels at a time, in processes of their own: numba compiles one at a time in a process.

A process that helps writes machine code to the cache folder, from which this one loads it. It is told kernels by the
texts of their optimizers and losses. Whatever goes wrong there, this process compiles what is missing.
"""

import atexit
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread

from kernels.base import cache
from kernels.base.announcements import announce
from kernels.compile.specialize import is_stored
from kernels.compile.unrolled import Ingredients
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.train.trainer import Told, Wanted

HELPER = "import sys; sys.path[:] = {path!r}; from kernels.train.compile_together import help_compiling as go; go()"
DONE = b"."
FEEDER = "sgdbench-feeder"
"""The name of threads that tell other processes what to compile."""
# Each takes up to a third of a gigabyte.
MOST_PROCESSES = 16


class _Queue:
    """The kernels that are to be compiled, those that are being compiled, and the processes that help.

    Kernels for later come after all others.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.now: dict[Ingredients, Wanted] = {}
        self.later: dict[Ingredients, Wanted] = {}
        self.doing: dict[Ingredients, Event] = {}
        self.helpers: dict[subprocess.Popen[bytes], Thread] = {}

    def begin(self, *, own: bool) -> Wanted | None:
        """Return a kernel to compile, for this process one that is wanted now; None where there is none."""
        with self.lock:
            kernels = self.now if self.now or own else self.later
            if not kernels:
                return None
            made_of = next(iter(kernels))
            self.doing[made_of] = Event()
            return kernels.pop(made_of)

    def end(self, one: Wanted) -> None:
        """Note that a kernel is compiled, or that it could not be."""
        with self.lock:
            self.doing.pop(one.ingredients).set()

    def wait_for(self, kernels: Iterable[Ingredients]) -> None:
        """Wait until these are compiled by whichever process compiles them."""
        with self.lock:
            events = [self.doing[made_of] for made_of in kernels if made_of in self.doing]
        if not all(event.is_set() for event in events):
            with announce("compiling kernels"):
                for event in events:
                    event.wait()

    def start_helpers(self, processes: int) -> None:
        """Start processes, as many as there is work for, this process among them."""
        count = min(processes, MOST_PROCESSES, len(self.now) + len(self.later)) - 1
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-c", HELPER.format(path=sys.path)]
        with suppress(OSError, ValueError):  # no processes, or no Python to start
            while len(self.helpers) < count:
                helper = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]  # noqa: S603
                self.helpers[helper] = Thread(target=self._feed, args=(helper,), name=FEEDER, daemon=True)
                self.helpers[helper].start()

    def stop_helpers(self) -> None:
        """End the processes that help, in whatever they do."""
        for helper in [*self.helpers]:
            helper.kill()
            helper.wait()

    def _feed(self, helper: "subprocess.Popen[bytes]") -> None:
        """Tell a helper one kernel after the other."""
        assert helper.stdin  # noqa: S101 (for the type)
        assert helper.stdout  # noqa: S101
        with suppress(OSError), helper:  # it has gone
            while (one := self.begin(own=False)) is not None:
                try:
                    pickle.dump(one.tell(), helper.stdin)
                    helper.stdin.flush()
                    if helper.stdout.read(1) != DONE:
                        break
                finally:
                    self.end(one)
        del self.helpers[helper]


_queue = _Queue()
atexit.register(_queue.stop_helpers)


def compile_together(wanted: Iterable[Wanted], processes: int) -> None:
    """Compile kernels, or load them, with the help of other processes where several are in no cache.

    Parameters
    ----------
    wanted : iterable of Wanted
    processes : int
        How many may compile, this one included.
    """
    kernels = {one.ingredients: one for one in wanted}
    with _queue.lock:
        for made_of in kernels:
            _queue.later.pop(made_of, None)
        missing = _missing(kernels)
        _queue.now |= missing
        if missing:
            _queue.later = _missing(_queue.later)
            _queue.start_helpers(processes)
    try:
        while (one := _queue.begin(own=True)) is not None:
            try:
                one.compile()
            finally:
                _queue.end(one)
        _queue.wait_for(kernels)
    except BaseException:
        _queue.now.clear()
        _queue.stop_helpers()
        raise
    for one in kernels.values():
        one.compile()


def compile_later(wanted: Iterable[Wanted]) -> None:
    """Let processes that help `compile_together` compile these too, once they have nothing else to do.

    It returns at once; a later `compile_together` waits for those among its kernels that have begun.
    """
    with _queue.lock:
        _queue.later |= {one.ingredients: one for one in wanted}


def _missing(kernels: Mapping[Ingredients, Wanted]) -> dict[Ingredients, Wanted]:
    """Return the kernels that no process has compiled or compiles, and that any process can compile."""
    if not cache.folder():
        return {}
    return {
        made_of: one
        for made_of, one in kernels.items()
        if made_of not in _queue.doing and one.is_built_in() and not is_stored(made_of)
    }


def help_compiling() -> None:
    """Compile kernels that come pickled on standard input, and answer each with a byte."""
    while True:
        try:
            told: Told = pickle.load(sys.stdin.buffer)  # noqa: S301 (of the process that started this one)
        except EOFError:
            return
        kernel, model, loss, optimizer, own, dtype, gathers, batches = told
        Wanted(kernel, model, make_loss(loss), make_optimizer(optimizer), own, dtype, gathers, batches).compile()
        sys.stdout.buffer.write(DONE)
        sys.stdout.buffer.flush()
