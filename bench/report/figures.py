"""The figures of a report, in order, from the contents of a run's folder."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.surface import loss_surface
from bench.data.units import curve_in_table_units
from bench.plots.basins import basin_map
from bench.plots.choices import best_optimizers, select_best_runs, start_families
from bench.plots.contours import contours
from bench.plots.curves import fitted_curve, fitted_path
from bench.plots.ecdf import ecdf
from bench.plots.failures import skip_failed_figure
from bench.plots.loss_axis import LossAxis
from bench.plots.losses import loss_curves
from bench.plots.optimizer_ratios import optimizer_ratios
from bench.plots.pareto import pareto
from bench.plots.paths import parameter_path
from bench.plots.rates import rate_map
from bench.plots.sensitivity import sensitivity
from bench.plots.setting_importance import setting_importance
from bench.plots.speed import speed_bars
from bench.report.figure_list import FIGURES, STAGES, Stage
from bench.report.run_data import RunData
from bench.tables.choice_ranking import recommended_choice, runs_of
from bench.tables.ranking import varies
from bench.tables.run_costs import choice_columns

MAX_PATHS = 3  # one row of panels
# Of the variance of y. Runs without a target may end at 1e-30 or at 1e-20 of it, which is as good to everyone.
NEGLIGIBLE = 1e-12


class ReportFigure(NamedTuple):
    """A figure with the name of its file and its caption."""

    name: str
    caption: str
    figure: Figure


class PlannedFigure(NamedTuple):
    """A figure that is still to be drawn, which may fail."""

    name: str
    caption: str
    draw: Callable[[], Figure]


def report_figures(run_data: RunData, stages: Collection[Stage] = STAGES) -> Iterator[ReportFigure]:
    """Yield the figures in the order of the report: first the best choices, then the reasons, last the costs.

    Figures that would be empty are left out, and so are those that fail: standard error then says which and why.

    Parameters
    ----------
    run_data : RunData
    stages : collection of str
        Of these stages of a run alone, see `bench.report.figure_list`.
    """
    for name, caption, draw in _plan(run_data, stages):
        figure = None
        with skip_failed_figure(f"the figure {name}"):
            figure = draw()
        if figure:
            yield ReportFigure(name, caption, figure)


def _plan(run_data: RunData, stages: Collection[Stage]) -> list[PlannedFigure]:
    """Return what is to be drawn, in the order of the report."""
    planned: list[PlannedFigure] = []
    for stage, about, plan in _PLANS:
        if stage in stages:
            with skip_failed_figure(about):
                planned.extend(plan(run_data))
    places = {name: place for place, name in enumerate(FIGURES)}
    return sorted(planned, key=lambda figure: places[figure.name])


def _map_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the map of learning rates and batch sizes."""
    frame = run_data.frame
    reached = frame["samples_to_target"].notna().any()
    if reached and varies(frame, "lr"):
        caption = (
            "Samples to the target by learning rate and batch size; darker is faster. Crosses mark divergence; "
            "white cells did not reach the target."
        )
        about: dict[str, Any] = {"edges": _predicted_edges(run_data), "samples": run_data.samples}
        draw = partial(rate_map, frame, ranked=run_data.choices, **about)
        yield PlannedFigure("rate_map", caption, draw)


def _effect_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figure on how much each setting matters."""
    if len(run_data.effects) > 1:
        caption = f"How much of the differences in {run_data.effects_on} each setting explains by itself."
        draw = partial(setting_importance, run_data.effects, cost=run_data.effects_on, samples=run_data.samples)
        yield PlannedFigure("setting_importance", caption, draw)


def _optimizer_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the loss curves of the optimizers, each at its best choice."""
    frame = run_data.frame
    if varies(frame, "optimizer"):
        runs = select_best_runs(frame, ranked=run_data.choices)
        runs = runs.assign(init=start_families(runs["init"]))
        few, count = best_optimizers(frame), frame["optimizer"].nunique()
        runs = runs[runs["optimizer"].isin(few)]
        draw = partial(_draw_losses, run_data, runs, by="optimizer", panel="init")
        whose = "each optimizer" if count == len(few) else f"the best {len(few)} of {count} optimizers"
        caption = f"Loss curves of {whose}, each at its best choice, by start."
        yield PlannedFigure("loss_by_optimizer", caption, draw)


def _confirmed_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figures of the choices that lead after they were confirmed."""
    if "validation_loss" in run_data.result.curves:
        caption = "Loss on the training and on the held-out samples, at the best choice."
        yield PlannedFigure("held_out", caption, partial(_held_out, run_data))
    if run_data.compared is not None:
        caption = f"Optimizers compared, each at its own best choice, on {run_data.compared_on}."
        draw = partial(
            optimizer_ratios,
            run_data.compared,
            cost=run_data.compared_cost,
            seeds=run_data.compared_on,
            named=best_optimizers(run_data.frame),
            samples=run_data.samples,
        )
        yield PlannedFigure("optimizer_ratios", caption, draw)


def _loss_axis(run_data: RunData) -> LossAxis:
    """Return how losses on the training samples are shown."""
    return LossAxis(run_data.lowest_loss, run_data.has_standardized_losses, run_data.criterion.label)


def _draw_losses(run_data: RunData, runs: pd.DataFrame, **settings: Any) -> Figure:
    """Draw the loss curves of some runs."""
    about: dict[str, Any] = {
        "target": run_data.target,
        "shown": _loss_axis(run_data),
        "samples": run_data.samples,
    }
    if "validation_loss" in run_data.result.curves:
        about |= {"held_out": True, "shown": about["shown"]._replace(lowest=0.0)}
    return loss_curves(runs, run_data.result.curves, **about, **settings)


def _held_out(run_data: RunData) -> Figure:
    """Draw the two losses of the best choice: each run comes twice, once for the samples it was trained on."""
    runs = runs_of(run_data.frame, recommended_choice(run_data.ranked))
    curves = run_data.result.read_curves(runs["config_id"].tolist())
    ids = curves["config_id"].astype(str)
    held_out = curves.assign(config_id=ids + " held out", loss=curves["validation_loss"])
    both = pd.concat([curves.assign(config_id=ids), held_out], ignore_index=True)
    others = runs.assign(loss_on="held-out samples", config_id=runs["config_id"] + " held out")
    frame = pd.concat([runs.assign(loss_on="training samples"), others], ignore_index=True)
    return loss_curves(frame, both, by="loss_on", panel="optimizer", shown=_loss_axis(run_data)._replace(lowest=0.0))


def _fit_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the fitted curves, and the paths of the parameters to them."""
    data, scaling, model = run_data.data, run_data.scaling, run_data.result.model
    if data is None or not len(run_data.evidence.get("trajectories", ())):
        return
    columns = [f"param_{name}" for name in model.params]
    trajectories = run_data.evidence["trajectories"]
    if model.inputs:
        x, y = run_data.data_in_table_units()
        names = (data.x_names[0], data.y_name)
        curve = curve_in_table_units(model, run_data.criterion, scaling)
        fits = trajectories[trajectories["role"] == "best"].groupby("init", sort=False)[columns].last()
        params = {str(name): values for name, values in zip(fits.index, fits.to_numpy(), strict=True)}
        about: dict[str, Any] = {"names": names, "differences": run_data.criterion.has_mean}
        draw = partial(fitted_curve, curve, x, y, params_by_name=params, **about)
        yield PlannedFigure("fitted_curve", "The data and the curve fitted by the best run from each start.", draw)

    typical = trajectories[trajectories["role"] == "typical"]
    starts = typical["init"].drop_duplicates()
    few = starts[~start_families(starts).duplicated()][:MAX_PATHS]
    typical = typical[typical["init"].isin(few)]
    if typical.empty or typical["samples"].max() == 0:
        return
    by_start = dict(iter(typical.groupby("init", sort=False)))
    paths = {str(name): path[columns].to_numpy() for name, path in by_start.items()}
    if len(data.x_names) == 1:
        moments = {str(name): (path["samples"].to_numpy(), path[columns].to_numpy()) for name, path in by_start.items()}
        draw = partial(fitted_path, curve, x, y, paths=moments, names=names)
        typical_run = (
            "a typical run from each start: the run with the median number of samples to the target"
            if run_data.target is not None
            else "the run with the lowest final loss from each start"
        )
        caption = f"The curve during training, in {typical_run}."
        yield PlannedFigure("fitted_path", caption, draw)
    units = " Units are those of the standardized data." if scaling else ""
    if len(columns) > 1:
        caption = f"Paths of the parameters over the loss surface in typical runs, from the circle to the plus.{units}"
        planes: dict[str, Any] = {"names": model.params, "standardized": run_data.is_standardized}
        yield PlannedFigure(
            "contours", caption, lambda: contours(loss_surface(model, run_data.criterion, data), paths, **planes)
        )
    else:
        chosen = run_data.frame[run_data.frame["config_id"].isin(typical["config_id"])]
        caption = f"Distance of the parameter from its final value in typical runs.{units}"
        yield PlannedFigure("parameter_path", caption, partial(parameter_path, typical, chosen))


def _rate_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figure on the sensitivity to the learning rate."""
    frame = run_data.frame
    if varies(frame, "lr") and np.isfinite(frame["final_loss"]).any():
        cost = "Samples to the target" if frame["samples_to_target"].notna().any() else "Final loss"
        caption = f"{cost} against learning rate. An optimizer with a wide, low line needs less tuning."
        few = frame["optimizer"].isin(best_optimizers(frame))
        ranked = run_data.choices if few.all() else None
        about: dict[str, Any] = {"shown": _loss_axis(run_data), "samples": run_data.samples}
        draw = partial(sensitivity, frame[few], ranked=ranked, **about)
        yield PlannedFigure("sensitivity", caption, draw)


def _basin_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figure on the effect of the start."""
    basin = run_data.evidence.get("basin")
    if basin is not None and len(basin) and run_data.data is not None:
        least = NEGLIGIBLE * float(np.var(run_data.data.y))
        basin = basin.assign(final_loss=basin["final_loss"].clip(lower=least))
    if basin is not None and _start_matters(basin):
        draw = partial(basin_map, basin, **_basin_markers(run_data, basin), standardized=run_data.is_standardized)
        shown = "Samples to the target" if basin["samples_to_target"].notna().any() else "Final loss"
        caption = f"{shown} by starting point, for each optimizer at its best choice."
        yield PlannedFigure("basin", caption, draw)


def _best_rate_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the loss curves of the best optimizer by learning rate."""
    frame = run_data.frame
    from_start, start = select_hardest_start(select_best_runs(frame, ["schedule", "shuffle"], ranked=run_data.choices))
    start_note = f" Runs from the hardest start, {start}." if start else ""
    winner = run_data.best_optimizer
    runs = from_start[from_start["optimizer"] == winner]
    which = f"{winner}, which leads the sweep," if varies(frame, "optimizer") else winner
    if varies(frame, "lr") or not varies(frame, "optimizer"):
        draw = partial(_draw_losses, run_data, runs)
        yield PlannedFigure("loss_by_lr", f"Loss curves of {which} by learning rate.{start_note}", draw)


def _cost_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figures on time."""
    frame = run_data.frame
    timed = bool(frame["seconds"].notna().any())
    if frame["samples_to_target"].notna().any():
        against = "samples seen and against time" if timed else "samples seen"
        caption = f"Share of configurations that reached the target, against {against}."
        yield PlannedFigure("ecdf", caption, partial(ecdf, frame))
    if varies(frame, "batch_size"):
        winner = run_data.best_optimizer
        runs = frame[frame["optimizer"] == winner]
        from_start, start = select_hardest_start(
            select_best_runs(runs, by="batch_size", ranked=run_data.choices_of_best_optimizer)
        )
        clock: Literal["samples", "seconds"] = "seconds" if from_start["seconds"].notna().all() else "samples"
        draw = partial(_draw_losses, run_data, from_start, by="batch_size", panel="optimizer", x=clock)
        start_note = f" Runs from the hardest start, {start}." if start else ""
        against = "time" if clock == "seconds" else "samples seen"
        caption = f"Loss curves of {winner} against {against}, for each batch size at its best choice.{start_note}"
        yield PlannedFigure("loss_by_batch_size", caption, draw)
    if timed and len(frame[choice_columns(frame)].drop_duplicates()) > 2 and np.isfinite(frame["final_loss"]).any():
        caption = "Final loss against time. No choice is both faster and better than one on the front."
        if frame["samples_to_target"].notna().any():
            caption = "Final loss against time, and the times of the choices that reach the target."
        draw = partial(pareto, frame, target=run_data.target, shown=_loss_axis(run_data), samples=run_data.samples)
        yield PlannedFigure("pareto", caption, draw)


def _speed_figures(run_data: RunData) -> Iterator[PlannedFigure]:
    """Yield the figure on the speed of the variants."""
    speed = run_data.evidence.get("speed")
    if speed is not None and len(speed):
        yield PlannedFigure(
            "speed", "Time per sample-update with 95 % confidence intervals.", partial(speed_bars, speed)
        )


def _predicted_edges(run_data: RunData) -> pd.DataFrame | None:
    """Return the predicted largest stable learning rates, if there are any."""
    theory = run_data.evidence.get("theory")
    return theory if theory is not None and len(theory) else None


def _start_matters(basin: pd.DataFrame) -> bool:
    """Return whether the outcome of a run depends on its start, for some choice of settings.

    Starts with another outcome than nearly all the others, if they are less than an eighth, would have no color of
    their own.
    """
    if basin.empty or varies(basin, "status"):
        return len(basin) > 0
    reached = basin["samples_to_target"].notna().any()
    costs = basin["samples_to_target" if reached else "final_loss"].astype(float).groupby(basin["config_id"])
    low, high = costs.quantile(1 / 8), costs.quantile(7 / 8)
    return bool((high > (1.1 if reached else 2) * low).any())


def _basin_markers(run_data: RunData, basin: pd.DataFrame) -> dict[str, Any]:
    """Return the end of the best run, and the starts of the sweep by name."""
    frame, result = run_data.frame, run_data.result
    first = np.unique(frame["init"].cat.codes, return_index=True)[1]
    starts = dict(zip(frame["init"].iloc[first].astype(str), result.starts[first], strict=True))
    columns = [f"param_{name}" for name in result.model.params]
    end = frame.loc[frame["config_id"] == basin["config_id"].iloc[0], columns].to_numpy(float)
    return {"end": end[0] if len(end) else None, "starts": starts}


def select_hardest_start(frame: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """Return the runs from the hardest start: a median over near and far starts would describe neither.

    From the hardest start the smallest share of runs reaches the target; of several such starts it has the highest
    median loss. Random starts of one name count as one.

    Returns
    -------
    frame : DataFrame
        The rows of that start.
    start : str or None
        The name of the start, or None if all runs have the same one.
    """
    starts = start_families(frame["init"])
    if len(starts.unique()) == 1:
        return frame, None
    success = (frame["status"] == "converged").groupby(starts).mean()
    loss = frame["final_loss"].fillna(np.inf).groupby(starts).median()
    hardest = str(pd.DataFrame({"success": success, "gain": -loss}).sort_values(["success", "gain"]).index[0])
    return frame[starts == hardest], hardest


# Each with what to say is left out where the planning itself fails.
_PLANS: tuple[tuple[Stage, str, Callable[[RunData], Iterator[PlannedFigure]]], ...] = (
    ("timed", "the figure of the settings", _effect_figures),
    ("timed", "the figure of the optimizers", _optimizer_figures),
    ("timed", "the figure of the best optimizer", _best_rate_figures),
    ("timed", "a figure of the learning rates", _rate_figures),
    ("timed", "a figure of the costs", _cost_figures),
    ("analyzed", "the map of learning rates", _map_figures),
    ("analyzed", "a figure of the fit", _fit_figures),
    ("analyzed", "the figure of the starts", _basin_figures),
    ("confirmed", "a figure of the confirmed choices", _confirmed_figures),
    ("measured", "the figure of the speed", _speed_figures),
)
