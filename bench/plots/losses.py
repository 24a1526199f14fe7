"""Loss curves: medians with bands, against samples seen or time."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import spread_evenly
from bench.plots.colors import colors_of
from bench.plots.loss_axis import PLAIN, LossAxis
from bench.plots.style import (
    DASHES,
    STYLE,
    add_caption,
    add_legend,
    empty_figure,
    format_limit,
    log_scale,
    nested_widths,
    panels,
    shorten,
    time_unit,
)
from bench.tables.formatting import label
from bench.tables.ranking import loss_quantiles
from bench.tables.readable import describe_batch_size

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
    shown: LossAxis = PLAIN,
    samples: int | None = None,
    held_out: bool = False,
) -> Figure:
    """Draw loss against samples seen or time: one color per value of `by`, one panel per value of `panel`.

    Where several runs share both values, the line is their median and the band reaches from 10 to 90 %, but no higher
    and no lower than the line itself anywhere: the band of one slow choice would cover all the others. The lines of
    diverging runs leave the panel at the top. Lines of names are the thinner the later they are drawn, so that equal
    ones can be seen in each other.

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
    shown : LossAxis, optional
        What the axis of losses shows.
    samples : int, optional
        The number of samples in the data: a batch of all of them is called full.
    held_out : bool
        Whether to draw the medians of the column `validation_loss` too, as dashed lines.
    """
    bands = loss_quantiles(frame, curves, [panel, by])
    diverged = (frame["status"] == "diverged").sum()
    if bands.loc[np.isfinite(bands["median"]), "samples"].nunique() < 2:
        return empty_figure(
            f"No loss curve to show: none of {len(frame):,} runs has a finite loss at two marks. {diverged:,} diverged."
        )
    edges = ["low", "median", "high"]
    bands[edges] = shown.place(bands[edges].to_numpy())
    start = bands.loc[bands["samples"] == 0, "median"].max()
    held = pd.DataFrame()
    if held_out:
        held = loss_quantiles(frame, curves.assign(loss=curves["validation_loss"]), [panel, by])
        held["median"] = shown.place(held["median"].to_numpy())
    medians = pd.concat([bands, held])["median"].to_numpy()
    bottom, top = shown.limits(medians, 1000 * start, target)
    values = sorted(set(bands[panel]))
    panel_values = spread_evenly(values, 6)
    colors = colors_of(bands[by])
    widths = nested_widths(list(colors))
    unit, times = _time_axis(frame, bands, [panel, by]) if x == "seconds" else ("samples seen", bands["samples"])
    left = 0.5 * times[times > 0].min()
    figure, axes = panels(len(panel_values))
    # With the limits known beforehand, matplotlib does not look for them again after each line.
    shown.set_up(axes[0], bottom, top)
    log_scale(axes[0], "x")
    axes[0].set_xlim(left, 1.1 * times.max())
    for axis, value in zip(axes, panel_values, strict=True):
        for choice, band in bands[bands[panel] == value].groupby(by):
            look = {"color": colors[choice], "linewidth": widths[choice]}
            _draw_band(axis, times[band.index].clip(left), band, look, limits=(bottom, 10 * top))
            if held_out:  # at the same marks
                line = held.loc[band.index, "median"].to_numpy().clip(bottom, 10 * top)
                axis.plot(times[band.index].clip(left), line, **look, linestyle=DASHES)
        shown.draw_target(axis, target)
        if len(values) > 1:
            axis.set_title(f"{label(panel)} {_describe_value(panel, value, samples)}")
    figure.supxlabel(unit)
    figure.supylabel(shown.name())
    names = [_describe_value(by, choice, samples, 32) for choice in colors]
    add_legend(figure, names, list(colors.values()), label(by))
    few, many = bands["runs"].min(), bands["runs"].max()
    most = bands.groupby([panel, by], observed=True).size().max()
    add_caption(
        figure,
        many > 1 and f"Median and 10\N{EN DASH}90 % of {many if few == many else f'{few} to {many}'} runs.",
        held_out and "Dashed: medians on the held-out samples.",
        diverged > 0 and f"{diverged:,} of {len(frame):,} runs diverged.",
        len(panel_values) < len(values) and f"{len(panel_values)} of {len(values)} values of {label(panel)}.",
        (bands["median"] < bottom).any() and f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
        most > MAX_MARKS and f"Lines have up to {most:,} marks, of which {MAX_MARKS} are drawn.",
    )
    return figure


def _describe_value(name: str, value: Any, samples: int | None, most: int = 16) -> str:
    return describe_batch_size(value, samples) if name == "batch_size" else shorten(value, most)


def _draw_band(
    axis: Axes, times: "pd.Series[float]", band: pd.DataFrame, look: dict[str, Any], *, limits: tuple[float, float]
) -> None:
    """Draw the median of one choice, clipped to the limits, and the band around it, within the span of the median."""
    marks = spread_evenly(range(len(band)), MAX_MARKS)
    x = times.iloc[marks].to_numpy()
    low, median, high = band[["low", "median", "high"]].iloc[marks].to_numpy().clip(*limits).T
    low, high = (edge.clip(median.min(), median.max()) for edge in (low, high))
    axis.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    axis.plot(x, median, **look, marker="o" if len(band) == 1 else "")


def _time_axis(frame: pd.DataFrame, bands: pd.DataFrame, by: list[str]) -> "tuple[str, pd.Series[float]]":
    """Return the name of the time axis and the times of the rows of the bands."""
    each = frame.groupby(by, observed=True)["seconds_per_update"].median().rename("each")
    seconds = bands["updates"] * bands[by].merge(each.reset_index(), on=by, how="left")["each"]
    factor, unit = time_unit(seconds.max())
    return f"time ({unit})", seconds * factor
