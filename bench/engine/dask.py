"""Training of jobs on the workers of a Dask cluster, equivalent to `sgdbench.engine.train.train_in_threads`.

Problem, jobs and rules are serialized by cloudpickle. The problem is the result of a task on which training tasks
depend, so that Dask sends it to a worker that joins late, and recreates it if all workers that held it have died.
"""

import io
import itertools
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event
from types import FunctionType
from typing import Any, TypeVar

import cloudpickle
import dask
import numpy as np
from distributed import Client, Future, KilledWorker

from sgdbench.engine.problem import Job, Problem
from sgdbench.engine.processors import describe_worker
from sgdbench.engine.remote import hold_problem, load_function, source_digest, train_jobs
from sgdbench.kernels.compile.kinds import is_exact
from sgdbench.kernels.train.block import Runs
from sgdbench.store.run_folder import RESUME_OPTION
from sgdbench.tables.words import format_count

T = TypeVar("T")

# Each thread of the cluster has one running and one waiting task.
TASKS_PER_THREAD = 2
# A scheduler handles some hundred tasks per second, so a task comprises several jobs if these are short.
TASK_SECONDS = 0.5
TASK_LOSSES = 4_000_000
# Dask abandons a task when four workers have died with it; it is then submitted again, up to this often in all.
MAX_ATTEMPTS = 3
# Seconds between checks of the connection and the number of workers, and seconds to wait without any worker.
CHECK_SECONDS, MAX_SECONDS_WITHOUT_WORKER = 1.0, 60.0
RESUME_ADVICE = f"finished configurations are stored; continue with {RESUME_OPTION}, with or without a cluster"


class DaskExecutor:
    """Trains jobs on the cluster of a client; an `Executor`."""

    def __init__(self, client: Client) -> None:
        if client.asynchronous:
            raise ValueError("executor must be a Client made with asynchronous=False, not an asynchronous one")
        self.client = client
        self._kinds: set[tuple[Any, ...]] = set()

    def __call__(self, problem: Problem, jobs: Iterable[Job], stop: Event) -> Generator[tuple[Job, Runs]]:
        """Train jobs and yield them with their runs as they arrive; when the caller stops early, cancel the others.

        A ConnectionError means that the scheduler or all workers are lost, or that the workers that train a job die
        repeatedly; a ValueError that a worker has another version of sgdbench.
        """
        flight = _Flight(self.client, problem, jobs)
        try:
            for job, runs, processor in flight.results():
                self._compare_processors(problem, job, processor)
                yield job, runs
        finally:
            stop.set()
            flight.cancel()

    def _compare_processors(self, problem: Problem, job: Job, there: dict[str, str]) -> None:
        """Warn of workers that may compute other bits than this machine, once for each kind."""
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
    """The jobs of one problem on a cluster."""

    def __init__(self, client: Client, problem: Problem, jobs: Iterable[Job]) -> None:
        self.client, self.todo = client, iter(jobs)
        # The jobs of each task, and how often they were sent.
        self.tasks: dict[Future, tuple[list[Job], int]] = {}
        self.arrived: SimpleQueue[Future] = SimpleQueue()
        self.jobs_per_task, self.room = 1, 0
        self.looked, self.had_workers = 0.0, time.monotonic()
        self.problem = self._submit(hold_problem, _pickle(replace(problem, test=None, classes=None)))

    def results(self) -> Generator[tuple[Job, Runs, dict[str, str]]]:
        """Yield jobs, their runs and a description of the worker."""
        while True:
            if time.monotonic() - self.looked > CHECK_SECONDS:
                self._look()
            while len(self.tasks) < self.room and (more := list(itertools.islice(self.todo, self.jobs_per_task))):
                self._send(more, 1)
            if not self.tasks:
                return
            try:
                future = self.arrived.get(timeout=CHECK_SECONDS)
            except Empty:
                continue
            jobs, attempt = self.tasks.pop(future)
            result = self._result(future, jobs, attempt)
            del future  # so that the worker releases the result
            if result is None:
                self._send(jobs, attempt + 1)
                continue
            processor, finished = result
            self._choose_size(finished)
            for job, runs in zip(jobs, finished, strict=True):
                yield job, runs, processor

    def cancel(self) -> None:
        waiting, self.tasks = list(self.tasks), {}
        if waiting and self.client.status == "running":
            with suppress(OSError, CancelledError, RuntimeError):  # the scheduler may be lost
                self.client.cancel(waiting, force=True)

    def _send(self, jobs: list[Job], attempt: int) -> None:
        """Send jobs as one task, whose future enters the queue however it ends."""
        future = self._submit(train_jobs, source_digest(), self.problem, _pickle(list(map(_without_repetition, jobs))))
        self.tasks[future] = jobs, attempt
        future.add_done_callback(self.arrived.put)

    def _submit(self, *task: Any) -> Future:
        """Submit a task, a function and its arguments, without a warning about their size."""
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self._ask(lambda: self.client.submit(*task, pure=False))

    def _result(self, future: Future, jobs: list[Job], attempt: int) -> tuple[dict[str, str], list[Runs]] | None:
        """Return the result of a task; None if it was lost."""
        error = self._ask(future.exception) if future.status == "error" else None
        if isinstance(error, ImportError):
            raise ValueError(f"sgdbench is incomplete on a worker: {error}")
        if error and not isinstance(error, KilledWorker):
            raise error
        # The worker that had the result, or the connection, may have died since.
        with suppress(OSError, CancelledError):
            if future.status == "finished" and (result := future.result()):
                return result  # type: ignore[no-any-return]
        self._check_connection()
        if attempt == MAX_ATTEMPTS:
            raise ConnectionError(
                f"{_describe(jobs)} was lost {MAX_ATTEMPTS} times with the workers that had it; it may need more "
                f"memory than they have: {RESUME_ADVICE}"
            )
        return None

    def _look(self) -> None:
        """Check that the scheduler is there, and count how many tasks its workers can take."""
        self._check_connection()
        threads = sum(self._ask(self.client.nthreads).values())
        self.looked = time.monotonic()
        if threads:
            self.had_workers = self.looked
        elif self.looked - self.had_workers > MAX_SECONDS_WITHOUT_WORKER:
            raise ConnectionError(
                f"the cluster has had no worker for {MAX_SECONDS_WITHOUT_WORKER:g} seconds: {RESUME_ADVICE}"
            )
        self.room = TASKS_PER_THREAD * max(threads, 1)

    def _check_connection(self) -> None:
        if self.client.status != "running":
            raise ConnectionError(f"the scheduler is gone: {RESUME_ADVICE}")

    def _ask(self, question: Callable[[], T]) -> T:
        """Query the scheduler, and raise an error if it does not answer."""
        try:
            return question()
        except (OSError, CancelledError, KeyError, RuntimeError) as error:
            raise ConnectionError(
                f"the scheduler does not answer ({error or type(error).__name__}): {RESUME_ADVICE}"
            ) from error

    def _choose_size(self, finished: list[Runs]) -> None:
        """Choose the number of jobs per task from the time and the size of some finished jobs."""
        seconds = sum(runs.seconds for runs in finished) / len(finished)
        losses = max(runs.losses.size + runs.validation_losses.size for runs in finished)
        self.jobs_per_task = max(1, min(int(TASK_SECONDS / max(seconds, 1e-3)), TASK_LOSSES // losses))


class _Pickler(cloudpickle.Pickler):
    """Pickles each function separately, so that a worker creates it once: `sgdbench.engine.remote.load_function`."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return load_function, (cloudpickle.dumps(value),)
        return super().reducer_override(value)


def _pickle(value: object) -> bytes:
    with io.BytesIO() as file:
        _Pickler(file).dump(value)
        return file.getvalue()


def _without_repetition(job: Job) -> tuple[Job, np.ndarray]:
    """Return a job with the distinct rates of successive epochs, and the index among these of each epoch.

    Rates are the largest part of a job: with a constant schedule and 100 epochs, a hundred times as large as its
    starts. The rows of the job in the plan are not sent.
    """
    rates = job.hyperparameters.rates
    new = np.ones(len(rates), np.bool_)
    new[1:] = (rates[1:] != rates[:-1]).any(axis=1)
    short = replace(job, rows=job.rows[:0], hyperparameters=job.hyperparameters._replace(rates=rates[new]))
    return short, np.cumsum(new) - 1


def _describe(jobs: list[Job]) -> str:
    job, count = jobs[0], format_count(sum(job.rows.size for job in jobs), "configuration")
    return f"a task of {count} ({job.optimizer.text}, batches of {job.hyperparameters.batch_size:,})"
