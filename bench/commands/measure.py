"""The part of `sgdbench run` besides the verdict: time updates and variants, replay runs, analyze, draw and report."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sgdbench.analysis.basin import basin
from sgdbench.analysis.convergence import theory_tables
from sgdbench.analysis.paths import recorded_paths, typical_paths
from sgdbench.commands.console import print_place, print_sentence, print_table
from sgdbench.commands.speed import print_speed
from sgdbench.commands.stages import Stages
from sgdbench.data.table import Dataset
from sgdbench.kernels.compile.kinds import is_exact
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import RunData
from sgdbench.store.evidence import read_tables, store_tables
from sgdbench.store.results import StoredSweep
from sgdbench.study.schema import Study
from sgdbench.tables.rank import recommended_choice
from sgdbench.tables.render import TITLES, readable_table
from sgdbench.timing.speed import Speed, speed
from sgdbench.timing.update import update_seconds
from sgdbench.timing.variants import VARIANTS_BY_NAME
from sgdbench.timing.workload import study_problems

# Variants whose kernels are compiled anyway; compiling takes seconds.
MEASURED_VARIANTS = ("reference", "fused", "lanes", "lanes, all cores", "C", "NumPy scalars")
# Kept short, while `sgdbench speed` takes its time. On the classic study, the intervals of updates are 5 to 6 % wide
# on either side, and those of variants 3 to 9 %. In ten epochs, call overhead is 2 % of the time.
EPOCHS_OF_ONE_RUN, EPOCHS_OF_MANY_RUNS, SPEED_SECONDS, UPDATE_SECONDS = 10, 8, 0.3, 0.25


def measure_and_report(
    decided: RunData, study: Study, data: Dataset, stages: Stages, *, verbose: bool, svg: bool
) -> bool:
    """Measure, analyze and report a decided study; return whether the timed kernels are verified."""
    result, folder = decided.result, decided.result.run.folder
    if "updates, timed" not in stages.begun:
        with stages.stage("updates, timed"):
            costs = time_updates(result, study, data)
    else:
        costs = decided.evidence["costs"]
    with stages.stage("variants, timed"):
        measured = measure_speed(folder, study, data)
    with stages.stage("paths and theory"):
        replay_runs(decided, study, data)
        store_tables(folder, basin=basin(result, study.run, data, decided.ranked))
        theory = theory_tables(result.model, data.x, data.y, result.frame, result.curves, study.run)
        store_tables(folder, **theory)
    with stages.stage("report") as advance:
        run_data = replace(decided, evidence=read_tables(folder))
        page = write_run_report(run_data, svg=svg, progress=advance)
    with stages.hidden():
        if verbose:
            print()
            _print_tables(run_data, measured)
        print_place("Report", page)
    # Training may amplify rounding errors of kernels that are not exact.
    return not (is_exact(result.model, "fused", study.run.loss) and _any_wrong(measured, costs))


def time_updates(result: StoredSweep, study: Study, data: Dataset) -> pd.DataFrame:
    """Time updates with all settings of a run, and store and return them; print which were not timed."""
    costs = update_seconds(result, data.x, data.y, study.run, seconds=UPDATE_SECONDS)
    store_tables(result.run.folder, costs=costs)
    for row in costs[costs["note"] != ""].to_dict("records"):
        order = "shuffled" if row["shuffle"] else "in sequence"
        about = f"{row['variant']}, {row['optimizer']}, batches of {row['batch_size']:,}, {order}"
        print(f"sgdbench: {about}: {row['note']}", file=sys.stderr)
    return costs


def _any_wrong(measured: Speed | None, costs: pd.DataFrame) -> bool:
    """Return whether one of our kernels failed verification when it was to be timed."""
    wrong = measured is not None and (measured.table["ours"] & measured.table["verified"].eq(False)).any()
    return bool(wrong or (costs["note"] != "").any())


def replay_runs(decided: RunData, study: Study, data: Dataset) -> None:
    """Store the paths of typical runs and of the runs that the page plays; raise ReplayError if one ends elsewhere."""
    about, best = (decided.result, study.run, data), recommended_choice(decided.ranked)
    folder = decided.result.run.folder
    store_tables(folder, typical_paths=typical_paths(*about), paths=recorded_paths(*about, best))


def measure_speed(folder: Path, study: Study, data: Dataset) -> Speed | None:
    """Time the variants in `MEASURED_VARIANTS` on the study's model; return None if it diverges at every rate."""
    try:
        one, many = study_problems(study, data)
    except ValueError as reason:
        print(f"sgdbench: speed was not measured: {reason}", file=sys.stderr)
        return None
    variants = [VARIANTS_BY_NAME[name] for name in MEASURED_VARIANTS]
    problems = one.part(epochs=EPOCHS_OF_ONE_RUN), many.part(epochs=EPOCHS_OF_MANY_RUNS)
    measured = speed(variants, *problems, seconds=SPEED_SECONDS)
    store_tables(folder, speed=measured.table, speed_rounds=measured.rounds)
    return measured


def _print_tables(run_data: RunData, measured: Speed | None) -> None:
    print_table(run_data.evidence["check"].drop(columns="config_id"), TITLES["check"])
    for name, table in run_data.tables.items():
        print_table(readable_table(name, table, run_data.samples), TITLES[name])
    if measured:
        print_speed(measured, "How fast the variants are on this model")
    for about, sentence in run_data.verdict.items():
        print_sentence(about, sentence)
