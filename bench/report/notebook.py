"""The display of results in a notebook: a table with a small figure, and the same figure in full size."""

from base64 import b64encode
from dataclasses import replace
from html import escape
from io import BytesIO
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from sgdbench.analysis.surface import loss_surface
from sgdbench.charts.confusion import confusion_chart
from sgdbench.charts.contours import contour_chart
from sgdbench.charts.fit import fit_chart, two_classes
from sgdbench.data.table import builtin
from sgdbench.data.units import curve_in_table_units
from sgdbench.kernels import FitResult
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.losses.classes import encode_classes
from sgdbench.kernels.model.param_columns import MAX_COLUMNS_PER_PARAM
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.film.film import fit_film, loss_limits
from sgdbench.plots.film.frame import HEIGHT, MODEL_COLOR, WIDTH, FrameRenderer
from sgdbench.plots.style import DASHES, INK, STYLE, empty_figure, log_scale, panels, round_ticks
from sgdbench.report.charts import map_figure
from sgdbench.report.figures import loss_by_optimizer
from sgdbench.report.run_data import RunData, run_data_of
from sgdbench.store.results import StoredSweep
from sgdbench.tables.confusion import confusion_table
from sgdbench.tables.formatting import display, text
from sgdbench.tables.render import readable_table
from sgdbench.tables.words import describe_endings

# Keeps a dollar sign in a name from becoming a formula.
NO_MATH = 'class="tex2jax_ignore mathjax_ignore"'


def plot_fit(
    result: FitResult, x: ArrayLike | None = None, y: ArrayLike | None = None, ax: Axes | None = None
) -> Figure:
    """Draw the loss of a fit and, if the data are given, the fitted curve; of a function without data, map and path.

    Into an axis `ax` goes the curve alone or, without data, the loss.

    Data that do not fit the model, and x without y, raise a ValueError.
    """
    if (x is None) != (y is None):
        raise ValueError("plot needs x and y, or neither of them")
    if ax is not None:
        return _draw_loss(ax, result) if x is None or y is None else _predictions_figure(result, x, y, ax)
    if not result.x and result.params.size > 1:
        surface = loss_surface(result.model, result.criterion, builtin("none"))
        chart = contour_chart(surface, {"": result.trajectory}, names=result.model.params)
        return _add_png_display(draw_chart(chart))
    if x is None or y is None:
        return _add_png_display(_loss_figure(result))
    # Where the path is not known the predictions of `params` are drawn: those of a run that diverged are out of sight.
    has_path = len(result.trajectory) == result.loss.size and not result.model.vectors
    # For two classes, predicted against observed values would be two strips.
    has_path = has_path and not (two_classes(result) and len(result.model.inputs) > 1)
    if not np.isfinite(result.loss[0] if has_path else result.kept.loss):
        return _add_png_display(_loss_figure(result))
    if not has_path:
        return _add_png_display(_predictions_figure(result, x, y))
    recorded, end = ("loss", "trajectory", "samples_seen", "updates"), result.kept.checkpoint + 1
    until_kept = replace(result, **{name: getattr(result, name)[:end] for name in recorded})
    film = fit_film(until_kept, x, y)
    figure = Figure(figsize=(WIDTH, HEIGHT))
    FrameRenderer(figure, film).draw(-1)
    return _add_png_display(figure)


def _predictions_figure(result: FitResult, x: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Figure:
    """Draw the curve, predicted against observed values, histograms of two classes, or the confusion table of more."""
    columns, targets = check_samples(result.model, x, encode_classes(result.classes, y))
    x = np.stack(columns, axis=1)
    if result.criterion.by_class:
        labels = result.classes.labels if result.classes else range(max(2, result.model.classes))
        table = confusion_table(targets, result.model.predict(result.params, x), result.criterion, list(labels))
        return draw_chart(confusion_chart({"": table}), axis=ax)
    curve = curve_in_table_units(result.model, result.criterion, None)
    about: dict[str, Any] = {"classes": two_classes(result), "differences": result.criterion.has_mean}
    return draw_chart(fit_chart(curve, x, targets, params_by_name={"fit": result.params}, **about), axis=ax)


@rc_context(STYLE)
def _loss_figure(result: FitResult) -> Figure:
    finite = np.flatnonzero(np.isfinite(result.loss))
    if not finite.size:
        return empty_figure("No loss to show: it is not finite at the start.")
    figure, (axis,) = panels(1)
    _draw_loss(axis, result)
    return figure


@rc_context(STYLE)
def _draw_loss(axis: Axes, result: FitResult) -> Figure:
    """Draw the loss against epochs into an axis, and return its figure."""
    finite = np.flatnonzero(np.isfinite(result.loss))
    shown = result.loss if result.validation_loss is None else np.stack([result.loss, result.validation_loss])
    low, high = loss_limits(shown[..., finite], result.criterion)
    if low > 0:
        log_scale(axis)
    epochs, top = result.samples_seen[finite] / result.samples_per_epoch, max(high, 10 * high)
    marker = "o" if finite.size == 1 else ""
    axis.plot(epochs, result.loss[finite].clip(low, top), color=MODEL_COLOR, marker=marker, label="loss")
    if result.validation_loss is not None:
        held_out = result.validation_loss[finite].clip(low, top)
        axis.plot(epochs, held_out, color=INK, linestyle=DASHES, label="held out")
        axis.legend()
    axis.set(ylim=(low, high), xlabel="epoch", ylabel=result.criterion.label)
    round_ticks(axis.xaxis, 8, integer=True)
    return cast("Figure", axis.get_figure(root=True))


def plot_sweep(result: StoredSweep, ax: Axes | None = None) -> Figure:
    """Draw the samples to the target for each learning rate and batch size.

    If no run reached the target, draw the losses of each optimizer at its best choice instead. Into an axis `ax` go
    those losses, from the first start.
    """
    run_data = run_data_of(result)
    if ax is not None:
        return loss_by_optimizer(run_data, axis=ax)[1]
    return _add_png_display(_main_figure(run_data)[1])


def _main_figure(run_data: RunData) -> tuple[str, Figure]:
    """Return the text alternative of the figure of a sweep, and the figure."""
    frame = run_data.frame
    if frame.empty:
        return "No run has finished yet", empty_figure("No run has finished yet.")
    if frame["samples_to_target"].notna().any():
        return "Samples to the target by learning rate and batch size", draw_chart(map_figure(run_data))
    return loss_by_optimizer(run_data)


def fit_html(result: FitResult) -> str:
    """Return a fit as HTML: parameters, loss and status beside the loss curve."""
    rows = _describe_params(result) | {
        "loss": f"{result.kept.loss:.10g}",
        "status": result.status,
        "epochs": text(result.epochs),
        "epochs to target": text(result.epochs_to_target),
    }
    about = f"Loss of {result.model.expression} against epochs, from {text(result.loss[0])} to {text(result.loss[-1])}"
    body = "".join(
        f'<tr><th scope="row">{escape(text(name))}</th><td>{escape(value)}</td></tr>' for name, value in rows.items()
    )
    table, image = f"<table>{body}</table>", _image_tag(about, plot_fit(result))
    return _side_by_side(result.model.expression, table, image)


def _describe_params(result: FitResult) -> dict[str, str]:
    """Return the parameters by name, of a vector of many numbers their shape, the least and the greatest."""
    if len(result.params) <= MAX_COLUMNS_PER_PARAM:
        return {name: f"{value:.10g}" for name, value in zip(result.model.params, result.params, strict=True)}
    vectors = {name: result.coef(name) for name in result.model.vectors}
    return {
        name: f"{text(' by '.join(map(str, values.shape)))} numbers from {values.min():.4g} to {values.max():.4g}"
        if values.size > 1
        else f"{values.item():.10g}"
        for name, values in vectors.items()
    }


def sweep_html(result: StoredSweep) -> str:
    """Return a sweep as HTML: how its runs ended, the ten best choices, and the figure."""
    ended = describe_endings(result.frame["status"])
    if not ended:
        return _side_by_side(result.model.expression, "<p>No run has finished yet.</p>", "")
    run_data = run_data_of(result)
    ranked = readable_table("best", run_data.tables["best"].head(10), run_data.samples)
    with pd.option_context("display.max_colwidth", None):
        table = display(ranked).to_html(index=False, border=0, escape=True)
    summary = f"<p>{text(len(result.frame))} runs: {ended}. The best choices:</p>"
    return _side_by_side(result.model.expression, summary + table, _image_tag(*_main_figure(run_data)))


def _side_by_side(title: str, table: str, image: str) -> str:
    return (
        f'<div {NO_MATH}><p><code>{escape(text(title))}</code></p><div style="display: flex; flex-wrap: wrap; '
        f'gap: 1.5em; align-items: flex-start"><div>{table}</div>{image}</div></div>'
    )


def _image_tag(about: str, figure: Figure) -> str:
    data = b64encode(_to_png(figure)).decode("ascii")
    return f'<img alt="{escape(text(about))}" src="data:image/png;base64,{data}" style="max-width: 560px">'


def _to_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    with rc_context(STYLE):
        FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _add_png_display(figure: Figure) -> Figure:
    """Give the figure the method by which Jupyter displays it: it is not from pyplot."""
    vars(figure)["_repr_png_"] = lambda: _to_png(figure)
    return figure
