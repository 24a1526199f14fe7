"""The command `sgdbench run` for a suite: train, check and confirm each problem, then compare all."""

import tomllib
from dataclasses import replace
from pathlib import Path

import tomli_w

from sgdbench.commands.cluster import open_cluster
from sgdbench.commands.console import mapping_display, print_place, print_sentence
from sgdbench.commands.measure import replay_runs
from sgdbench.commands.options import RunOptions
from sgdbench.commands.run import (
    UNVERIFIED,
    decide,
    refuse_large_grid,
    refuse_report,
)
from sgdbench.commands.stages import show_stages
from sgdbench.data.scaling import Scaling
from sgdbench.data.table import Dataset
from sgdbench.engine.train import Executor
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import RunData, read_run_data
from sgdbench.report.suite_report import SuiteData, find_suite_conclusions, write_suite_report
from sgdbench.store.evidence import read_tables
from sgdbench.store.run_folder import OUT_ADVICE, RESUME_OPTION, visible_files
from sgdbench.study.load import check_misfits
from sgdbench.study.schema import Study, folder_name
from sgdbench.study.suite import SUITE_FILE, Suite, is_suite_folder
from sgdbench.system.atomic import write_text
from sgdbench.system.files import read_regular_file
from sgdbench.tables.words import name_best_choice, sentences


def run_suite(suite: Suite, run_options: RunOptions) -> bool:
    """Run the studies of a suite, and write a report that compares the optimizers over all of them.

    Return whether all studies were verified; otherwise there is no report.
    """
    for study in suite.studies if not run_options.yes else ():
        refuse_large_grid(study)
    # Errors of the last problem are reported before the first one is trained.
    loaded = [(study, _load_data(study)) for study in suite.studies]
    folder = run_options.out or Path("results") / folder_name(suite.name)
    _check_folder(folder, suite, resume=run_options.resume)
    folder.mkdir(parents=True, exist_ok=True)
    if not is_suite_folder(folder):
        _write_record(suite, folder)
    runs: dict[str, RunData] = {}
    try:
        with open_cluster(run_options.cluster) as executor:
            for study, data in loaded:
                runs[study.name] = _run_problem(study, data, folder / folder_name(study.name), executor, run_options)
        # Not earlier: a suite that is resumed with other settings may be refused.
        _write_record(suite, folder)
    except UNVERIFIED as error:
        return refuse_report(error)
    suite_data = SuiteData(suite.title, suite.description, runs)
    for about, sentence in sentences(find_suite_conclusions(suite_data)).items():
        print_sentence(about, sentence)
    print_place("Report", write_suite_report(suite_data, folder, svg=run_options.svg))
    return True


def rewrite_suite_report(folder: Path, *, svg: bool = False) -> Path:
    """Write the report of a suite and those of its runs again, from their folders."""
    problems, title, description = _read_record(folder)
    if waiting := next((name for name, place in problems.items() if not (folder / str(place)).exists()), None):
        raise ValueError(f"the problem {waiting!r} in {folder} has not been run yet: run the suite with --resume")
    runs = {str(name): read_run_data(folder / str(place)) for name, place in problems.items()}
    if len({frozenset(run.frame["optimizer"]) for run in runs.values()}) > 1:
        raise ValueError(f"the problems in {folder} have runs of different optimizers: run the suite with --resume")
    for run in runs.values():
        write_run_report(run, svg=svg, figures=False)
    return write_suite_report(SuiteData(title, description, runs), folder, svg=svg)


def _write_record(suite: Suite, folder: Path) -> None:
    problems = {study.name: folder_name(study.name) for study in suite.studies}
    record = {"title": suite.title, "description": suite.description, "problems": problems}
    write_text(folder / SUITE_FILE, tomli_w.dumps(record))


def _read_record(folder: Path) -> tuple[dict[str, str], str, str]:
    """Return the problems of the suite in this folder, with their folders, and its title and description."""
    try:
        record = tomllib.loads(read_regular_file(folder / SUITE_FILE).decode())
        return dict(record["problems"]), str(record["title"]), str(record["description"])
    except (KeyError, ValueError, TypeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{folder / SUITE_FILE} was not written by a run of a suite: {reason}; run the suite again into "
            f"{OUT_ADVICE}"
        ) from None


def _check_folder(folder: Path, suite: Suite, *, resume: bool) -> None:
    """Refuse a folder with other files, which may be the suite itself, and one with results unless it is resumed.

    Also refuse one with results of a problem that the suite does not have: the report would no longer show them.
    """
    problems: dict[str, str] = {}
    if visible_files(folder):
        try:
            problems, *_ = _read_record(folder)
        except (ValueError, FileNotFoundError):
            raise ValueError(
                f"{folder} is not the folder of a suite and was not changed: choose {OUT_ADVICE}"
            ) from None
    if not resume and any(folder.glob("*/parts/*")):
        raise ValueError(f"{folder} already holds results: continue with {RESUME_OPTION}, or choose {OUT_ADVICE}")
    names = {folder_name(study.name) for study in suite.studies}
    held = [name for name, place in problems.items() if place not in names and any(folder.glob(f"{place}/parts/*"))]
    if held:
        raise ValueError(
            f"{folder} holds the problem {held[0]!r}, which this suite does not have: choose {OUT_ADVICE}, or add "
            "it to the suite"
        )


def _load_data(study: Study) -> tuple[Dataset, Scaling | None]:
    """Return the data of a problem, after checking that its settings suit them."""
    data = study.dataset(**mapping_display())
    check_misfits(study, data[0], lambda key: f"problem {study.name!r}: ")
    return data


def _run_problem(
    study: Study, data: tuple[Dataset, Scaling | None], folder: Path, executor: Executor, run_options: RunOptions
) -> RunData:
    """Train, check, confirm and report one problem; print its best choice as soon as it is known."""
    with (
        show_stages() as stages,
        decide(study, data, folder, executor, stages, resume=run_options.resume) as decided,
    ):
        with stages.hidden():
            print_sentence(study.name, name_best_choice(decided.leading_conclusions))
        with stages.stage("paths"):
            replay_runs(decided, study, data[0])
        with stages.stage("report"):
            run = replace(decided, evidence=read_tables(folder))
            write_run_report(run, svg=run_options.svg, figures=False)
    return run
