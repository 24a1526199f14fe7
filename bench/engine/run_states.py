"""The states of the runs of a plan, from which they continue."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.engine.problem import Job, Problem
from sgdbench.kernels.base.run import MAX_EPOCHS, Floats, start_lowest
from sgdbench.kernels.model.param_columns import START_PREFIX, params_from_columns
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.block import Runs
from sgdbench.store.run_folder import Run


@dataclass(frozen=True, eq=False)
class RunStates:
    """The state of each row of a plan; the arrays are updated in place.

    Each run continues from the checkpoint that it has reached with its `params`, of shape (rows, P), and the `memory`
    of its optimizer, which is empty at checkpoint 0. `best_loss` is the lowest loss so far, and `kept_loss` that of
    `Problem.counted_loss` with the parameters that a run keeps, infinite at checkpoint 0; `lowest` is as from
    `sgdbench.kernels.base.run.start_lowest`.
    """

    checkpoints: NDArray[np.int64]
    finished: NDArray[np.bool_]
    status: NDArray[np.int64]
    params: Floats
    memory: list[Floats]
    best_loss: Floats
    kept_loss: Floats
    lowest: Floats

    @classmethod
    def begin(cls, plan: pd.DataFrame, problem: Problem) -> "RunStates":
        """Return the states of the rows of a plan before training."""
        size = len(plan)
        params = np.array(params_from_columns(problem.model, plan, START_PREFIX))
        return cls(
            checkpoints=np.zeros(size, np.int64),
            finished=np.zeros(size, np.bool_),
            status=np.full(size, MAX_EPOCHS),
            params=params,
            memory=[np.empty(0)] * size,
            best_loss=np.full(size, np.inf),
            kept_loss=np.full(size, np.inf),
            lowest=start_lowest(params, problem.settings.patience or np.inf),
        )

    @classmethod
    def read(cls, run: Run, plan: pd.DataFrame, problem: Problem, *, whole: bool = False) -> "RunStates":
        """Return the states of the rows of a plan in a run's folder; runs with more epochs raise a ValueError.

        If `whole` runs are stored, those whose schedule has other rates with the current epochs start again.
        """
        states, epochs = cls.begin(plan, problem), problem.settings.epochs
        stored = run.configurations()
        if stored.empty:
            return states
        rows = pd.Index(plan["config_id"]).get_indexer(stored["config_id"])
        stored, rows = stored[rows >= 0], rows[rows >= 0]
        sizes, checkpoints = plan["batch_size"].to_numpy(np.int64)[rows], stored["marks"].to_numpy()
        reached = problem.clock.times(sizes, checkpoints).epoch
        most = int(np.ceil(reached.max(initial=0)))
        if most > epochs:
            raise ValueError(f"epochs must be at least {most}, not {epochs}: {run.folder} already holds {most}")
        last = problem.clock.last_checkpoints(sizes, epochs)
        shorter = (stored["status"] == MAX_EPOCHS).to_numpy() & (checkpoints < last)
        if whole and shorter.any():
            schedules = plan["schedule"].astype(str).to_numpy(object)[rows]
            same = (checkpoints == last) | ~_differ(schedules, reached, shorter, epochs)
            stored, rows, checkpoints, last = stored[same], rows[same], checkpoints[same], last[same]
        states.checkpoints[rows], states.status[rows] = checkpoints, stored["status"]
        states.finished[rows] = (stored["status"] != MAX_EPOCHS) | (checkpoints == last)
        kept_params = params_from_columns(problem.model, stored)
        states.params[rows] = np.stack(stored["end"].to_list()) if "end" in stored and len(rows) else kept_params
        states.best_loss[rows], states.kept_loss[rows] = stored["best_loss"], stored[problem.counted_loss]
        if "best_validation_loss" in stored:
            validation_columns = ["best_validation_loss", "best_samples", *(["final_loss"] if "end" in stored else [])]
            lowest = stored[validation_columns].to_numpy(float)
            states.lowest[rows] = np.column_stack([lowest, kept_params]) if "end" in stored else lowest
        for row, memory in zip(rows, stored["memory"], strict=True):
            states.memory[row] = memory
        return states

    def note(self, job: Job, runs: Runs, problem: Problem) -> None:
        """Update the rows of a job."""
        rows, hyper = job.rows, job.hyperparameters
        self.checkpoints[rows], self.status[rows], self.params[rows] = runs.checkpoints, runs.status, runs.params
        self.lowest[rows] = runs.lowest
        self.best_loss[rows] = np.fmin(self.best_loss[rows], lowest_loss(job, runs))
        for row, memory in zip(rows, runs.memory, strict=True):
            self.memory[row] = memory
        kept_checkpoints = runs.kept_results(job.first)
        self.kept_loss[rows] = (
            kept_checkpoints.validation_losses if problem.counted_loss == "validation_loss" else kept_checkpoints.losses
        )
        last = problem.clock.last_checkpoint(hyper.batch_size, problem.settings.epochs)
        self.finished[rows] = (runs.status != MAX_EPOCHS) | (runs.checkpoints == last)


def _differ(schedules: NDArray[Any], reached: Floats, shorter: NDArray[np.bool_], epochs: int) -> NDArray[np.bool_]:
    """Return whether the schedules of runs that are complete (`shorter`) have other rates with more epochs."""
    lengths = pd.DataFrame({"schedule": schedules[shorter], "epochs": reached[shorter].astype(int)}).drop_duplicates()
    differing = [
        text
        for text, length in lengths.itertuples(index=False)
        if not np.array_equal(learning_rates(text, 1.0, length), learning_rates(text, 1.0, epochs)[:length])
    ]
    return pd.Series(schedules).isin(differing).to_numpy()


def lowest_loss(job: Job, runs: Runs) -> Floats:
    """Return the lowest loss of each run of a job at the checkpoints that it reached."""
    reached = np.arange(len(runs.losses))[:, np.newaxis] <= runs.checkpoints - job.first
    lowest: Floats = np.fmin.reduce(np.where(reached, runs.losses, np.inf))
    return lowest
