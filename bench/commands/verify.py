"""The command `sgdbench info --verify`: check that this machine gives the published bits."""

import llvmlite.binding as llvm
import numba
import pandas as pd

from sgdbench.commands.console import print_sentence, print_table
from sgdbench.commands.stages import show_progress
from sgdbench.engine.digests import Result, verification


def verify_bits(*, every_optimizer: bool = False) -> bool:
    """Compute digests of results, print whether they are the published ones, and return that."""
    steps = verification(every_optimizer=every_optimizer)
    results: list[Result] = []
    with show_progress("Digests", len(steps)) as advance:
        for done, step in enumerate(steps, 1):
            results += step.results()
            advance(done)
    wrong = [result for result in results if result.found != result.published]
    where = f"in code for {numba.config.CPU_NAME or llvm.get_host_cpu_name()}"
    if wrong:
        print_table(pd.DataFrame(wrong), "Digests that differ from the published ones")
        print_sentence("Not verified", f"{len(wrong)} of {len(results)} digests of results differ, {where}.")
    else:
        print_sentence("Verified", f"all {len(results)} digests of results match the published ones, {where}.")
    return not wrong
