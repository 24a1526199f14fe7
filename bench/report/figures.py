"""The figures of a report, from the contents of a run's folder, drawn and written to it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgdbench.analysis.surface import loss_surface
from sgdbench.charts.basins import basin_chart
from sgdbench.charts.chart import Chart
from sgdbench.charts.choices import best_optimizers
from sgdbench.charts.confusion import confusion_chart
from sgdbench.charts.contours import contour_chart
from sgdbench.charts.speed import speed_chart
from sgdbench.charts.weights import has_weights, weight_chart
from sgdbench.kernels.model.param_columns import params_of_row
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.style import save
from sgdbench.report.charts import (
    effect_chart,
    fit_chart,
    loss_figure,
    map_figure,
    rate_figure,
    ratio_chart,
)
from sgdbench.report.run_data import RunData
from sgdbench.tables.chart_words import (
    CONFUSION_CAPTION,
    DRAWN_STARTS,
    STANDARDIZED_UNITS,
    WEIGHTS_CAPTION,
    caption_paths,
    join_sentences,
    say_part,
)
from sgdbench.tables.confusion import name_classes
from sgdbench.tables.outcomes import start_families
from sgdbench.tables.rank import varies

MAX_PATHS = 3  # one row of panels
# A share of the variance of y: without a target, runs that end at 1e-30 and at 1e-20 of it are equally good.
NEGLIGIBLE = 1e-12

Drawn = tuple[str, Figure] | None


def write_figure(run_data: RunData, name: str, *, svg: bool) -> str | None:
    """Write a figure of a run as PNG and, where it is asked for or there already, as SVG.

    Return its caption; None where it would be empty.
    """
    drawn = DRAWN[name](run_data)
    if drawn is None:
        return None
    caption, figure = drawn
    save(figure, run_data.result.run.folder / "figures", name, svg=svg)
    return caption


def _draw_by_rate(run_data: RunData, make: Callable[[RunData], Chart]) -> Drawn:
    frame = run_data.frame
    if not varies(frame, "lr") or not np.isfinite(frame["final_loss"]).any():
        return None
    return _draw(make(run_data))


def loss_by_optimizer(run_data: RunData, *, axis: Axes | None = None) -> tuple[str, Figure]:
    """Return the caption and the figure of the loss curves of each optimizer at its best choice."""
    chart = loss_figure(run_data)
    return chart.caption, draw_chart(chart, axis=axis)


def _draw(chart: Chart | None) -> Drawn:
    return None if chart is None else (chart.caption, draw_chart(chart))


def _weights(run_data: RunData) -> Drawn:
    model, params = run_data.result.model, run_data.best_params
    if params is None or not has_weights(model):
        return None
    labels = name_classes(run_data.class_labels)
    chart = weight_chart(model, params, labels=labels, standardized=run_data.is_standardized)
    return WEIGHTS_CAPTION, draw_chart(chart)


def _contours(run_data: RunData) -> Drawn:
    data, model, typical = run_data.data, run_data.result.model, run_data.evidence.get("typical_paths")
    if data is None or typical is None or typical.empty or typical["samples"].max() == 0 or len(model.params) == 1:
        return None
    starts = typical["init"].drop_duplicates()
    few = starts[~start_families(starts).duplicated()][:MAX_PATHS]
    columns = [f"param_{name}" for name in model.params]
    paths = {str(name): typical.loc[typical["init"] == name, columns].to_numpy() for name in few}
    surface = loss_surface(model, run_data.criterion, data)
    chart = contour_chart(surface, paths, names=model.params, standardized=run_data.is_standardized)
    caption = join_sentences(
        caption_paths(run_data.cost),
        run_data.scaling is not None and STANDARDIZED_UNITS,
        say_part(DRAWN_STARTS, len(few), len(starts)),
    )
    return caption, draw_chart(chart)


def _basin(run_data: RunData) -> Drawn:
    basin = run_data.evidence.get("basin")
    if basin is None or basin.empty:
        return None
    if run_data.data is not None:
        least = NEGLIGIBLE * float(np.var(run_data.data.y))
        basin = basin.assign(final_loss=basin["final_loss"].clip(lower=least))
    if not _start_matters(basin):
        return None
    frame, result = run_data.frame, run_data.result
    first = np.unique(frame["init"].cat.codes, return_index=True)[1]
    starts = dict(zip(frame["init"].iloc[first].astype(str), result.starts[first], strict=True))
    best = frame[frame["config_id"] == basin["config_id"].iloc[0]]
    end = params_of_row(result.model, best.iloc[0]) if len(best) else None
    return _draw(basin_chart(basin, end=end, starts=starts, standardized=run_data.is_standardized))


def _start_matters(basin: pd.DataFrame) -> bool:
    """Return whether the outcome of a run depends on its start, for some choice of settings.

    Starts with another outcome than nearly all the others, if they are less than an eighth, would have no color of
    their own.
    """
    # Runs that patience stopped and those that ran all epochs are told apart by their losses alone.
    if varies(basin.replace({"status": {"stopped": "max_epochs"}}), "status"):
        return True
    reached = basin["samples_to_target"].notna().any()
    costs = basin["samples_to_target" if reached else "final_loss"].astype(float).groupby(basin["config_id"])
    low, high = costs.quantile(1 / 8), costs.quantile(7 / 8)
    return bool((high > (1.1 if reached else 2) * low).any())


def _speed(run_data: RunData) -> Drawn:
    speed = run_data.evidence.get("speed")
    if speed is None or speed.empty:
        return None
    return _draw(speed_chart(speed))


DRAWN: dict[str, Callable[[RunData], Drawn]] = {
    "rate_map": lambda run: _draw_by_rate(run, map_figure),
    "loss_by_optimizer": loss_by_optimizer,
    "optimizer_ratios": lambda run: _draw(ratio_chart(run, best_optimizers(run.ranked))),
    "setting_importance": lambda run: _draw(effect_chart(run) if len(run.effects) > 1 else None),
    "fitted_curve": lambda run: _draw(fit_chart(run)),
    "confusion": lambda run: (
        (CONFUSION_CAPTION, draw_chart(confusion_chart(run.confusions))) if run.confusions else None
    ),
    "weights": _weights,
    "contours": _contours,
    "sensitivity": lambda run: _draw_by_rate(run, rate_figure),
    "basin": _basin,
    "speed": _speed,
}
