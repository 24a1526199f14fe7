"""Finds the yardstick of a sweep once, and keeps it in the folder."""

from pathlib import Path

from bench.engine.problem import Problem
from bench.store.evidence import read_table_of
from bench.store.run_folder import explain_os_errors
from bench.store.yardstick import NAME, store_yardstick
from kernels.base.run import Floats
from kernels.train.yardstick import find_yardstick


def settle_yardstick(problem: Problem, starts: Floats, folder: Path) -> None:
    """Find the lowest loss, also from the starts of runs, and store it in a run's folder that does not hold it yet."""
    if read_table_of(folder, NAME).empty:
        found = find_yardstick(problem.model, problem.loss, (problem.columns, problem.y), starts)
        with explain_os_errors(folder):
            store_yardstick(folder, found)
