"""Finds the yardstick of a sweep once, and keeps it in the folder."""

from pathlib import Path

import numpy as np

from bench.engine.problem import Problem
from bench.store.yardstick import read_yardstick, store_yardstick
from kernels.run import Floats
from kernels.sample_stream import ArrayStream
from kernels.yardstick import Yardstick, find_yardstick

MOST_STARTS = 8
"""Of the starts of a sweep, those from which the lowest loss is looked for too."""


def settle_yardstick(problem: Problem, starts: Floats, folder: Path) -> Yardstick:
    """Return the yardstick that a run's folder holds, or find it and store it there.

    Parameters
    ----------
    problem : Problem
    starts : array, shape (any, P)
        Where runs start.
    folder : path
    """
    known = read_yardstick(folder)
    if known is None:
        some = np.unique(starts, axis=0)[:MOST_STARTS]
        samples = ArrayStream(problem.columns, problem.y)
        known = find_yardstick(problem.model, problem.loss, samples, list(some))
        store_yardstick(folder, known)
    return known
