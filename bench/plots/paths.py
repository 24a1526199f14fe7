"""Distances of the parameters from their final values, epoch by epoch."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bench.plots.choices import spread_evenly
from bench.plots.colors import colors_of
from bench.plots.style import STYLE, add_caption, add_legend, add_note, empty_figure, log_scale, panels, shorten
from bench.tables.formatting import label, text
from bench.tables.ranking import varies
from bench.tables.run_costs import choice_columns

# More epochs cannot be told apart in a figure.
MAX_MARKS = 200
MAX_PARAMETERS = 6


@rc_context(STYLE)
def parameter_path(trajectory: pd.DataFrame, frame: pd.DataFrame, *, reference: ArrayLike | None = None) -> Figure:
    """Draw the distance of each parameter from its final or true value, mark by mark.

    The axis is logarithmic, so that both a far start and the last digits are visible; `bench.plots.contours` draws the
    same path over the surface of the loss.

    Parameters
    ----------
    trajectory : DataFrame
        `config_id`, `samples` and one column `param_<name>` per parameter, for a few runs; five are drawn, and the six
        parameters that move farthest.
    frame : DataFrame
        One row per configuration; runs are named by what differs between them.
    reference : array, shape (P,), optional
        The true values of the parameters. By default the final values of the run with the lowest final loss.
    """
    names = [name for name in trajectory.columns if name.startswith("param_")]
    finite = trajectory[np.isfinite(trajectory[names]).all(axis=1)]
    runs = frame[frame["config_id"].isin(finite["config_id"])]
    ended = runs[np.isfinite(runs["final_loss"])]
    if finite["samples"].nunique() < 2 or ended.empty:
        return empty_figure("No path to show: it requires two marks and a run that does not diverge.")
    end = np.asarray(reference)
    if reference is None:
        best = ended["config_id"].iloc[ended["final_loss"].argmin()]
        end = finite.loc[finite["config_id"] == best, names].iloc[-1].to_numpy()
    moved = np.ptp(finite[names].to_numpy(), axis=0)
    farthest = sorted(np.argsort(-moved, kind="stable")[:MAX_PARAMETERS])
    drawn_runs = runs.iloc[spread_evenly(range(len(runs)), 5)]
    titles = _run_labels(drawn_runs)
    colors = colors_of(titles)
    figure, axes = panels(len(farthest), share=False)
    left = 0.5 * finite.loc[finite["samples"] > 0, "samples"].min()
    for title, config_id in zip(titles, drawn_runs["config_id"], strict=True):
        path = finite[finite["config_id"] == config_id]
        path = path.iloc[spread_evenly(range(len(path)), MAX_MARKS)]
        for axis, k in zip(axes, farthest, strict=True):
            distance = (path[names[k]] - end[k]).abs()
            if distance.any():
                axis.plot(
                    path["samples"].clip(left), distance, color=colors[title], marker="." if len(path) < 20 else ""
                )
    for axis, k in zip(axes, farthest, strict=True):
        name = shorten(label(names[k]), 16)
        if not axis.lines:
            add_note(axis, f"{name} does not change")
            continue
        log_scale(axis)
        log_scale(axis, "x")
        axis.set(title=f"distance of {name}", xlabel="samples seen")
    if len(titles) > 1:
        add_legend(figure, list(colors), list(colors.values()), "run")
    add_caption(
        figure,
        "Distances from the final values of the best run." if reference is None else "Distances from the reference.",
        len(drawn_runs) < len(runs) and f"{len(drawn_runs)} of {len(runs)} runs.",
        len(farthest) < len(names) and f"The {MAX_PARAMETERS} of {len(names)} parameters that move farthest.",
    )
    return figure


def _run_labels(runs: pd.DataFrame) -> list[str]:
    """Return the settings that differ between the runs, one per line, for each run."""
    differing = [name for name in [*choice_columns(runs), "init", "seed"] if varies(runs, name)] or ["config_id"]
    return [
        "\n".join(
            shorten(value) if isinstance(value, str) else f"{label(str(name))} {text(value)}"
            for name, value in run.items()
        )
        for run in runs[differing].to_dict("records")
    ]
