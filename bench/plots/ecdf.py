"""The share of configurations solved at a given cost."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.plots.choices import best_optimizers
from bench.plots.colors import colors_of
from bench.plots.style import FAINT, STYLE, add_caption, add_legend, empty_figure, log_scale, panels, shorten, time_unit
from kernels.run import Floats


@rc_context(STYLE)
def ecdf(frame: pd.DataFrame) -> Figure:
    """Draw the share of configurations that reached the target, against samples seen and, if known, against time.

    One line per optimizer; it ends at the share of its runs that reached the target at all. Of many, the best ones have
    a color and the others are gray. These are data profiles
    (J. J. Moré and S. M. Wild, SIAM J. Optim. 20, 2009), with configurations as the problems.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration: `optimizer`, `samples_seen`, `samples_to_target` (missing for those that missed it),
        and `seconds`, what the whole run takes, where that is known.
    """
    samples = frame["samples_to_target"].astype("Float64").to_numpy(float, na_value=np.inf)
    solved = np.isfinite(samples)
    if not solved.any():
        return empty_figure(f"No configuration was solved: none of {len(frame):,} reached a target.")
    measures: list[tuple[Any, Any, str]] = [(samples, frame["samples_seen"].to_numpy(float), "samples seen")]
    timed = "seconds" in frame and bool(frame["seconds"].notna().any())
    if timed:
        whole = np.asarray(frame["seconds"], np.float64)
        # A run stops at its target.
        seconds = whole.copy()
        seconds[~solved | np.isnan(whole)] = np.inf
        factor, unit = time_unit(np.sqrt(np.prod(_time_limits(seconds, whole))))
        measures.append((factor * seconds, factor * whole, f"time ({unit})"))
    optimizers = frame["optimizer"].astype(str)
    named = best_optimizers(frame)
    colors = colors_of(named)
    others = sorted(set(optimizers) - set(named))
    figure, axes = panels(len(measures), share=False)
    for axis, (times, all_times, name) in zip(axes, measures, strict=True):
        left, right = _time_limits(times, all_times)
        log_scale(axis, "x")
        for optimizer, color in [*((name, FAINT) for name in others), *colors.items()]:
            _draw_steps(axis, times[optimizers == optimizer], left, right, color=color, label=shorten(optimizer))
        axis.set(xlim=(left, right), ylim=(-0.02, 1.02), xlabel=name)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0].set_ylabel("configurations solved")
    names = [f"{shorten(name, 20)}: {np.mean(solved[optimizers == name]):.0%}" for name in colors]
    names += [f"{len(others)} others: {np.mean(solved[optimizers.isin(others)]):.0%}"] if others else []
    add_legend(figure, names, [*colors.values(), FAINT][: len(names)], "solved at the end")
    add_caption(figure, f"{len(frame):,} configurations, each a run with its own settings, start and seed.")
    return figure


def _time_limits(times: Floats, all_times: Floats) -> tuple[float, float]:
    """Return the limits of a time axis: from the first configuration solved to the last one trained.

    Configurations solved at the start have no place on a logarithmic axis and count with the first.
    """
    positive = times[np.isfinite(times) & (times > 0)]
    right = max(float(np.nanmax(all_times)), float(positive.max(initial=0)))
    left = float(positive.min(initial=right)) if right > 0 else 1.0
    return (left, right) if left < right else (left / 2 or 0.5, 2 * left or 1.0)


def _draw_steps(axis: Axes, times: Floats, left: float, right: float, *, label: str, **look: Any) -> None:
    """Draw the steps of one line, from the left edge to the right one."""
    solved = np.sort(times[np.isfinite(times)]).clip(left)
    at, counts = np.unique(solved, return_counts=True)
    share = np.cumsum(counts) / times.size
    x, y = [left, *at, right], [0, *share, share[-1] if share.size else 0]
    axis.plot(x, y, drawstyle="steps-post", linewidth=2, gid=label, **look)
