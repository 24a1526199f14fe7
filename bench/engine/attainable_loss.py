"""The attainable loss of a sweep, computed once and stored in its folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sgdbench.engine.problem import Problem
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.classes import takes_classes
from sgdbench.kernels.train.attainable_loss import constant_loss, find_attainable_loss
from sgdbench.store.attainable_loss import TABLE_NAME, store_attainable_loss
from sgdbench.store.evidence import read_table_of
from sgdbench.store.run_folder import explain_os_errors
from sgdbench.store.seal import DamagedError
from sgdbench.tables.costs import NEGLIGIBLE, loss_floor


def held_out_floor(problem: Problem) -> float:
    """Return the held-out loss below which differences are insignificant; 0 if all differences count.

    Correctly classified samples have losses near 0 (with hinge exactly 0), and a single misclassified one has about 1.
    Losses below 1 / n of n samples therefore only say that all are classified correctly.
    """
    if problem.held_out is None or not takes_classes(problem.loss):
        return 0.0
    return 1 / problem.held_out[1].size


def settle_attainable_loss(problem: Problem, starts: Floats, folder: Path) -> None:
    """Compute the lowest loss, also from the starts of runs, and store it in a run's folder, unless it is there."""
    try:
        missing = "rounding" not in read_table_of(folder, TABLE_NAME)  # written by version 0.2, or absent
    except DamagedError:
        missing = True
    if missing:
        attainable = find_attainable_loss(problem.model, problem.loss, (problem.columns, problem.y), starts)
        # Other losses of classes approach 0 as parameters grow, at speeds that still distinguish runs.
        ends = attainable.params is not None and attainable.loss < NEGLIGIBLE / problem.y.size
        floor = 1 / problem.y.size if ends and takes_classes(problem.loss) else 0.0
        attainable = replace(
            attainable, floor=floor, held_out_floor=held_out_floor(problem), rounding=loss_floor(problem.y)
        )
        # If the lowest loss is unknown, runs are compared by their improvement on the constant.
        if np.isnan(attainable.constant_loss) and problem.loss.name != "objective":
            attainable = replace(attainable, constant_loss=constant_loss(problem.loss, problem.y))
        if problem.held_out is not None:
            attainable = replace(attainable, held_out_constant=constant_loss(problem.loss, problem.held_out[1]))
        with explain_os_errors(folder):
            store_attainable_loss(folder, attainable)
