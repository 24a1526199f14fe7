"""Compiling several kernels at a time, in processes of their own: numba compiles one at a time in a process.

A process that helps writes machine code to the cache folder, from which this one loads it. It is told kernels by the
texts of their optimizers and losses. Whatever goes wrong there, this process compiles what is missing.
"""

import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Thread

from kernels.base import cache
from kernels.base.announcements import announce
from kernels.base.registry import registered_in
from kernels.compile.specialize import ingredients_of, is_stored, specialize
from kernels.compile.unrolled import Form, Ingredients
from kernels.losses import make_loss
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer
from kernels.train.trainer import form_of

HELPER = "import sys; sys.path[:] = {path!r}; from kernels.train.compile_together import help_compiling as go; go()"
DONE = b"."

Told = tuple[str, Model, str, str, bool, str, bool]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A kernel to be compiled: the arguments of `kernels.train.trainer.compile_kernel`."""

    kernel: str
    model: Model
    loss: Loss
    optimizer: Optimizer
    options_per_run: bool = False
    dtype: str = "float64"
    gathers: bool = False

    def compile(self) -> None:
        """Compile the kernel, or load it."""
        specialize(self.model.program, self.loss, self.optimizer, **self._form)

    @cached_property
    def ingredients(self) -> Ingredients:
        """What the kernel is made of: the same for the same kernel."""
        return ingredients_of(self.model.program, self.loss, self.optimizer, **self._form)

    @property
    def _form(self) -> Form:
        own, dtype, gathers = self.options_per_run, self.dtype, self.gathers
        made_of = self.kernel, self.model, self.loss, self.optimizer
        return form_of(*made_of, options_per_run=own, dtype=dtype, gathers=gathers)

    def is_built_in(self) -> bool:
        """Return whether a process that knows none of the user's own rules can compile the kernel."""
        return not registered_in(self.loss, "loss") and not registered_in(self.optimizer, "optimizer")

    def tell(self) -> Told:
        """Return the kernel as another process is told it."""
        own, dtype, gathers = self.options_per_run, self.dtype, self.gathers
        return self.kernel, self.model, self.loss.text, self.optimizer.text, own, dtype, gathers


def compile_together(wanted: Sequence[Wanted], processes: int) -> None:
    """Compile kernels, or load them, with the help of other processes where several are in no cache.

    Parameters
    ----------
    wanted : sequence of Wanted
    processes : int
        How many may compile, this one included.
    """
    distinct = {one.ingredients: one for one in wanted}
    missing = [one for one in distinct.values() if one.is_built_in() and not is_stored(one.ingredients)]
    missing = missing if cache.folder() else []
    helpers = min(processes, len(missing)) - 1
    if helpers > 0:
        todo = deque(missing)
        with _help(todo, helpers):
            while (one := _next(todo)) is not None:
                one.compile()
    for one in distinct.values():
        one.compile()


@contextmanager
def _help(todo: "deque[Wanted]", count: int) -> Iterator[None]:
    """Let other processes compile what is to be done, as long as there is something; wait for them in the end."""
    command = [sys.executable, "-c", HELPER.format(path=sys.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    helpers: list[subprocess.Popen[bytes]] = []
    threads: list[Thread] = []
    try:
        with suppress(OSError, ValueError):  # no processes, or no Python to start
            while len(helpers) < count:
                helpers.append(subprocess.Popen(command, **pipes))  # type: ignore[call-overload]  # noqa: S603
        threads = [Thread(target=_feed, args=(helper, todo), daemon=True) for helper in helpers]
        for thread in threads:
            thread.start()
        yield
        with announce("compiling kernels"):
            for thread in threads:
                thread.join()
    finally:
        for helper in helpers:
            helper.kill()
            helper.communicate()


def _next(todo: "deque[Wanted]") -> Wanted | None:
    """Return the next kernel that nobody compiles yet; None where there is none."""
    try:
        return todo.popleft()
    except IndexError:  # another thread was faster
        return None


def _feed(helper: "subprocess.Popen[bytes]", todo: "deque[Wanted]") -> None:
    """Tell a helper one kernel after the other."""
    assert helper.stdin  # noqa: S101 (for the type)
    assert helper.stdout  # noqa: S101
    with suppress(OSError):  # the helper has gone
        while (one := _next(todo)) is not None:
            pickle.dump(one.tell(), helper.stdin)
            helper.stdin.flush()
            if helper.stdout.read(1) != DONE:
                return


def help_compiling() -> None:
    """Compile kernels that come pickled on standard input, and answer each with a byte."""
    while True:
        try:
            told: Told = pickle.load(sys.stdin.buffer)  # noqa: S301 (of the process that started this one)
        except EOFError:
            return
        kernel, model, loss, optimizer, own, dtype, gathers = told
        Wanted(kernel, model, make_loss(loss), make_optimizer(optimizer), own, dtype, gathers).compile()
        sys.stdout.buffer.write(DONE)
        sys.stdout.buffer.flush()
