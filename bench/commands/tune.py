"""The command `sgdbench tune`: search, check, confirm, compare with the grid, and report."""

from dataclasses import asdict
from pathlib import Path

from bench.commands.cluster import open_cluster
from bench.commands.console import print_place, print_sentence, progress
from bench.commands.kept import keep_parts, keep_results
from bench.commands.run import folder_name, verify_program, verify_runs
from bench.report.tune_data import read_tune_data
from bench.report.tune_report import write_tune_report
from bench.store.tuning import load_tuning
from bench.study.grid import question_if_large
from bench.study.load import to_toml
from bench.study.schema import Study
from bench.study.space import SearchSettings


def run_tune(
    study: Study,
    out: Path | None,
    *,
    resume: bool,
    with_grid: bool,
    seed: int,
    svg: bool = False,
    cluster: str | None = None,
) -> bool:
    """Search the space of a study, print the conclusions, write the report and print its place.

    Parameters
    ----------
    study : Study
    out : Path or None
        The folder of the results; without it, one that is named after the study.
    resume : bool
        Whether to go on with what the folder holds.
    with_grid : bool
        Whether to train the grid of the study too, as a yardstick.
    seed : int
        Of the sampler.
    svg : bool
        Whether to write figures as SVG too.
    cluster : str or None
        Where trials are trained, as `bench.commands.cluster.open_cluster` takes it; all else is done here.

    Returns
    -------
    bool
        Whether the trials that were trained again with the reference gave the same; else there is no report.

    Raises
    ------
    ValueError
        For bad input; if Optuna is not installed.
    KeyboardInterrupt
        On Ctrl-C; the folder then holds what was done.
    """
    try:
        from bench.engine.recording import record_settings  # noqa: PLC0415
        from bench.engine.tune import tune  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    data, _ = study.dataset()
    grid, space = study.make_grid(), study.make_space(len(data.y))
    if with_grid and question_if_large(grid.size):
        raise ValueError(f"the grid has {grid.size:,} configurations: --no-grid searches without it as a yardstick")
    folder = out or Path("results") / f"{folder_name(study.name)}-tuned"
    searched = SearchSettings(**study.tune.search, sampler_seed=seed)
    settings = study.run.of_sweep() | asdict(searched) | {"validation": data.validation, "test": data.test}
    del settings["refine"]
    with keep_parts(folder), open_cluster(cluster) as executor, progress("trials", searched.trials) as advance:
        tuning = tune(
            study.make_model(data),
            data.x,
            data.y,
            space,
            grid=grid if with_grid else None,
            executor=executor,
            out=folder,
            study=to_toml(study),
            resume=resume,
            progress=advance,
            **settings,
        )
        record_settings(folder, study.run.epochs, study.data.validation, study.data.test, data.classes)
    with keep_results(folder):
        result = tuning.result
        if len(result.frame) and not (verify_program(result, data) and verify_runs(result, study, data)):
            return False
        found = read_tune_data(tuning)
        for about, sentence in found.sentences.items():
            print_sentence(about, sentence)
        print_place("Report", write_tune_report(found, svg=svg))
    return True


def rewrite_tune_report(folder: Path, *, svg: bool = False) -> Path:
    """Write the report of a search again from its folder.

    Raises
    ------
    ValueError
        If the folder cannot be read.
    """
    return write_tune_report(read_tune_data(load_tuning(folder)), svg=svg)
