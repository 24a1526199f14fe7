"""What `sgdbench run` does with a suite: each problem is trained, checked and confirmed, and then all are compared."""

import sys
import tomllib
from pathlib import Path

import tomli_w

from bench.analysis.paths import recorded_paths
from bench.analysis.trajectories import ReplayError, trajectories
from bench.commands.cluster import open_cluster
from bench.commands.console import print_place, print_sentence
from bench.commands.kept import keep_results
from bench.commands.run import confirm_winners, folder_name, judge_winner, train_study, verify_program, verify_runs
from bench.engine.train import Executor
from bench.report.report import write_run_report
from bench.report.run_data import RunData, read_run_data
from bench.report.suite_report import SuiteData, describe_suite, write_suite_report
from bench.store.evidence import read_tables, store_tables
from bench.store.results import load_run
from bench.study.grid import question_if_large
from bench.study.schema import Study
from bench.study.suite import Suite
from bench.system.atomic import write_text
from bench.system.files import read_regular_file

RECORD = "suite.toml"
"""What a folder of a suite says of itself; each of its runs is a run folder besides."""


def run_suite(
    suite: Suite, out: Path | None, *, resume: bool, confirmed: bool, svg: bool = False, cluster: str | None = None
) -> bool:
    """Run the studies of a suite, and write a report that compares the optimizers over all of them.

    Parameters
    ----------
    suite : Suite
    out : Path or None
        The folder of the results; without it, one that is named after the suite.
    resume : bool
        Whether to go on with what the folder holds.
    confirmed : bool
        Whether very large grids are wanted.
    svg : bool
        Whether to write figures as SVG too.
    cluster : str or None
        Where configurations are trained, as `bench.commands.cluster.open_cluster` takes it.

    Returns
    -------
    bool
        Whether everything was verified; else there is no report.

    Raises
    ------
    ValueError
        For bad input.
    KeyboardInterrupt
        On Ctrl-C; the folder then holds what was done.
    """
    for study in suite.studies:
        if not confirmed and (question := question_if_large(study.make_grid().size)):
            raise ValueError(f"{study.name}: {question}")
    folder = out or Path("results") / folder_name(suite.name)
    folder.mkdir(parents=True, exist_ok=True)
    names = {study.name: folder_name(study.name) for study in suite.studies}
    record = {"title": suite.title, "description": suite.description, "problems": names}
    write_text(folder / RECORD, tomli_w.dumps(record))
    runs: dict[str, RunData] = {}
    with open_cluster(cluster) as executor:
        for study in suite.studies:
            run = _run_problem(study, folder / names[study.name], executor, resume=resume, svg=svg)
            if run is None:
                return False
            runs[study.name] = run
    data = SuiteData(suite.title, suite.description, runs)
    for about, sentence in describe_suite(data).items() if data.ratios else ():
        print_sentence(about, sentence)
    print_place("Report", write_suite_report(data, folder, svg=svg))
    return True


def is_suite_folder(folder: Path) -> bool:
    """Return whether a folder holds the runs of a suite."""
    return (folder / RECORD).is_file()


def rewrite_suite_report(folder: Path, *, svg: bool = False) -> Path:
    """Write the report of a suite again, and those of its runs, from what is stored.

    Raises
    ------
    ValueError
        If the folder is not that of a suite, or a run in it cannot be read.
    """
    try:
        record = tomllib.loads(read_regular_file(folder / RECORD).decode())
        problems, title = dict(record["problems"]), str(record["title"])
        description = str(record["description"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{folder / RECORD} is not as it was written: {error}; run the suite again") from None
    runs = {str(name): read_run_data(folder / str(place)) for name, place in problems.items()}
    for run in runs.values():
        write_run_report(run, svg=svg, figures=False)
    return write_suite_report(SuiteData(title, description, runs), folder, svg=svg)


def _run_problem(study: Study, folder: Path, executor: Executor, *, resume: bool, svg: bool) -> RunData | None:
    """Train, check, confirm and report one problem; return None where a result is not that of the reference."""
    data, scaling = study.dataset()
    model, grid = study.make_model(data), study.make_grid()
    result = train_study(study, model, grid, data, folder, resume=resume, executor=executor)
    with keep_results(folder):
        if not (verify_program(result, data) and verify_runs(result, study, data)):
            return None
        try:
            replayed = trajectories(result, study.run, data)
            paths = recorded_paths(result, study.run, data)
        except ReplayError as error:
            print(f"sgdbench: {error}; no report is written", file=sys.stderr)
            return None
        store_tables(result.run.folder, trajectories=replayed, paths=paths)
        confirm_winners(result, study, data, None, executor)
        result = load_run(folder)

        def gather() -> RunData:
            return RunData(result, read_tables(result.run.folder), study, data, scaling, None)

        if data.test is not None:
            judge_winner(gather(), study, data)
        run = gather()
        write_run_report(run, svg=svg, figures=False)
    best = run.verdict["Best choice"].partition(", schedule")[0]
    print_sentence(study.name, f"{best}.")
    return run
