"""From a run to its report: tables, figures and report.md in the run's folder."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.data import Dataset
from bench.files import replace_atomically
from bench.fitting import curve_in_table_units
from bench.plots import fitted_curve, fitted_path, loss_curves, parameter_path
from bench.render import duration, literal, text, to_markdown, write_tables
from bench.replay import best_runs, replay, typical_runs
from bench.results import SweepResult
from bench.standardize import Scaling
from bench.study import Study
from bench.style import save
from bench.tables import CHOICES, best
from bench.verdict import verdict

TITLES = {
    "best": "The best choices, over all starts and seeds",
    "best_by_optimizer_and_batch_size": "The best for each optimizer and batch size",
    "effects": "What each setting does",
    "check": "Checked against the reference",
}


class Illustration(NamedTuple):
    """A figure, what its file is called, and what is to be seen."""

    name: str
    caption: str
    figure: Figure


def write_report(
    result: SweepResult, study: Study, data: Dataset, scaling: Scaling | None, tables: dict[str, pd.DataFrame]
) -> Path:
    """Write tables/, figures/ and report.md.

    Parameters
    ----------
    result : SweepResult
    study : Study
        That was run.
    data : Dataset
        What was trained.
    scaling : Scaling or None
        If the data are standardized: the way back.
    tables : dict
        Those of `bench.tables.standard_tables`, and as `check` the one of `bench.check.check`.

    Returns
    -------
    pathlib.Path
        The report.
    """
    folder = result.run.folder
    frame = result.frame.assign(seconds=result.seconds)
    write_tables(tables, folder / "tables")
    _write_configurations(frame, folder / "tables")
    captions = {}
    for name, caption, figure in _illustrations(result, frame, study, data, scaling):
        save(figure, folder / "figures", name)
        captions[name] = caption
    parts = [
        f"# {literal(text(study.title or study.name))}",
        f"`{result.model.expression}` on {literal(text(Path(data.source).name))} ({text(len(data.y))} samples), "
        f"{text(len(frame))} configurations of up to {text(study.run.epochs)} epochs.",
        "".join(
            f"- **{about}.** {literal(text(sentence))}\n"
            for about, sentence in verdict(frame, result.model, study.run.target, scaling).items()
        ),
        *(f"## {TITLES[name]}\n\n{to_markdown(table)}" for name, table in tables.items() if name != "check"),
        "## Figures",
        *(f"![](figures/{name}.png)\n\n*{literal(text(caption))}*" for name, caption in captions.items()),
        f"## {TITLES['check']}",
        _what_was_checked(tables["check"], len(frame), study.run.kernel),
        to_markdown(tables["check"]),
        "## How it was made",
        "With the study as it was run, every setting spelled out, `sgdbench run run.toml --out FOLDER` does it again. "
        "This is `run.toml`:",
        _fenced(result.run.study),
        "".join(f"- {name}: {literal(text(value))}\n" for name, value in result.run.environment.items()),
    ]
    report = folder / "report.md"
    with replace_atomically(report) as path:
        path.write_text("\n\n".join(parts), encoding="utf-8")
    return report


def _write_configurations(frame: pd.DataFrame, folder: Path) -> None:
    """Write all rows for programs; there may be too many of them to be read."""
    with replace_atomically(folder / "configurations.csv") as path:
        frame.to_csv(path, index=False)
    with replace_atomically(folder / "configurations.parquet") as path:
        frame.to_parquet(path, index=False)


def _illustrations(
    result: SweepResult, frame: pd.DataFrame, study: Study, data: Dataset, scaling: Scaling | None
) -> Iterator[Illustration]:
    budget = study.run
    optimizers = list(frame["optimizer"].cat.categories)
    if len(optimizers) > 1:
        choices = best(frame, ["optimizer"])
        of_the_best = frame.merge(choices[[name for name in CHOICES if name in choices]])
        figure = loss_curves(of_the_best, result.curves, by="optimizer", panel="init", target=budget.target)
        yield Illustration("loss_by_optimizer", "Each optimizer at its best choice, start by start.", figure)

    of_start, start = hardest_start(frame)
    whence = f" From the start {start}, the hardest." if start else ""
    for number, optimizer in enumerate(optimizers, start=1):
        figure = loss_curves(of_start[of_start["optimizer"] == optimizer], result.curves, target=budget.target)
        yield Illustration(f"loss_by_lr_{number}_{_plain(optimizer)}", f"{optimizer} by learning rate.{whence}", figure)
    winner = str(best(frame, ["optimizer"])["optimizer"].iloc[0])
    of_winner = of_start[of_start["optimizer"] == winner]
    figure = loss_curves(of_winner, result.curves, by="batch_size", panel="lr", target=budget.target)
    which = f"{winner}, the best optimizer," if len(optimizers) > 1 else winner
    yield Illustration("loss_by_batch_size", f"{which} by batch size.{whence}", figure)

    x, y = data.x, data.y
    if scaling:
        x, y = scaling.x_mean + scaling.x_scale * x, scaling.y_mean + scaling.y_scale * y
    names = (data.x_names[0], data.y_name)
    curve = curve_in_table_units(result.model, scaling)
    fits = replay(result, best_runs(frame), budget, data)
    params = {name: run.params for name, run in fits.items()}
    figure = fitted_curve(curve, x, y, params_by_name=params, names=names)
    yield Illustration("fitted_curve", "The data, and the best run from each start.", figure)

    chosen = typical_runs(frame)
    typical = replay(result, chosen, budget, data)
    if not typical:
        return
    middle = "the run in the middle of those that reached the target, in the order in which they did"
    if len(data.x_names) == 1:
        paths = {name: run.trajectory for name, run in typical.items()}
        figure = fitted_path(curve, x, y, paths=paths, names=names)
        caption = f"How the curve bends onto the data. From each start, a typical run: {middle}."
        yield Illustration("fitted_path", caption, figure)
    trajectory = pd.concat(
        [run.to_frame().assign(config_id=row) for row, run in zip(chosen["config_id"], typical.values(), strict=True)],
        ignore_index=True,
    )
    units = " In standardized units." if scaling else ""
    caption = f"The way of the parameters, in the same typical runs.{units}"
    yield Illustration("parameter_path", caption, parameter_path(trajectory, chosen))


def hardest_start(frame: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """Keep the runs from the hardest start; a median over a near and a far one tells nothing.

    It is the one from which the smallest share reaches the target, or else the one of the highest loss. Random starts
    of one name count as one.

    Returns
    -------
    frame : DataFrame
        Some of its rows.
    start : str or None
        The start, if there are others.
    """
    starts = frame["init"].astype(str).str.replace(r"\[\d+\]$", "", regex=True)
    if len(starts.unique()) == 1:
        return frame, None
    success = (frame["status"] == "converged").groupby(starts).mean()
    loss = frame["final_loss"].fillna(np.inf).groupby(starts).median()
    hardest = str(pd.DataFrame({"success": success, "gain": -loss}).sort_values(["success", "gain"]).index[0])
    return frame[starts == hardest], hardest


def _plain(optimizer: str) -> str:
    """An optimizer's text as a part of a file name."""
    return "".join(character if character.isalnum() else "_" for character in optimizer).strip("_")


def _what_was_checked(checked: pd.DataFrame, configurations: int, kernel: str) -> str:
    exact = checked["bound"].max() == 0
    agreement = "is the same to the last bit" if exact else f"differs by at most {text(checked['error'].max())}"
    reference, fused = checked["reference_seconds"].median(), checked["fused_seconds"].median()
    return (
        f"{text(len(checked))} of {text(configurations)} configurations, drawn at random, were trained once more by "
        f"the plain NumPy reference. Every loss that the kernel {kernel} had found {agreement}. A sample-update takes "
        f"the reference {duration(reference)} and the kernel fused, which trains one run, {duration(fused)} (medians): "
        f"a factor of {text(float(f'{reference / fused:.2g}'))}."
    )


def _fenced(toml: str) -> str:
    """A block of code, with a fence longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", toml)), default=0))
    return f"{fence}toml\n{toml}{fence}"
