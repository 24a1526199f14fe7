"""The chart of the time and the final loss of runs."""

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Chart, Key, Layer, Panel, Points
from sgdbench.charts.choices import in_grid_order
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import PLAIN, LossAxis, target_keys, target_layers
from sgdbench.charts.ticks import format_limit, format_time, log_axis
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import (
    TIMES_CAPTION,
    describe_timed_run,
    join_sentences,
    say_drawn_at_bottom,
    say_no_time,
    say_timed_runs,
)
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.formatting import shorten, text
from sgdbench.tables.rank import constant_settings
from sgdbench.tables.words import describe_choice

SMALL_POINTS_FROM = 400  # points of an optimizer, from which on they are small
# Runs that end this many times higher than the highest start have diverged, and would flatten the others.
DIVERGED = 1000.0


def time_chart(
    frame: pd.DataFrame,
    *,
    first: float,
    shown: LossAxis = PLAIN,
    target: float | None = None,
    samples: int | None = None,
) -> Chart:
    """Return the chart of runs with a point for each that has a finite loss above the lowest, and a time.

    `first` is the highest loss of a start. Points of an optimizer are a group. A batch of all `samples` is called full.
    """
    losses, seconds = shown.place(frame["final_loss"].to_numpy(float)), frame["seconds"].to_numpy(float)
    there = np.isfinite(losses) & (losses > 0) & (seconds > 0)
    frame, losses, seconds = frame[there], losses[there], seconds[there]
    floor = "the lowest" if shown.lowest else "zero"
    if frame.empty:
        return Chart((), notes=say_no_time(len(there), floor))
    bottom, top = shown.limits(losses, DIVERGED * float(shown.place(np.array(first))), target)
    words, colors = _describe_runs(frame, samples), colors_of(frame["optimizer"])
    layers = list[Layer](target_layers(shown, target, (bottom, top)))
    groups = {str(name): rows for name, rows in frame.groupby("optimizer", observed=True).indices.items()}
    for name, rows in groups.items():
        size, labels = 3.0 if len(rows) > SMALL_POINTS_FROM else 5.0, [words[row] for row in rows]
        layers.append(Points(seconds[rows], losses[rows], colors[name], size, "dot", 0.55, text(name), labels))
    keys = [Key(shorten(name), colors[name], "dot") for name in in_grid_order(groups, frame["optimizer"])]
    keys += target_keys(shown, target, bottom)
    notes = join_sentences(
        say_timed_runs(len(frame), len(there), floor, above=int((losses > top).sum())),
        (losses < bottom).any() and say_drawn_at_bottom(shown.quantity, format_limit(bottom)),
    )
    panel = Panel(_time_axis(seconds), log_axis((bottom, top), shown.name("final "), 1.04 * top), layers)
    return Chart([panel], keys, legend="optimizer", caption=TIMES_CAPTION, notes=notes)


def _describe_runs(frame: pd.DataFrame, samples: int | None) -> list[str]:
    """Return the choice, the start, the seed, the time and the loss of each run."""
    by = choice_columns(frame)
    groups = frame.groupby(by, observed=True, sort=False).ngroup().to_numpy()
    choices = frame[by].drop(columns=constant_settings(frame)).iloc[np.unique(groups, return_index=True)[1]]
    about = [text(describe_choice(row, samples)) for _, row in choices.iterrows()]
    columns = (frame[name].tolist() for name in ("init", "seed", "seconds", "final_loss"))
    return [describe_timed_run(about[group], *values) for group, *values in zip(groups, *columns, strict=True)]


def _time_axis(seconds: Floats) -> Axis:
    margin = max((seconds.max() / seconds.min()) ** 0.04, 1.05)
    view = float(seconds.min() / margin), float(seconds.max() * margin)
    return log_axis(view, "time", view[1], format_time)
