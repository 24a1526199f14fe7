"""Finds the yardstick of a sweep once, and keeps it in the folder."""

from dataclasses import replace
from pathlib import Path

from bench.engine.problem import Problem
from bench.store.evidence import read_table_of
from bench.store.run_folder import explain_os_errors
from bench.store.yardstick import NAME, store_yardstick
from kernels.base.run import Floats
from kernels.losses.classes import takes_classes
from kernels.train.yardstick import find_yardstick


def held_out_floor(problem: Problem) -> float:
    """Return the loss on held-out samples below which they tell no difference; 0 where any difference counts.

    Classes that are told apart by a margin have losses near 0, which grow to about 1 with a single sample on the wrong
    side. So the mean over n samples tells no losses below 1 / n apart.
    """
    if problem.held_out is None or not takes_classes(problem.loss):
        return 0.0
    return 1 / problem.held_out[1].size


def settle_yardstick(problem: Problem, starts: Floats, folder: Path) -> None:
    """Find the lowest loss, also from the starts of runs, and store it in a run's folder that does not hold it yet."""
    if read_table_of(folder, NAME).empty:
        found = find_yardstick(problem.model, problem.loss, (problem.columns, problem.y), starts)
        found = replace(found, held_out_floor=held_out_floor(problem))
        with explain_os_errors(folder):
            store_yardstick(folder, found)
