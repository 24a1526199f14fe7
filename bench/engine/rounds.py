"""A round of trials: choices of settings that are trained together, epoch by epoch."""

from collections.abc import Set

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.engine.jobs import MIN_SHARED_OPTIMIZERS
from sgdbench.engine.problem import Job, Problem
from sgdbench.engine.run_states import RunStates
from sgdbench.engine.train import Executor, train_jobs
from sgdbench.kernels.base.run import MAX_EPOCHS, Floats, Integers
from sgdbench.kernels.train.block import Runs
from sgdbench.store.run_folder import OpenRun


class Round:
    """The runs of trials that are trained together, a row of the plan for each, and their states.

    `known` has the ids of the runs whose results the folder `run` holds; `many_options` is as for
    `sgdbench.engine.jobs.share_kernels`.
    """

    def __init__(
        self,
        run: OpenRun,
        problem: Problem,
        plan: pd.DataFrame,
        stored: Set[str],
        executor: Executor,
        many_options: int = MIN_SHARED_OPTIMIZERS,
    ) -> None:
        self.run, self.problem, self.plan, self.executor, self.many_options = run, problem, plan, executor, many_options
        begun = not stored.isdisjoint(plan["config_id"])
        self.states = RunStates.read(run, plan, problem) if begun else RunStates.begin(plan, problem)

    def train(self, until: int) -> tuple[Floats, NDArray[np.int64], NDArray[np.integer]]:
        """Train all unfinished runs until the end of an epoch.

        Return their states at that point, or at their end if they ended earlier: the losses of `Problem.counted_loss`,
        the status, and the samples seen.
        """
        clock, sizes, states = self.problem.clock, self.plan["batch_size"].to_numpy(np.int64), self.states
        end = clock.last_checkpoints(sizes, self.problem.settings.epochs, until)
        losses = self._known_losses(end)

        def note(job: Job, runs: Runs) -> None:
            states.note(job, runs, self.problem)
            losses[job.rows] = states.kept_loss[job.rows]

        train_jobs(self.run, self.problem, self.plan, states, self.executor, note, until, self.many_options)
        status = np.where(states.checkpoints <= end, states.status, MAX_EPOCHS)
        return losses, status, clock.times(sizes, np.minimum(states.checkpoints, end)).samples

    def _known_losses(self, end: Integers) -> Floats:
        """Return the losses of the runs at given checkpoints, or at their own if these are earlier.

        Runs of an interrupted round may be beyond these checkpoints: their earlier losses are read from the folder.
        """
        losses = self.states.kept_loss.copy()
        beyond = self.states.checkpoints > end
        if beyond.any():
            ids = self.plan["config_id"][beyond]
            curves = self.run.curves(ids.tolist())
            last = pd.Series(end[beyond], index=ids)
            earlier = curves[curves["checkpoint"].to_numpy() <= last[curves["config_id"].astype(str)].to_numpy()]
            if self.problem.settings.patience:
                # The kept checkpoint is the first of the lowest, hence the last one after this sort.
                earlier = earlier.iloc[::-1].sort_values("validation_loss", ascending=False, kind="stable")
            by_run = earlier.groupby(earlier["config_id"].astype(str), sort=False)
            name = self.problem.counted_loss.replace("final_loss", "loss")
            losses[beyond] = by_run[name].last().reindex(ids).to_numpy()
        return losses
