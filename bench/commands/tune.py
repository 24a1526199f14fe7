"""The command `sgdbench tune`: search, check, confirm, compare with the grid, and report."""

from pathlib import Path

from sgdbench.commands.cluster import open_cluster
from sgdbench.commands.console import mapping_display, print_place, print_sentence
from sgdbench.commands.options import RunOptions
from sgdbench.commands.resuming import explain_report, explain_resuming
from sgdbench.commands.run import UNVERIFIED, make_trainer, refuse_report, verify_runs
from sgdbench.commands.stages import show_progress
from sgdbench.report.tune_data import read_tune_data
from sgdbench.report.tune_report import write_tune_report
from sgdbench.store.run_folder import hold_run
from sgdbench.store.tuning import read_search
from sgdbench.study.grid import question_if_large
from sgdbench.study.load import check_misfits
from sgdbench.study.schema import Study, folder_name
from sgdbench.study.space import SearchSettings


def run_tune(study: Study, run_options: RunOptions, *, with_grid: bool, seed: int) -> bool:
    """Search the space of a study, print the conclusions, write the report and print its path.

    With `with_grid`, the grid of the study is trained too, for comparison. `seed` is the sampler's. Return whether
    trials that are trained again with the reference give the same result; otherwise there is no report.
    """
    try:
        from sgdbench.engine.tune import train_search  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    data, _ = study.dataset(**mapping_display())
    check_misfits(study, data, run_options.locate, searched=True)
    if with_grid or study.tune.batch_size is None:
        check_misfits(study, data, run_options.locate)
    grid, space = study.make_grid(), study.make_space(len(data.y))
    if with_grid and question_if_large(grid.size):
        raise ValueError(f"the grid has {grid.size:,} configurations: --no-grid searches without this baseline")
    folder = run_options.out or Path("results") / f"{folder_name(study.name)}-tuned"
    searched = SearchSettings(**study.tune.search, sampler_seed=seed)
    with (
        explain_resuming(folder),
        open_cluster(run_options.cluster) as executor,
        show_progress("trials", searched.trials) as advance,
    ):
        trainer = make_trainer(study, data, folder, executor, refine=0)  # the grid of a search is not refined
        rival = grid if with_grid else None
        tuning = train_search(trainer, space, searched, rival, resume=run_options.resume, progress=advance)
    with explain_report(folder), hold_run(folder):
        if len(tuning.result.frame):
            try:
                verify_runs(tuning.result, study, data)
            except UNVERIFIED as error:
                return refuse_report(error)
        tune_data = read_tune_data(tuning)
        for about, sentence in tune_data.verdict.items():
            print_sentence(about, sentence)
        print_place("Report", write_tune_report(tune_data, svg=run_options.svg))
    return True


def rewrite_tune_report(folder: Path, *, svg: bool = False) -> Path:
    """Write the report of a search again from its folder."""
    return write_tune_report(read_tune_data(read_search(folder)), svg=svg)
