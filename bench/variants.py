"""THE registry of implementations, ours and the peers': equality tests and benchmarks both walk it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from bench.peers import c, lesson
from bench.problem import Problem, Trained
from kernels.fit import trainer
from kernels.losses import make_loss
from kernels.models import quadratic
from kernels.optimizers import make_optimizer
from kernels.run import Plan, Record
from kernels.samples import room
from kernels.specialize import memory, settings


class Variant(NamedTuple):
    """One implementation.

    `prepare` does everything that is not training, and returns a call that trains; every call starts from the problem's
    untouched parameters, and may return the arrays of the call before. It raises UnavailableError where the variant
    cannot run. `tolerance` bounds the `error` against the reference; 0 promises the same bits. `slow` ones take
    microseconds for an update. `batches` and `shuffles` tell what it can do besides single samples as they stand.
    """

    name: str
    prepare: Callable[[Problem], Callable[[], Trained]]
    tolerance: float
    slow: bool = False
    batches: bool = True
    shuffles: bool = True

    def takes(self, problem: Problem) -> bool:
        """Whether the problem is one that the variant can do."""
        return (self.batches or problem.batch_size == 1) and (self.shuffles or not problem.shuffle)


def _kernel(name: str) -> Callable[[Problem], Callable[[], Trained]]:
    def prepare(problem: Problem) -> Callable[[], Trained]:
        loss, optimizer = make_loss("squared"), make_optimizer("sgd")
        epochs, size = problem.rates.size, problem.init.size
        data = room((problem.x,), problem.y, shuffle=problem.shuffle)
        options = settings(loss, optimizer)
        plan = Plan(problem.rates, options, problem.batch_size, True, problem.shuffle, problem.seed, -np.inf)
        record = Record(np.empty(epochs + 1), np.empty((epochs + 1, size)), memory(optimizer, size))
        record.trajectory[0] = problem.init
        train = trainer(name, quadratic, loss, optimizer)

        def run() -> Trained:
            train(data, plan, record, 0, epochs)
            return Trained(record.trajectory, record.losses)

        return run

    return prepare


def _call_of(train: Callable[[Problem], Trained]) -> Callable[[Problem], Callable[[], Trained]]:
    return partial(partial, train)


VARIANTS = (
    Variant("reference", _kernel("reference"), 0.0, slow=True),
    Variant("fused", _kernel("fused"), 0.0),
    Variant("fused-fma", _kernel("fused-fma"), 1e-12),
    Variant("C", c.prepare, 1e-12),
    Variant("C in our order", partial(c.prepare, tree=True), 1e-12),
    Variant("NumPy scalars", _call_of(lesson.train_scalars), 1e-12, slow=True, batches=False, shuffles=False),
    Variant("lesson", _call_of(lesson.train_lesson), 1e-12, slow=True, shuffles=False),
)
