"""A round of trials: choices of settings that are trained together, up to one epoch after the other."""

from collections.abc import Set
from contextlib import closing
from dataclasses import dataclass
from threading import Event

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.engine.jobs import MANY_OPTIONS, Job, Progress, last_mark, no_progress, plan_jobs, read_progress
from bench.engine.memory import Memory
from bench.engine.problem import Problem
from bench.engine.train import Executor, Writer, compile_kernels
from bench.store.run_folder import OpenRun
from kernels.base.run import MAX_EPOCHS, Floats
from kernels.train.block import Runs


@dataclass(frozen=True, eq=False)
class Round:
    """The runs of trials that are trained together, and their progress.

    Attributes
    ----------
    run : OpenRun
        The folder that takes the results.
    problem : Problem
    plan : DataFrame
        A row for each run, with its id.
    progress : Progress
    status : array, shape (rows,)
    kept_loss : array, shape (rows,)
        The loss that counts for each run, `counted_loss`, with the parameters that are kept.
    options_per_run : bool
        Whether a kernel reads the options of each run, also where there are few sets of options.
    executor : Executor
    """

    run: OpenRun
    problem: Problem
    plan: pd.DataFrame
    progress: Progress
    status: NDArray[np.int64]
    kept_loss: Floats
    options_per_run: bool
    executor: Executor

    @classmethod
    def begin(
        cls,
        run: OpenRun,
        problem: Problem,
        plan: pd.DataFrame,
        known: Set[str],
        *,
        options_per_run: bool,
        executor: Executor,
    ) -> "Round":
        """Return the round of the rows of a plan; the folder holds results of runs with the ids in `known`."""
        status, kept_loss = np.full(len(plan), MAX_EPOCHS), np.full(len(plan), np.inf)
        progress, name = no_progress(plan, problem.model, problem.settings), counted_loss(problem)
        if not known.isdisjoint(plan["config_id"]):
            progress = read_progress(run, plan, problem.model, problem.clock, problem.settings)
            stored = run.configurations(["config_id", "status", name])
            places = pd.Index(stored["config_id"]).get_indexer(plan["config_id"])
            status[places >= 0] = stored["status"].to_numpy()[places[places >= 0]]
            kept_loss[places >= 0] = stored[name].to_numpy()[places[places >= 0]]
        return cls(run, problem, plan, progress, status, kept_loss, options_per_run, executor)

    def state_after(self, epoch: int) -> NDArray[np.int64]:
        """Return the status that each run had at the end of an epoch."""
        return np.where(self.progress.marks <= self._marks_at(epoch), self.status, MAX_EPOCHS)

    def samples_after(self, epoch: int) -> NDArray[np.integer]:
        """Return the samples that each run had seen by the end of an epoch."""
        marks = np.minimum(self.progress.marks, self._marks_at(epoch))
        return self.problem.clock.times(self.plan["batch_size"].to_numpy(np.int64), marks).samples

    def train(self, until: int) -> Floats:
        """Train all runs that are not finished until the end of an epoch; return their `kept_loss` then, shape (rows,).

        A run that was over before has the loss with which it ended.
        """
        marks = self._marks_at(until)
        losses = self._known_losses(marks)
        many = 1 if self.options_per_run else MANY_OPTIONS
        problem, progress = self.problem, self.progress
        memory = Memory.of(problem.model, problem.settings, held_out=problem.held_out is not None)
        compile_kernels(problem, self.plan, many)
        jobs = plan_jobs(self.plan, progress, problem.settings, problem.clock, memory, until, many)
        with (
            Writer(self.run, self.plan["config_id"], progress, problem.model) as writer,
            closing(self.executor(problem, jobs, Event())) as results,
        ):
            for job, runs in results:
                if runs:
                    writer.add(job, runs)
                    self._note(job, runs)
                    losses[job.rows] = self.kept_loss[job.rows]
        return losses

    def leave_out(self, rows: NDArray[np.bool_]) -> None:
        """Finish some of the runs where they stand."""
        self.progress.finished[rows] = True

    def _note(self, job: Job, runs: Runs) -> None:
        """Update the progress of the runs of a job."""
        rows, progress = job.rows, self.progress
        trained = runs.marks - job.first
        losses = np.where(np.arange(len(runs.losses))[:, np.newaxis] <= trained, runs.losses, np.inf)
        progress.marks[rows], progress.params[rows] = runs.marks, runs.params
        progress.lowest[rows] = runs.lowest
        progress.best_loss[rows] = np.fmin(progress.best_loss[rows], np.fmin.reduce(losses))
        for row, memory in zip(rows, runs.memory, strict=True):
            progress.memory[row] = memory
        self.status[rows] = runs.status
        kept, by_validation = runs.kept(job.first), counted_loss(self.problem) == "validation_loss"
        self.kept_loss[rows] = kept.validation_losses if by_validation else kept.losses
        last = self._marks_at(self.problem.settings.epochs)[rows]
        progress.finished[rows] = (runs.status != MAX_EPOCHS) | (runs.marks == last)

    def _marks_at(self, epoch: int) -> NDArray[np.int64]:
        """Return the mark of each run at the end of an epoch."""
        clock, epochs = self.problem.clock, self.problem.settings.epochs
        sizes = self.plan["batch_size"].to_numpy(np.int64)
        marks = {size: last_mark(clock, size, epochs, epoch) for size in np.unique(sizes).tolist()}
        return np.array([marks[size] for size in sizes.tolist()])

    def _known_losses(self, marks: NDArray[np.int64]) -> Floats:
        """Return the losses of the runs at given marks, or at their own if these are earlier.

        Runs of a round that was stopped may be beyond these marks: their losses then are read from the folder.
        """
        losses = self.kept_loss.copy()
        beyond = self.progress.marks > marks
        if beyond.any():
            ids = self.plan["config_id"][beyond]
            curves = self.run.curves(ids.tolist())
            wanted = pd.Series(marks[beyond], index=ids)
            earlier = curves[curves["mark"].to_numpy() <= wanted[curves["config_id"].astype(str)].to_numpy()]
            if self.problem.settings.patience:
                # The mark that is kept is the first of the lowest, and so the last one when they are sorted.
                earlier = earlier.iloc[::-1].sort_values("validation_loss", ascending=False, kind="stable")
            by_run = earlier.groupby(earlier["config_id"].astype(str), sort=False)
            name = counted_loss(self.problem).replace("final_loss", "loss")
            losses[beyond] = by_run[name].last().reindex(ids).to_numpy()
        return losses


def counted_loss(problem: Problem) -> str:
    """Return the column of results that counts: without a target, the loss on held-out samples if there are any."""
    return "validation_loss" if problem.held_out is not None and problem.settings.target is None else "final_loss"
