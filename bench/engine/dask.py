"""Runs jobs on the workers of a Dask cluster; what threads are to `bench.engine.threads`.

What travels are texts and arrays (`bench.engine.wire`). The problem is scattered, and the scheduler never opens it: it
goes from worker to worker, to each once, with the first tasks, and workers keep it. One that joins later, or that its
nanny started again, gets it with its own first task. If all that held it have died, it is scattered again. (A plug-in
for workers would bring it too, but it stays on the scheduler after a driver that was killed, and a worker without
sgdbench that joins later could not start.)
"""

import itertools
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from bench.engine.jobs import Job
from bench.engine.problem import Problem
from bench.engine.processors import describe_worker
from bench.engine.remote import OtherPackageError, PackedProblem, train_jobs
from bench.engine.wire import pack_job, pack_problem, unpack_runs
from bench.system.sources import source_digest
from kernels.agreement import is_exact
from kernels.block import Runs

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")

# Of each thread of the cluster: one task that runs, and one that waits for it to be free.
TASKS_PER_THREAD = 2
# A scheduler handles some hundred tasks in a second. Where jobs take less time, a task has several of them.
TASK_SECONDS = 0.5
TASK_LOSSES = 4_000_000
# Dask gives a task up when four workers have died while they had it. Then it is tried again, so many times.
ATTEMPTS = 3
# A task whose data or scheduler went away for a moment is sent again, so many times.
RESENDS = 20
# How often the connection and the number of workers are looked at, in seconds, and how long to wait for a worker.
LOOK_SECONDS, WORKER_SECONDS = 1.0, 60.0


@dataclass(eq=False)
class _Task:
    """Jobs that travel together, and how often that went wrong."""

    jobs: list[Job]
    deaths: int = 0
    resends: int = 0
    brings_problem: bool = False


class DaskExecutor:
    """Trains jobs on a cluster, with the bits that threads give; keeps the problem there from one sweep to the next.

    Parameters
    ----------
    client : distributed.Client
        That of a program that does not use asyncio.

    Attributes
    ----------
    holders : set of str
        The addresses of workers that have trained jobs of the problem, and keep it.
    """

    def __init__(self, client: "Client") -> None:
        if client.asynchronous:
            raise ValueError("executor must be a Client made with asynchronous=False, not an asynchronous one")
        self.client = client
        self.holders: set[str] = set()
        self._sent: tuple[str, Future] | None = None
        self._kinds: set[tuple[Any, ...]] = set()

    def __call__(self, problem: Problem, jobs: Iterable[Job], stop: Event) -> Generator[tuple[Job, Runs]]:
        """Train jobs and yield them with their runs as they come.

        When the caller stops early, by Ctrl-C or otherwise, what is on its way is cancelled, and workers end it soon.

        Raises
        ------
        ConnectionError
            If the scheduler or all workers have gone, or a job was there each time that a worker died.
        ValueError
            If a rule cannot be sent, or a worker has another sgdbench.
        """
        flight = _Flight(self, PackedProblem(pack_problem(problem)), jobs)
        try:
            for job, runs, processor in flight.results():
                self._compare_processors(problem, job, processor)
                yield job, runs
        finally:
            stop.set()
            flight.cancel()

    def scatter(self, problem: PackedProblem, *, again: bool = False) -> "Future":
        """Return the problem on the cluster; it is sent if it is not there."""
        name = problem.content["name"]
        if self._sent is None or again or self._sent[0] != name:
            if self._sent is None or self._sent[0] != name:
                self.holders = set()
            self._sent = name, self._scatter(problem)
        return self._sent[1]

    def _scatter(self, problem: PackedProblem) -> "Future":
        """Send the problem to workers, again where one of them dies while it is sent."""
        deadline = time.monotonic() + WORKER_SECONDS
        while True:
            try:
                # Without a hash, what is sent again has another name than what is lost.
                return self.client.scatter(problem, broadcast=True, hash=False, timeout=WORKER_SECONDS)
            except (OSError, KeyError, RuntimeError):
                if self.client.status != "running" or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _compare_processors(self, problem: Problem, job: Job, there: dict[str, str]) -> None:
        """Warn, once for each kind, of workers that may compute other bits than this machine."""
        here = describe_worker()
        differs = [f"{name} {value}, not {here[name]}" for name, value in there.items() if value != here[name]]
        exact = is_exact(problem.model, job.kernel, problem.loss, job.optimizer)
        kind = (*differs, exact)
        if not differs or kind in self._kinds:
            return
        self._kinds.add(kind)
        consequence = (
            "results are the same to the last bit, since this model, loss and optimizer compute with + - * / and "
            "square roots alone"
            if exact
            else "the last bits of results may differ from those of this machine, where functions such as exp or fused "
            "multiply-add are used"
        )
        warnings.warn(f"workers have {'; '.join(differs)}: {consequence}", RuntimeWarning, stacklevel=3)


class _Flight:
    """The jobs of one problem: those to come, those that are on their way, and those that have arrived."""

    def __init__(self, executor: DaskExecutor, problem: PackedProblem, jobs: Iterable[Job]) -> None:
        self.executor, self.client, self.problem = executor, executor.client, problem
        self.todo: Iterator[Job] = iter(jobs)
        self.tasks: dict[Future, _Task] = {}
        self.arrived: SimpleQueue[Future] = SimpleQueue()
        self.jobs_per_task = 1
        self.names = (f"sgdbench-{uuid.uuid4().hex[:12]}-{number}" for number in itertools.count())
        self.room, self.all_hold = 0, False
        self.looked = self.had_workers = time.monotonic()

    def results(self) -> Generator[tuple[Job, Runs, dict[str, str]]]:
        """Yield jobs, their runs and what they were trained on."""
        while not self._look():
            time.sleep(0.1)
        while True:
            self._fill()
            if not self.tasks:
                return
            if time.monotonic() - self.looked > LOOK_SECONDS:
                self._look()
            try:
                future = self.arrived.get(timeout=LOOK_SECONDS)
            except Empty:
                continue
            task = self.tasks.pop(future, None)
            if task is None:  # sent again in the meantime
                continue
            result = self._result(future, task)
            del future  # so that the worker forgets it
            if result is None:
                continue
            self.executor.holders.add(result["address"])
            finished = [unpack_runs(packed) for packed in result["runs"]]
            self._choose_size(finished)
            for job, runs in zip(task.jobs, finished, strict=True):
                yield job, runs, result["processor"]

    def cancel(self) -> None:
        """Give up what is on its way."""
        waiting, self.tasks = list(self.tasks), {}
        if waiting and self.client.status == "running":
            with suppress(OSError, CancelledError, RuntimeError):  # nobody is there to be told
                self.client.cancel(waiting, force=True)

    def _fill(self) -> None:
        """Send tasks until there are enough on their way: neither the scheduler nor this process holds more."""
        while len(self.tasks) < self.room:
            jobs = list(itertools.islice(self.todo, self.jobs_per_task))
            if not jobs:
                return
            self._send(_Task(jobs))

    def _send(self, task: _Task) -> None:
        """Send a task; its result will be put into the queue, however it ends."""
        packed = [pack_job(job) for job in task.jobs]
        task.brings_problem |= not self.all_hold
        name = self.problem.content["name"]

        def send() -> "Future":
            problem = self.executor.scatter(self.problem) if task.brings_problem else None
            return self.client.submit(
                train_jobs, source_digest(), name, problem, packed, key=next(self.names), pure=False
            )

        future = self._ask(send)
        self.tasks[future] = task
        future.add_done_callback(self.arrived.put)

    def _result(self, future: "Future", task: _Task) -> dict[str, Any] | None:
        """Return what a task gave; None if it has been sent again."""
        from distributed import KilledWorker  # noqa: PLC0415

        status = future.status
        if status == "finished":
            try:
                result: dict[str, Any] | None = future.result()
                if result and result["runs"]:
                    return result
                task.brings_problem = True  # it went to a worker that does not have it
            except (OSError, CancelledError):  # its worker has died since, or the connection
                status = "cancelled"
        if status == "error":
            error = self._ask(future.exception)
            if isinstance(error, KilledWorker):
                if task.deaths + 1 == ATTEMPTS:
                    raise ConnectionError(
                        f"{ATTEMPTS * (error.allowed_failures + 1)} workers died while they had {_describe(task)}; it "
                        f"may need more memory than they have: {KEPT}"
                    )
                for job in task.jobs:  # each alone, so that one of them does no harm to others
                    self._send(_Task([job], task.deaths + 1))
                return None
            raise _explain(error)
        self._check_connection()
        task.resends += 1
        if task.resends > RESENDS:
            raise ConnectionError(f"{_describe(task)} was cancelled {RESENDS} times: {KEPT}")
        self._send_lost_data()
        self._send(task)
        return None

    def _look(self) -> int:
        """See whether the scheduler is there, and what it holds; return how many threads its workers have."""
        self._check_connection()
        workers = self._ask(self.client.nthreads)
        threads: int = sum(workers.values())
        self.all_hold = threads > 0 and self.executor.holders.issuperset(workers)
        now = self.looked = time.monotonic()
        if threads:
            self.had_workers = now
        elif now - self.had_workers > WORKER_SECONDS:
            raise ConnectionError(f"the cluster has had no worker for {WORKER_SECONDS:g} seconds: {KEPT}")
        self.room = TASKS_PER_THREAD * max(threads, 1)
        if threads:
            self._send_lost_data()
        return threads

    def _send_lost_data(self) -> None:
        """Send the problem again, if all workers that held it have died, with all that waits for it."""
        waiting = {future: task for future, task in self.tasks.items() if task.brings_problem}
        if self._ask(lambda: self.executor.scatter(self.problem)).status == "finished":
            return
        self._ask(lambda: self.executor.scatter(self.problem, again=True))
        self._ask(lambda: self.client.cancel(list(waiting), force=True))
        for future, task in waiting.items():
            del self.tasks[future]
            self._send(task)

    def _check_connection(self) -> None:
        """Refuse to go on without a scheduler."""
        if self.client.status != "running":
            raise ConnectionError(f"the scheduler has gone: {KEPT}")

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask the scheduler, and say so if it does not answer."""
        try:
            return question()
        except (OSError, CancelledError, KeyError, RuntimeError) as error:
            if isinstance(error, ConnectionError) and KEPT in str(error):
                raise
            raise ConnectionError(f"the scheduler does not answer ({error or type(error).__name__}): {KEPT}") from error

    def _choose_size(self, finished: list[Runs]) -> None:
        """Choose how many jobs make a task, by how long these took and how much they are."""
        seconds = sum(runs.seconds for runs in finished) / len(finished)
        losses = max(runs.losses.size + runs.validation_losses.size for runs in finished)
        self.jobs_per_task = max(1, min(int(TASK_SECONDS / max(seconds, 1e-3)), TASK_LOSSES // losses))


KEPT = "what has arrived is stored; the same run goes on from there with --resume, on threads as well"


def _describe(task: _Task) -> str:
    """Return in words what a task is."""
    job, count = task.jobs[0], sum(job.rows.size for job in task.jobs)
    return (
        f"a task of {count:,} configuration{'s' * (count != 1)} ({job.optimizer.text}, batches of "
        f"{job.hyperparameters.batch_size:,})"
    )


def _explain(error: BaseException) -> BaseException:
    """Return an error of a worker as one that says where it happened."""
    if isinstance(error, OtherPackageError):
        return ValueError(
            f"a worker cannot take part, because {error}: install the same one, of the same commit, there"
        )
    if isinstance(error, ImportError):
        return ValueError(f"a worker cannot take part, because sgdbench is not complete there: {error}")
    return error
