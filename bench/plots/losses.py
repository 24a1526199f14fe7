"""Loss curves: medians with bands, against samples seen or time."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.style import (
    DASHES,
    INK,
    STYLE,
    add_caption,
    add_legend,
    colors_of,
    empty_figure,
    format_log_tick,
    log_scale,
    panels,
    shorten,
    spread_evenly,
    time_unit,
)
from bench.tables.formatting import label, text
from bench.tables.ranking import loss_quantiles
from kernels.run import Floats

# More marks cannot be told apart in a figure, and would make an SVG of several megabytes.
MAX_MARKS = 200


@rc_context(STYLE)
def loss_curves(
    frame: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    by: str = "lr",
    panel: str = "batch_size",
    target: float | None = None,
    x: Literal["samples", "seconds"] = "samples",
) -> Figure:
    """Draw loss against samples seen or time: one color per value of `by`, one panel per value of `panel`.

    Where several runs share both values, the line is their median and the band reaches from 10 to 90 %, but no higher
    and no lower than the line itself anywhere: the band of one slow choice would cover all the others. The lines of
    diverging runs leave the panel at the top.

    Parameters
    ----------
    frame, curves : DataFrame
        One row per configuration, of which `by`, `panel` and `status` are read; their losses, one row per mark, as
        those of `bench.store.results.SweepResult`. Curves of other configurations are ignored.
    by, panel : str, optional
        Columns of `frame`. Of many panels six are shown, evenly spread.
    target : float, optional
        Drawn as a line across. The axis ends two decades below it.
    x : str, optional
        ``"seconds"`` puts time on the x axis: updates, times the median of the column `seconds_per_update` over the
        runs of a line. The loss at the start is drawn at the left edge, half as far as the first mark.
    """
    bands = loss_quantiles(frame, curves, [panel, by])
    diverged = (frame["status"] == "diverged").sum()
    if bands.loc[np.isfinite(bands["median"]), "samples"].nunique() < 2:
        return empty_figure(
            f"No loss curve to show: none of {len(frame):,} runs has a finite loss at two marks. {diverged:,} diverged."
        )
    start = bands.loc[bands["samples"] == 0, "median"].max()
    bottom, top = loss_axis_limits(bands["median"].to_numpy(), start, target)
    values = sorted(set(bands[panel]))
    panel_values = spread_evenly(values, 6)
    colors = colors_of(bands[by])
    unit, times = _time_axis(frame, bands, [panel, by]) if x == "seconds" else ("samples seen", bands["samples"])
    left = 0.5 * times[times > 0].min()
    figure, axes = panels(len(panel_values))
    log_scale(axes[0])
    # With the limits known beforehand, matplotlib does not look for them again after each line.
    log_scale(axes[0], "x")
    axes[0].set(ylim=(bottom, top), xlim=(left, 1.1 * times.max()))
    for axis, value in zip(axes, panel_values, strict=True):
        for choice, band in bands[bands[panel] == value].groupby(by):
            _draw_band(axis, times[band.index].clip(left), band, colors[choice], limits=(bottom, 10 * top))
        draw_target(axis, target, bottom)
        if len(values) > 1:
            axis.set_title(f"{label(panel)} {shorten(value, 16)}")
    figure.supxlabel(unit)
    figure.supylabel("loss")
    add_legend(figure, [shorten(choice) for choice in colors], list(colors.values()), label(by))
    few, many = bands["runs"].min(), bands["runs"].max()
    add_caption(
        figure,
        many > 1 and f"Median and 10\N{EN DASH}90 % of {many if few == many else f'{few} to {many}'} runs.",
        diverged > 0 and f"{diverged:,} of {len(frame):,} runs diverged.",
        len(panel_values) < len(values) and f"{len(panel_values)} of {len(values)} values of {label(panel)}.",
        (bands["median"] < bottom).any() and f"Losses below {format_log_tick(bottom)} are drawn at the bottom.",
    )
    return figure


def _draw_band(
    axis: Axes, times: "pd.Series[float]", band: pd.DataFrame, color: Any, *, limits: tuple[float, float]
) -> None:
    """Draw the median of one choice, clipped to the limits, and the band around it, within the span of the median."""
    marks = spread_evenly(range(len(band)), MAX_MARKS)
    x = times.iloc[marks].to_numpy()
    low, median, high = band[["low", "median", "high"]].iloc[marks].to_numpy().clip(*limits).T
    low, high = (edge.clip(median.min(), median.max()) for edge in (low, high))
    axis.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    axis.plot(x, median, color=color, marker="o" if len(band) == 1 else "")


def loss_axis_limits(losses: Floats, start: float, target: float | None) -> tuple[float, float]:
    """Return the limits of an axis of losses, without zeros and without diverging losses.

    Parameters
    ----------
    losses : array
    start : float
        A loss at which runs start; losses a thousand times as high are out of view.
    target : float or None
        Always in view. Losses far below it differ by rounding only and are cut off.

    Returns
    -------
    bottom, top : float
        Powers of ten, unless the losses span less than a decade and a half.
    """
    losses = losses[(losses > 0) & np.isfinite(losses)]
    if not losses.size:
        return 1e-16, 1e-15
    low = max(losses.min(), target / 100 if target else 0, 1e-300)
    high = max(min(losses.max(), 1000 * start), target or 0, low)
    if 1 < high / low < 30:
        return low * (low / high) ** 0.05, high * (high / low) ** 0.05
    bottom, top = np.floor(np.log10(low)), np.ceil(np.log10(high))
    return 10.0**bottom, 10.0 ** max(top, bottom + 1)


def draw_target(axis: Axes, target: float | None, bottom: float) -> None:
    """Draw the target loss as a horizontal line; the legend says so if it lies below the view."""
    if target:
        below = ", below" if target < bottom else ""
        axis.axhline(target, color=INK, linewidth=1, linestyle=DASHES, label=f"target {text(target)}{below}")


def _time_axis(frame: pd.DataFrame, bands: pd.DataFrame, by: list[str]) -> "tuple[str, pd.Series[float]]":
    """Return the name of the time axis and the times of the rows of the bands."""
    each = frame.groupby(by, observed=True)["seconds_per_update"].median().rename("each")
    seconds = bands["updates"] * bands[by].merge(each.reset_index(), on=by, how="left")["each"]
    factor, unit = time_unit(seconds.max())
    return f"time ({unit})", seconds * factor
