"""Finds the yardstick of a sweep once, and keeps it in the folder."""

from pathlib import Path

import numpy as np

from bench.engine.problem import Problem
from bench.store.evidence import read_table_of
from bench.store.run_folder import explain_os_errors
from bench.store.yardstick import NAME, store_yardstick
from kernels.base.run import Floats
from kernels.train.yardstick import find_yardstick

MOST_STARTS = 8
"""The number of starts of a sweep from which the lowest loss is looked for too."""


def settle_yardstick(problem: Problem, starts: Floats, folder: Path) -> None:
    """Find the lowest loss, also from some of the starts, and store it in a run's folder that does not hold it yet."""
    if read_table_of(folder, NAME).empty:
        some = np.unique(starts, axis=0)[:MOST_STARTS]
        samples = problem.columns, problem.y
        found = find_yardstick(problem.model, problem.loss, samples, list(some))
        with explain_os_errors(folder):
            store_yardstick(folder, found)
