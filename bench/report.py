"""From a run to its report: tables, figures and report.md in the run's folder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.data import Dataset
from bench.files import replace_atomically
from bench.plots import fitted_curve, fitted_path, loss_curves, parameter_path
from bench.render import text, to_markdown, write_tables
from bench.results import SweepResult
from bench.study import Study
from bench.style import save
from bench.tables import standard_tables
from kernels import FitResult, fit

TITLES = {
    "best": "The best choices, over all starts and seeds",
    "best_by_optimizer_and_batch_size": "The best for each optimizer and batch size",
    "effects": "What each setting does",
    "check": "Checked against the reference",
}


def write_report(result: SweepResult, study: Study, data: Dataset, checked: pd.DataFrame) -> Path:
    """Write tables/, figures/ and report.md.

    Parameters
    ----------
    result : SweepResult
    study : Study
        That was run.
    data : Dataset
        What was trained.
    checked : DataFrame
        From `bench.check.check`.

    Returns
    -------
    pathlib.Path
        The report.
    """
    folder = result.run.folder
    frame = result.frame.assign(seconds=result.seconds)
    tables = standard_tables(frame) | {"check": checked}
    write_tables(tables | {"configurations": frame}, folder / "tables")
    names = []
    for name, figure in _figures(result, frame, study, data):
        save(figure, folder / "figures", name)
        names.append(name)
    report = folder / "report.md"
    with replace_atomically(report) as path:
        path.write_text(_markdown(result, study, tables, names), encoding="utf-8")
    return report


def best_runs(result: SweepResult, study: Study, data: Dataset) -> tuple[pd.DataFrame, dict[str, FitResult]]:
    """The best configuration from each start, at most five, and what `fit` makes of it epoch by epoch.

    A sweep keeps no trajectories; the same run again takes less than a millisecond.
    """
    frame = result.frame.assign(row=np.arange(len(result.frame)))
    ranked = frame[np.isfinite(frame["final_loss"])].sort_values(["epochs_to_target", "final_loss"], na_position="last")
    chosen = ranked.drop_duplicates("init").head(5)
    fits = {}
    for row in chosen.itertuples(index=False):
        fits[str(row.init)] = fit(
            result.model,
            data.x,
            data.y,
            init=result.starts[row.row],
            lr=row.lr,
            schedule=row.schedule,
            batch_size=int(row.batch_size),
            epochs=study.run.epochs,
            shuffle=bool(row.shuffle),
            seed=int(row.seed),
            drop_last=study.run.drop_last,
            optimizer=row.optimizer,
            loss=study.run.loss,
            target=study.run.target,
        )
    return chosen, fits


def _figures(result: SweepResult, frame: pd.DataFrame, study: Study, data: Dataset) -> Iterator[tuple[str, Figure]]:
    for number, optimizer in enumerate(frame["optimizer"].cat.categories, start=1):
        of_one = frame[frame["optimizer"] == optimizer]
        for by, panel in (("lr", "batch_size"), ("batch_size", "lr")):
            figure = loss_curves(of_one, result.curves, by=by, panel=panel, target=study.run.target)
            yield f"loss_by_{by}_{number}_{_plain(optimizer)}", figure
    chosen, fits = best_runs(result, study, data)
    names = (data.x_names[0], data.y_name)
    predict = result.model.predict
    params = {name: run.params for name, run in fits.items()}
    yield "fitted_curve", fitted_curve(predict, data.x, data.y, params_by_name=params, names=names)
    if len(data.x_names) == 1 and fits:
        paths = {name: run.trajectory for name, run in fits.items()}
        yield "fitted_path", fitted_path(predict, data.x, data.y, paths=paths, names=names)
    trajectories = [
        run.to_frame().assign(config_id=config_id)
        for config_id, run in zip(chosen["config_id"], fits.values(), strict=True)
    ]
    if trajectories:
        yield "parameter_path", parameter_path(pd.concat(trajectories, ignore_index=True), chosen)


def _plain(optimizer: str) -> str:
    """An optimizer's text as a part of a file name."""
    return "".join(character if character.isalnum() else "_" for character in optimizer).strip("_")


def _markdown(result: SweepResult, study: Study, tables: dict[str, pd.DataFrame], figures: list[str]) -> str:
    frame = result.frame
    counts = frame["status"].value_counts()
    lines = [
        f"# {text(study.title or study.name)}",
        f"`{result.model.expression}`, {text(len(frame))} configurations of up to {text(study.run.epochs)} epochs: "
        f"{text(int(counts['converged']))} reached the target, {text(int(counts['diverged']))} diverged.",
    ]
    for name, table in tables.items():
        lines += [f"## {TITLES[name]}", to_markdown(table)]
    lines += ["## Figures", *(f"![{name.replace('_', ' ')}](figures/{name}.png)" for name in figures)]
    lines += ["## How it was made", f"```toml\n{result.run.study}```"]
    facts = result.run.environment
    lines += ["".join(f"- {name}: {value}\n" for name, value in facts.items())]
    return "\n\n".join(lines)
