"""What `sgdbench fit` does: load a table, fit one model to it, and print, draw or show the result."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.advice import advise
from bench.commands.console import print_choices, print_place, print_sentence, print_table, progress
from bench.commands.trace import Trace
from bench.data.columns import Inputs, choose_inputs, linear_expression
from bench.data.fit_table import TableFit, fit_table, thin_rows
from bench.data.held_out import hold_out_share
from bench.data.mapped import is_mapped, open_table
from bench.data.table import BUILTIN, Dataset, builtin, read_table
from bench.data.table_quality import TableQuality, table_quality, unknown_quality
from bench.data.units import curve_in_table_units, original_loss
from bench.tables.formatting import duration, text
from kernels import FitResult
from kernels.model.models import make_model_for_columns

if TYPE_CHECKING:
    from bench.plots.film.window import Window

# An R² that is nearer to 1 than this is 1 but for rounding.
ROUNDING = 1e-12
# What a film needs to know of a fit, besides its result.
FILM_SETTINGS = ("batch_size", "shuffle", "seed", "optimizer", "loss", "kernel")


class FitRows(NamedTuple):
    """Which rows of a table are fitted, and how they are read.

    Attributes
    ----------
    drop_missing : bool
        Whether to skip rows with missing values.
    validation, test : float or None
        The shares of the rows to hold out.
    stream : bool
        Whether to map the table into memory, whatever its size.
    cache_dir : Path or None
        Where columns that are mapped are written, if the file does not have them as they are needed.
    buffer : int or None
        Of a mapped table that is shuffled, how many rows are shuffled together.
    """

    drop_missing: bool
    validation: float | None
    stream: bool
    cache_dir: Path | None
    buffer: int | None
    test: float | None = None


class FitOutput(NamedTuple):
    """What is to be shown of a fit.

    Attributes
    ----------
    every : int or None
        Print a line after every `every` epochs.
    plot, animate : Path or None
        Files to draw into.
    watch : bool
        Whether to open a window.
    as_json : bool
        Whether to print one JSON object in place of a table.
    """

    every: int | None
    plot: Path | None
    animate: Path | None
    watch: bool
    as_json: bool


def run_fit(
    path: Path,
    model: str | None,
    x: Sequence[str] | None,
    y: str | None,
    rows: FitRows,
    output: FitOutput,
    *,
    standardize: bool,
    **settings: Any,
) -> bool:
    """Fit a model to the columns of a table, and show the result.

    Parameters
    ----------
    path : Path
        The table, or the name of built-in data.
    model : str or None
        An expression, or the name of a ready-made model; None for a weighted sum of the inputs.
    x, y
        The columns; None for those of built-in data, and as x for all other columns of numbers.
    rows : FitRows
    output : FitOutput
    standardize : bool
        Whether to train on columns of mean 0 and standard deviation 1.
    **settings
        As for `bench.data.fit_table.fit_table`.

    Returns
    -------
    bool
        Whether the fit was not interrupted.

    Raises
    ------
    ValueError
        For bad input.
    """
    _check_output(output)
    _check_rows(rows, settings)
    table, inputs = _load(path, x, y, model, rows, settings["loss"], quiet=output.as_json)
    if table.mapped_in and settings["shuffle"]:
        settings["shuffle"] = "blocks" if rows.buffer is None else f"blocks(buffer={rows.buffer})"
    elif rows.buffer is not None:
        raise ValueError("--buffer is for rows of a mapped table that are shuffled: give --stream and --shuffle too")
    classes = table.classes
    if not output.as_json:
        print_choices(inputs.left_out, classes)
    formula = make_model_for_columns(inputs.expression, table.x_names, inputs.names)
    window = _open_window(f"{table.y_name} = {formula.expression}") if output.watch else None
    trace = Trace(formula, output.every, "In standardized units:" if standardize else "") if output.every else None
    watchers: list[Callable[[FitResult, Any], None]] = [watcher for watcher in (trace, window) if watcher]
    with progress("epochs", settings["epochs"], hidden=trace is not None) as advance:

        def watch(result: FitResult, trained: Dataset) -> None:
            advance(result.epochs)
            for watcher in watchers:
                watcher(result, trained)

        fitted = fit_table(formula, table, standardized=standardize, watch=watch, **settings)
    if trace:
        trace.finish(fitted.result, fitted.data)
    quality = _quality(fitted, table)
    if output.as_json:
        chosen = {"left_out": inputs.left_out, "classes": classes and classes.labels}
        known = {name: value for name, value in chosen.items() if value}
        print(json.dumps(fitted.summary() | quality.summary(fitted) | known))
    else:
        _print_fit(fitted, table, quality, settings)
    if output.plot:
        _plot_fit(output.plot, fitted, table)
    if output.animate or window:
        film_settings = {name: settings[name] for name in FILM_SETTINGS}
        _show_film(output.animate, None if fitted.interrupted else window, fitted, table, film_settings)
    for about, written in (("Plot", output.plot), ("Animation", output.animate)):
        if written and not output.as_json:
            print_place(about, written)
    if fitted.interrupted:
        print(f"sgdbench: interrupted after epoch {fitted.result.epochs:,}", file=sys.stderr)
    return not fitted.interrupted


def _check_rows(rows: FitRows, settings: dict[str, Any]) -> None:
    """Refuse options that need others."""
    if settings["patience"] is not None and rows.validation is None:
        raise ValueError("--patience needs --validation: a share of the rows to hold out")


def _check_output(output: FitOutput) -> None:
    """Refuse what cannot be printed or written before there is anything to print or write."""
    if output.every and output.as_json:
        raise ValueError("--every prints lines and --json one object: give one of them")
    if output.plot and output.plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot must end in .png or .svg, not {str(output.plot)!r}")
    if output.animate:
        from bench.plots.film.animate import check_writable  # noqa: PLC0415 (matplotlib, only when asked for)

        check_writable(output.animate, "--animate")


def _load(
    path: Path, x: Sequence[str] | None, y: str | None, model: str | None, rows: FitRows, loss: str, *, quiet: bool
) -> tuple[Dataset, Inputs]:
    """Return the columns of a table, or built-in data, with the shares that are held out, and the inputs."""
    if str(path) in BUILTIN and not x and y is None:
        table = builtin(str(path))
        inputs = Inputs(list(table.x_names), None, model or linear_expression(table.x_names), {})
    elif y is None:
        raise ValueError(
            f"--y must name the column of {path} that is to be fitted; only {' and '.join(BUILTIN)} go without"
        )
    elif rows.stream or is_mapped(path):
        table, inputs = _map(path, x, y, model, rows, quiet=quiet)
    else:
        inputs = choose_inputs(path, x, y, model)
        table = read_table(path, inputs.columns, y, drop_missing=rows.drop_missing, loss=loss)
    return hold_out_share(table, rows.validation, test=rows.test), inputs


def _map(
    path: Path, x: Sequence[str] | None, y: str, model: str | None, rows: FitRows, *, quiet: bool
) -> tuple[Dataset, Inputs]:
    """Return the columns of a table as memory maps, and the inputs."""
    if rows.drop_missing:
        raise ValueError("--drop-missing needs the rows in memory, and this table is mapped: write it without them")
    if not x:
        raise ValueError(f"--x must name columns of {path}, whose rows are mapped from the disk")
    inputs = choose_inputs(path, x, y, model)

    def announce(sentence: str) -> None:
        if not quiet:
            print_sentence("Columns", sentence)

    return open_table(path, inputs.columns, y, cache_dir=rows.cache_dir, announce=announce, progress=progress), inputs


def _quality(fitted: TableFit, table: Dataset) -> TableQuality:
    """Return how good a fit is; Ctrl-C in what takes some passes over the rows leaves what is known without them."""
    try:
        return table_quality(fitted, table)
    except KeyboardInterrupt:
        return unknown_quality(fitted, "interrupted before the rows were read once more")


def _print_fit(fitted: TableFit, table: Dataset, quality: TableQuality, settings: dict[str, Any]) -> None:
    """Print the parameters, how the run ended, how good the fit is and what would help where it is not."""
    result = fitted.result
    # More digits than a table of many runs would show: these are the answer.
    params = {
        "parameter": list(fitted.params),
        "value": [f"{value:.10g}" for value in fitted.params.values()],
        **_parameter_facts(quality),
    }
    rows = {
        **_test_facts(fitted),
        **_loss_facts(fitted, quality),
        "status": fitted.status,
        "epochs": text(result.epochs),
        "epochs to target": text(result.epochs_to_target),
        **_validation_facts(fitted),
        "samples": text(table.y.size),
        **({"order": result.order} if table.mapped_in else {}),
        "training": duration(result.seconds),
        "compile or load time": duration(result.compile_seconds),
    }
    if table.dropped:
        rows["rows dropped"] = text(table.dropped)
    title = f"{table.y_name} = {result.model.expression}"
    print_table(pd.DataFrame(params), title)
    print_table(pd.DataFrame({"": list(rows), "value": list(rows.values())}), "How good it is, and how it ended")
    for about, sentence in _describe_quality(fitted, quality):
        print_sentence(about, sentence)
    for note in result.notes:
        print_sentence("Kernel", f"{note}.")
    shared = {name: settings[name] for name in ("lr", "optimizer", "batch_size", "shuffle", "seed")}
    # Without R² there is nothing to go by.
    known = not math.isnan(quality.r2) or not result.criterion.of_residual or fitted.status == "diverged"
    sentences = [] if fitted.interrupted or not known else advise(fitted, quality, **shared)
    if sentences and not quality.uncertainty.reason:
        print_sentence("Standard errors", "they suppose that the run has arrived at a minimum, and it has not.")
    for sentence in sentences:
        print_sentence("Advice", sentence)


def _loss_facts(fitted: TableFit, quality: TableQuality) -> dict[str, str]:
    """Return the loss, by its name where it is no mean squared residual, and what else says how good a fit is."""
    result = fitted.result
    loss = {result.criterion.label: f"{fitted.loss:.10g}"}
    if result.criterion.of_residual:
        return loss | {"RMSE": f"{quality.rmse:.6g}", "R²": f"{quality.r2:.6g}"}
    return loss | {name: f"{value:.6g}" for name, value in result.metrics.items()}


def _parameter_facts(quality: TableQuality) -> dict[str, list[str]]:
    """Return columns beside the values: standard errors, and where the loss is lowest, as far as they are known."""
    columns = {}
    if not quality.uncertainty.reason:
        columns["standard error"] = [f"{error:.3g}" for error in quality.uncertainty.stderr]
    if quality.optimum is not None:
        columns["lowest loss"] = [f"{value:.10g}" for value in quality.optimum]
    return columns


def _describe_quality(fitted: TableFit, quality: TableQuality) -> Iterator[tuple[str, str]]:
    """Yield what there is to be said of the fit besides its table."""
    if fitted.note:
        yield "Note", fitted.note
    if quality.uncertainty.reason:
        yield "Standard errors", f"none: {quality.uncertainty.reason}."
    if fitted.status == "diverged":
        return
    yardstick, scaling = quality.yardstick, fitted.scaling
    lowest, constant = original_loss([yardstick.loss, yardstick.constant_loss], scaling, fitted.result.criterion)
    shown = replace(yardstick, loss=float(lowest), constant_loss=float(constant))
    yield "Lowest loss", f"{shown.describe(fitted.loss)}.{_describe_errors(fitted, quality)}"


def _describe_errors(fitted: TableFit, quality: TableQuality) -> str:
    """Return a sentence on how far the parameters are from their optimum, in standard errors; empty without them."""
    # Errors of a curve that goes through all samples are errors of rounding.
    if quality.optimum is None or quality.uncertainty.reason or quality.r2 >= 1 - ROUNDING:
        return ""
    errors = np.abs(np.array(list(fitted.params.values())) - quality.optimum) / quality.uncertainty.stderr
    if errors.max() <= 1:
        return " Every parameter is within one standard error of its optimum."
    name = list(fitted.params)[int(np.argmax(errors))]
    farther = ", farther than any other parameter" if len(errors) > 1 else ""
    return f" {name} is {errors.max():.2g} standard errors from its optimum{farther}."


def _test_facts(fitted: TableFit) -> dict[str, str]:
    """Return how good the fit is on the rows for the test, which had no part in it; nothing where there are none."""
    if fitted.test_loss is None:
        return {}
    names = {"rmse": "RMSE", "r2": "R²"}
    known = {names.get(name, name): value for name, value in fitted.test_metrics.items()}
    figures = {fitted.result.criterion.label: fitted.test_loss} | known
    return {f"{name} on test rows": f"{value:.6g}" for name, value in figures.items()}


def _validation_facts(fitted: TableFit) -> dict[str, str]:
    """Return the loss on held-out rows, of what is kept and at its lowest; nothing where none are held out."""
    losses = fitted.validation_losses
    if losses is None:
        return {}
    measure = fitted.result.criterion.label
    return {
        f"{measure} on held-out rows": f"{losses[fitted.result.kept_mark]:.10g}",
        "at its lowest": f"{losses[fitted.result.best.mark]:.10g}",
    }


def _plot_fit(path: Path, fitted: TableFit, table: Dataset) -> None:
    """Draw data and curve into a file; of many rows, some."""
    from bench.plots.curves import fitted_curve  # noqa: PLC0415 (matplotlib, only when asked for)
    from bench.plots.style import save_as  # noqa: PLC0415

    result = fitted.result
    shown = thin_rows(table)
    with _explain_failure("--plot", path):
        figure = fitted_curve(
            curve_in_table_units(result.model, result.criterion, fitted.scaling),
            shown.x,
            shown.y,
            params_by_name={"fit": result.params},
            start=result.trajectory[0],
            names=(shown.x_names[0], shown.y_name),
            differences=result.criterion.has_mean,
            samples=table.y.size,
        )
        save_as(figure, path)


@contextmanager
def _explain_failure(option: str, path: Path) -> Iterator[None]:
    """Name the option and the file in the error of what cannot be drawn or written: the fit itself is good."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be written: {error.strerror or error}") from error
    except Exception as error:
        raise ValueError(f"{option}: {path} cannot be drawn: {type(error).__name__}: {error}") from error


def _show_film(
    path: Path | None, window: "Window | None", fitted: TableFit, table: Dataset, settings: dict[str, Any]
) -> None:
    """Write the film of a fit to a file, show it in a window, or both."""
    from bench.plots.film.animate import write_film  # noqa: PLC0415
    from bench.plots.film.film import table_film  # noqa: PLC0415

    film = table_film(fitted, table, settings)
    if path:
        with _explain_failure("--animate", path), progress("frames", len(film.frames)) as advance:
            write_film(film, path, advance)
    if window:
        window.replay(film)


def _open_window(title: str) -> "Window":
    """Return a window to watch a fit in."""
    from bench.plots.film.window import Window  # noqa: PLC0415

    return Window(title)
