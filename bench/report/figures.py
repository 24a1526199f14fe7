"""The figures of a report, one after the other, from what a run's folder holds."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.basin import loss_surface
from bench.data.fit_table import curve_in_table_units
from bench.plots import (
    basin_map,
    contours,
    ecdf,
    fitted_curve,
    fitted_path,
    loss_curves,
    parameter_path,
    pareto,
    rate_map,
    sensitivity,
    speed_bars,
)
from bench.plots.choices import add_epoch_seconds, select_best_runs, start_families
from bench.report.run_data import RunData
from bench.tables.ranking import CHOICES, best_choices, varies

MAX_PATHS = 3  # one row of panels


class ReportFigure(NamedTuple):
    """A figure, what its file is called, and what is to be seen."""

    name: str
    caption: str
    figure: Figure


def report_figures(run_data: RunData) -> Iterator[ReportFigure]:
    """The figures, in the order in which they are shown: first what is best, then why, last what it costs.

    Those that would have nothing to show are left out.
    """
    times = run_data.evidence.get("times")
    if times is not None:
        times = times[times["variant"] == "fused"]
    frame = add_epoch_seconds(run_data.frame, times)
    yield from _overview_figures(run_data, frame)
    if len(run_data.evidence.get("trajectories", ())) and run_data.data:
        yield from _fit_figures(run_data)
    yield from _rate_figures(run_data, frame)
    yield from _cost_figures(run_data, frame)


def _overview_figures(run_data: RunData, frame: pd.DataFrame) -> Iterator[ReportFigure]:
    """What is best, at a glance."""
    reached = frame["epochs_to_target"].notna().any()
    if reached and varies(frame, "lr"):
        caption = (
            "Epochs to the target by learning rate and batch size: the darker, the sooner; a cross is divergence, and "
            "a white cell a target missed."
        )
        yield ReportFigure("rate_map", caption, rate_map(frame, edges=_predicted_edges(run_data)))
    if varies(frame, "optimizer"):
        runs = select_best_runs(frame)
        runs = runs.assign(init=start_families(runs["init"]))
        figure = loss_curves(runs, run_data.result.curves, by="optimizer", panel="init", target=run_data.target)
        yield ReportFigure("loss_by_optimizer", "Each optimizer at its best choice, start by start.", figure)


def _fit_figures(run_data: RunData) -> Iterator[ReportFigure]:
    """The curve over the data, and the way there."""
    data, scaling, model = run_data.data, run_data.scaling, run_data.result.model
    assert data  # noqa: S101 (the caller has looked)
    columns = [f"param_{name}" for name in model.params]
    trajectories = run_data.evidence["trajectories"]
    x, y = run_data.data_in_table_units()
    names = (data.x_names[0], data.y_name)
    curve = curve_in_table_units(model, scaling)
    fits = trajectories[trajectories["role"] == "best"].groupby("init", sort=False)[columns].last()
    params = {str(name): values for name, values in zip(fits.index, fits.to_numpy(), strict=True)}
    figure = fitted_curve(curve, x, y, params_by_name=params, names=names)
    yield ReportFigure("fitted_curve", "The data, and the best run from each start.", figure)

    typical = trajectories[trajectories["role"] == "typical"]
    starts = typical["init"].drop_duplicates()
    few = starts[~start_families(starts).duplicated()][:MAX_PATHS]
    typical = typical[typical["init"].isin(few)]
    if typical["epoch"].max() == 0 or typical.empty:
        return
    paths = {str(name): path[columns].to_numpy() for name, path in typical.groupby("init", sort=False)}
    middle = "the run in the middle of those that reached the target, in the order in which they did"
    if len(data.x_names) == 1:
        figure = fitted_path(curve, x, y, paths=paths, names=names)
        caption = f"How the curve bends onto the data. From each start, a typical run: {middle}."
        yield ReportFigure("fitted_path", caption, figure)
    units = " In standardized units." if scaling else ""
    if len(columns) > 1:
        figure = contours(loss_surface(model, data), paths, names=model.params)
        caption = f"The way of the parameters over the loss, from the circle to the cross, in typical runs.{units}"
        yield ReportFigure("contours", caption, figure)
    else:
        chosen = run_data.frame[run_data.frame["config_id"].isin(typical["config_id"])]
        caption = f"How far the parameter is from its end, in typical runs.{units}"
        yield ReportFigure("parameter_path", caption, parameter_path(typical, chosen))


def _rate_figures(run_data: RunData, frame: pd.DataFrame) -> Iterator[ReportFigure]:
    """What the rate, the batch size and the start do."""
    target = run_data.target
    if varies(frame, "lr") and np.isfinite(frame["final_loss"]).any():
        caption = "How much the learning rate matters: the wider a line is low, the less it has to be tuned."
        yield ReportFigure("sensitivity", caption, sensitivity(frame, target=target))
    from_start, start = select_hardest_start(select_best_runs(frame, ["schedule", "shuffle"]))
    whence = f" From the start {start}, the hardest." if start else ""
    winner = str(best_choices(frame, ["optimizer"])["optimizer"].iloc[0])
    runs = from_start[from_start["optimizer"] == winner]
    which = f"{winner}, the best optimizer," if varies(frame, "optimizer") else winner
    if varies(frame, "lr") or not varies(frame, "optimizer"):
        figure = loss_curves(runs, run_data.result.curves, target=target)
        yield ReportFigure("loss_by_lr", f"{which} by learning rate.{whence}", figure)
    basin = run_data.evidence.get("basin")
    if basin is not None and _start_matters(basin):
        figure = basin_map(basin, **_basin_markers(run_data, basin))
        yield ReportFigure("basin", "From where runs arrive, and how soon: each optimizer at its best choice.", figure)


def _cost_figures(run_data: RunData, frame: pd.DataFrame) -> Iterator[ReportFigure]:
    """What it takes in time."""
    if frame["epochs_to_target"].notna().any():
        caption = "The share of configurations that reached the target within so many epochs, and so much time."
        yield ReportFigure("ecdf", caption, ecdf(frame))
    if varies(frame, "batch_size"):
        winner = str(best_choices(frame, ["optimizer"])["optimizer"].iloc[0])
        runs = frame[frame["optimizer"] == winner]
        from_start, start = select_hardest_start(select_best_runs(runs, by="batch_size"))
        figure = loss_curves(
            from_start, run_data.result.curves, by="batch_size", panel="optimizer", target=run_data.target, x="seconds"
        )
        whence = f" From the start {start}, the hardest." if start else ""
        caption = f"{winner} against time: each batch size at its best learning rate.{whence}"
        yield ReportFigure("loss_by_batch_size", caption, figure)
    if len(frame[CHOICES].drop_duplicates()) > 2 and np.isfinite(frame["final_loss"]).any():
        caption = "What a lower loss costs in time: along the front nothing is both faster and better."
        yield ReportFigure("pareto", caption, pareto(frame, target=run_data.target))
    speed = run_data.evidence.get("speed")
    if speed is not None and len(speed):
        yield ReportFigure("speed", "How long a sample-update takes, with 95 % intervals.", speed_bars(speed))


def _predicted_edges(run_data: RunData) -> pd.DataFrame | None:
    """The predicted largest stable rates, where there are any."""
    theory = run_data.evidence.get("theory")
    return theory if theory is not None and len(theory) else None


def _start_matters(basin: pd.DataFrame) -> bool:
    """Whether it matters where a run starts."""
    if basin.empty or varies(basin, "status") or varies(basin, "epochs"):
        return len(basin) > 0
    losses = basin["final_loss"]
    return bool(losses.max() > 2 * losses.min())


def _basin_markers(run_data: RunData, basin: pd.DataFrame) -> dict[str, Any]:
    """Where the best run ended, and the starts of the sweep by name."""
    frame, result = run_data.frame, run_data.result
    first = np.unique(frame["init"].cat.codes, return_index=True)[1]
    starts = dict(zip(frame["init"].iloc[first].astype(str), result.starts[first], strict=True))
    columns = [f"param_{name}" for name in result.model.params]
    end = frame.loc[frame["config_id"] == basin["config_id"].iloc[0], columns].to_numpy(float)
    return {"end": end[0] if len(end) else None, "starts": starts}


def select_hardest_start(frame: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
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
    starts = start_families(frame["init"])
    if len(starts.unique()) == 1:
        return frame, None
    success = (frame["status"] == "converged").groupby(starts).mean()
    loss = frame["final_loss"].fillna(np.inf).groupby(starts).median()
    hardest = str(pd.DataFrame({"success": success, "gain": -loss}).sort_values(["success", "gain"]).index[0])
    return frame[starts == hardest], hardest
