"""Finds the attainable loss of a sweep once, and keeps it in the folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.engine.problem import Problem
from bench.store.attainable_loss import NAME, store_attainable_loss
from bench.store.evidence import read_table_of
from bench.store.run_folder import explain_os_errors
from bench.store.seal import DamagedError
from bench.tables.costs import NEGLIGIBLE, loss_floor
from kernels.base.run import Floats
from kernels.losses.classes import takes_classes
from kernels.train.attainable_loss import constant_loss, find_attainable_loss


def held_out_floor(problem: Problem) -> float:
    """Return the loss on held-out samples below which there is no difference; 0 where any difference counts.

    Samples of a class that are on their side have losses near 0, or with hinge of 0, and a single one on the other side
    has about 1. So losses below 1 / n tell of n samples only that all are on their side.
    """
    if problem.held_out is None or not takes_classes(problem.loss):
        return 0.0
    return 1 / problem.held_out[1].size


def settle_attainable_loss(problem: Problem, starts: Floats, folder: Path) -> None:
    """Find the lowest loss, also from the starts of runs, and store it in a run's folder, unless it is there, whole."""
    try:
        missing = "rounding" not in read_table_of(folder, NAME)  # of version 0.2, or none
    except DamagedError:
        missing = True
    if missing:
        found = find_attainable_loss(problem.model, problem.loss, (problem.columns, problem.y), starts)
        # Other losses of classes approach 0 as parameters grow, at a speed that tells them apart.
        ends = found.params is not None and found.loss < NEGLIGIBLE / problem.y.size
        floor = 1 / problem.y.size if ends and takes_classes(problem.loss) else 0.0
        found = replace(found, floor=floor, held_out_floor=held_out_floor(problem), rounding=loss_floor(problem.y))
        # Where the lowest loss is not known, runs are compared by what they improve on the constant.
        if np.isnan(found.constant_loss) and problem.loss.name != "objective":
            found = replace(found, constant_loss=constant_loss(problem.loss, problem.y))
        if problem.held_out is not None:
            found = replace(found, held_out_constant=constant_loss(problem.loss, problem.held_out[1]))
        with explain_os_errors(folder):
            store_attainable_loss(folder, found)
