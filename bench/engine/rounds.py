"""A round of trials: choices of settings that are trained together, up to one epoch after the other."""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.engine.jobs import MANY_OPTIONS
from bench.engine.problem import Job, Problem
from bench.engine.progress import Progress
from bench.engine.train import Executor, train_jobs
from bench.store.run_folder import OpenRun
from kernels.base.run import MAX_EPOCHS, Floats, Marks
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
    executor : Executor
    many_options : int
        As for `bench.engine.jobs.plan_jobs`.
    """

    run: OpenRun
    problem: Problem
    plan: pd.DataFrame
    progress: Progress
    executor: Executor
    many_options: int = MANY_OPTIONS

    @classmethod
    def begin(
        cls,
        run: OpenRun,
        problem: Problem,
        plan: pd.DataFrame,
        known: Set[str],
        executor: Executor,
        many_options: int = MANY_OPTIONS,
    ) -> "Round":
        """Return the round of the rows of a plan; the folder holds results of runs with the ids in `known`."""
        begun = not known.isdisjoint(plan["config_id"])
        progress = Progress.read(run, plan, problem) if begun else Progress.begin(plan, problem)
        return cls(run, problem, plan, progress, executor, many_options)

    def state_after(self, epoch: int) -> NDArray[np.int64]:
        """Return the status that each run had at the end of an epoch."""
        return np.where(self.progress.marks <= self._marks_at(epoch), self.progress.status, MAX_EPOCHS)

    def samples_after(self, epoch: int) -> NDArray[np.integer]:
        """Return the samples that each run had seen by the end of an epoch."""
        marks = np.minimum(self.progress.marks, self._marks_at(epoch))
        return self.problem.clock.times(self.plan["batch_size"].to_numpy(np.int64), marks).samples

    def train(self, until: int) -> Floats:
        """Train all runs that are not finished until the end of an epoch; return the loss that counts of each then.

        A run that was over before has the loss with which it ended.
        """
        losses = self._known_losses(self._marks_at(until))

        def note(job: Job, runs: Runs) -> None:
            self.progress.note(job, runs, self.problem)
            losses[job.rows] = self.progress.kept_loss[job.rows]

        train_jobs(self.run, self.problem, self.plan, self.progress, self.executor, note, until, self.many_options)
        return losses

    def leave_out(self, rows: NDArray[np.bool_]) -> None:
        """Finish some of the runs where they stand."""
        self.progress.finished[rows] = True

    def _marks_at(self, epoch: int) -> Marks:
        """Return the mark of each run at the end of an epoch."""
        sizes = self.plan["batch_size"].to_numpy(np.int64)
        return self.problem.clock.last_marks(sizes, self.problem.settings.epochs, epoch)

    def _known_losses(self, marks: Marks) -> Floats:
        """Return the losses of the runs at given marks, or at their own if these are earlier.

        Runs of a round that was stopped may be beyond these marks: their losses then are read from the folder.
        """
        losses = self.progress.kept_loss.copy()
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
            name = self.problem.counted_loss.replace("final_loss", "loss")
            losses[beyond] = by_run[name].last().reindex(ids).to_numpy()
        return losses
