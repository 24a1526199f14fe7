"""The command `sgdbench fit`: load a table, fit one model to it, and print or draw the result."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.analysis.advice import advise, falls_short
from sgdbench.analysis.default_study import choose_centering
from sgdbench.commands.console import (
    mapping_display,
    print_choices,
    print_place,
    print_sentence,
    print_table,
)
from sgdbench.commands.options import TableColumns, held_out
from sgdbench.commands.stages import show_progress
from sgdbench.commands.trace import Trace
from sgdbench.data.choose_loss import ChosenLoss, choose_loss
from sgdbench.data.columns import Inputs, ask_for_target, choose_inputs, default_expression
from sgdbench.data.fit_table import TableFit, carry_back, fit_table, thin_rows
from sgdbench.data.held_out import hold_out_share, read_held_out
from sgdbench.data.memory_maps import load_table
from sgdbench.data.quality import TableQuality, table_quality, unknown_quality
from sgdbench.data.table import BUILTIN_NAMES, Dataset, builtin
from sgdbench.data.units import curve_in_table_units, original_loss, write_params
from sgdbench.kernels import FitResult, Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import model_for_classes, reads_rows, takes_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.models import make_model_for_columns
from sgdbench.kernels.train.attainable_loss import ARRIVED_SHARE
from sgdbench.study.schema import check_share
from sgdbench.study.suite import find_study_of
from sgdbench.tables.conclusions import find_no_skill, find_unreachable_target, share_of_most_frequent
from sgdbench.tables.facts import NoSkill
from sgdbench.tables.formatting import duration, text
from sgdbench.tables.words import FIGURES, say_fit_advice, say_unreachable_target, sentences

if TYPE_CHECKING:
    from sgdbench.plots.film.window import Window

# The maximum number of parameters printed.
MAX_PARAMS_SHOWN = 12
# An R² this close to 1 is 1 up to rounding.
R2_ROUNDING = 1e-12
# The settings that determine the animation of a fit.
FILM_SETTINGS = ("batch_size", "shuffle", "seed", "optimizer", "loss", "kernel")


class FitTable(NamedTuple):
    """The table to fit, and how to read it: the options of these names."""

    path: Path
    columns: TableColumns
    validation: float | str | None
    test: float | str | None
    stream: bool
    cache_dir: Path | None
    buffer: int | None


class FitOutput(NamedTuple):
    """The output of a fit: the options of these names."""

    every: int | None
    plot: Path | None
    animate: Path | None
    watch: bool
    as_json: bool


def run_fit(source: FitTable, output: FitOutput, *, standardize: bool, **settings: Any) -> bool:
    """Fit a table with the settings of `sgdbench.data.fit_table.fit_table`, and show the result.

    Return whether the fit was completed without an interrupt.
    """
    _check_output(output)
    misplaced = "--buffer needs --stream and --shuffle; give all three"
    if source.buffer is not None and not settings["shuffle"]:  # before a large table is converted
        raise ValueError(misplaced)
    source, settings["loss"] = _take_model_of_study(source, settings["loss"])
    chosen = _choose_loss(source, settings["loss"])
    settings["loss"], criterion = chosen.text, make_loss(chosen.text)
    table, inputs = _load(source, criterion, quiet=output.as_json)
    if table.mapped_in and settings["shuffle"]:
        settings["shuffle"] = "blocks" if source.buffer is None else f"blocks(buffer={source.buffer})"
    elif source.buffer is not None:
        raise ValueError(misplaced)
    classes = table.classes
    if not output.as_json:
        print_choices(inputs, chosen, classes)
    formula = make_model_for_columns(inputs.expression, table.x_names, inputs.names, table.y_name)
    formula = formula.with_categories(table.categories)
    formula = model_for_classes(formula, criterion, classes, *table.all_targets)
    _check_figures(formula, output)
    settings |= {"record_params": True} if output.every or output.animate or output.watch else {}
    scaled = standardize and source.columns.model is not None
    center = _choose_centering(formula, table, criterion, quiet=output.as_json) if scaled else "both"
    window = None
    if output.watch:
        from sgdbench.plots.film.window import Window  # noqa: PLC0415 (matplotlib, only when asked for)

        window = Window(f"{table.y_name} = {formula.expression}")
    trace = Trace(formula, output.every, "In standardized units:" if standardize else "") if output.every else None
    with show_progress("epochs", settings["epochs"], hidden=trace is not None) as advance:

        def watch(result: FitResult, trained: Dataset) -> None:
            advance(result.epochs)
            if trace:
                trace(result, trained)
            if window:
                window(result, trained)

        fitted = fit_table(formula, table, standardized=standardize, center=center, watch=watch, **settings)
    if trace:
        trace.finish(fitted.result, fitted.data)
    quality = _quality(fitted, table)
    if output.as_json:
        trained = criterion.text if chosen.reason else None
        facts = {
            "left_out": inputs.left_out,
            "categories": inputs.categories.levels,
            "rows_dropped": table.dropped,
            "trained": trained,
            "held_out_rows_dropped": table.dropped_held_out,
            "classes": classes and classes.labels,
        }
        stated = {name: value for name, value in facts.items() if value}
        print(json.dumps(fitted.summary() | quality.summary(fitted) | stated))
    else:
        _print_fit(fitted, table, quality, settings)
    _write_figures(output, None if fitted.interrupted else window, fitted, table, settings)
    if fitted.interrupted:
        print(f"sgdbench: interrupted after epoch {fitted.result.epochs:,}", file=sys.stderr)
    return not fitted.interrupted


def _check_output(output: FitOutput) -> None:
    """Refuse output that cannot be printed or written, before training."""
    if output.every and output.as_json:
        raise ValueError("--every and --json exclude each other; give one of them")
    if output.plot and output.plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot must end in .png or .svg, not {str(output.plot)!r}")
    if output.animate:
        from sgdbench.plots.film.animate import check_writable  # noqa: PLC0415 (matplotlib, only when asked for)

        check_writable(output.animate, "--animate")


def _check_figures(model: Model, output: FitOutput) -> None:
    """Refuse figures of class scores and of functions of parameters alone, which have no curve."""
    drawn = {"--plot": output.plot, "--animate": output.animate, "--watch": output.watch}
    has = "no inputs" if not model.inputs else f"scores of {model.classes} classes" if model.classes > 1 else None
    if has and (option := next((name for name, given in drawn.items() if given), None)):
        raise ValueError(f"{option} draws a curve, but {model.expression} has {has}")


def _take_model_of_study(source: FitTable, loss: str | None) -> tuple[FitTable, str | None]:
    """Return built-in data with the model and the loss of their built-in study, if none are given."""
    x, y, model, *_ = source.columns
    if x or y or model or str(source.path) not in BUILTIN_NAMES or (study := find_study_of(str(source.path))) is None:
        return source, loss
    if loss is not None and make_loss(loss).by_class != make_loss(study.run.loss).by_class:
        return source, loss
    return source._replace(columns=source.columns._replace(model=study.model.expression)), loss or study.run.loss


def _choose_loss(source: FitTable, loss: str | None) -> ChosenLoss:
    """Return the given loss, or else one that suits the target column; a model without inputs is minimized."""
    if loss is not None:
        return ChosenLoss(loss)
    if source.columns.y is not None:
        return choose_loss(source.path, source.columns.y)
    return ChosenLoss("objective" if str(source.path) == "none" else "squared")


def _load(source: FitTable, loss: Loss, *, quiet: bool) -> tuple[Dataset, Inputs]:
    """Load a table or built-in data with the held-out rows, and choose the inputs."""
    path, (x, y, model, drop_missing, no_categories) = source.path, source.columns
    held = held_out(source.validation, source.test)
    for name in ("validation", "test"):
        check_share(name, held.get(name))
    files = held.get("validation_path"), held.get("test_path")
    if str(path) in BUILTIN_NAMES and not x and y is None:
        if source.stream or source.cache_dir is not None:
            raise ValueError(f"--stream and --cache-dir are for a table in a file, not for the built-in data {path}")
        if file := files[0] or files[1]:
            raise ValueError(f"of the built-in data {path} a share is held out, and not the file {file}")
        table = builtin(str(path))
        inputs = Inputs(list(table.x_names), None, model or default_expression(table.x_names, loss, table.y_name), {})
    elif y is None and not path.exists():
        raise ValueError(
            f"{path} does not exist; the built-in data, which go without --x and --y, are {', '.join(BUILTIN_NAMES)}"
        )
    elif y is None:
        raise ValueError(ask_for_target(path))
    else:
        inputs = choose_inputs(path, x, y, model, loss, no_categories=no_categories)
        how = mapping_display(quiet=quiet) | {"cache_dir": source.cache_dir, "mapped": source.stream}
        how["by_row"] = reads_rows(inputs.expression, inputs.columns, inputs.names, loss)

        def read(place: str | Path, like: Dataset | None = None) -> Dataset:
            how["categories"] = inputs.categories.levels
            return load_table(place, inputs.columns, y, drop_missing=drop_missing, loss=loss, like=like, **how)

        table = read(path)
        table = read_held_out(table, partial(read, like=table), *files)
    return hold_out_share(table, held.get("validation"), test=held.get("test")), inputs


def _choose_centering(model: Model, table: Dataset, loss: Loss, *, quiet: bool) -> str:
    """Return which columns to center so that the parameters carry back, if possible, and print why not all."""
    center, reason = choose_centering(model, table, loss)
    if center is None:
        return "both"  # as requested; a note says that the parameters do not carry back
    if reason and not quiet:
        print_sentence("Scaling", reason)
    return center


def _quality(fitted: TableFit, table: Dataset) -> TableQuality:
    """Return the quality of a fit; after Ctrl-C, only what needs no further passes over the rows."""
    try:
        return table_quality(fitted, table)
    except KeyboardInterrupt:
        return unknown_quality(fitted, "interrupted before the rows were read once more")


def _print_fit(fitted: TableFit, table: Dataset, quality: TableQuality, settings: dict[str, Any]) -> None:
    """Print the parameters, the end of the run, the quality of the fit, and advice if it is not good."""
    result, lost = fitted.result, _is_lost(fitted)
    rows = {
        **({} if lost else _test_facts(fitted) | _loss_facts(fitted, quality)),
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
    if table.dropped_held_out:
        rows["held-out rows dropped"] = text(table.dropped_held_out)
    _print_params(fitted, quality, f"{table.y_name} = {result.model.expression}")
    heading = "How it ended" if lost else "How good it is, and how it ended"
    print_table(pd.DataFrame({"": list(rows), "value": list(rows.values())}), heading)
    for about, sentence in _describe_quality(fitted, quality, settings["target"]):
        print_sentence(about, sentence)
    if fitted.interrupted or not falls_short(fitted, quality):
        return

    def again(*, standardize: bool = False, **changed: Any) -> TableFit:
        """Repeat the run without its target, which has other units; some rows of a map are standardized."""
        center = _choose_centering(result.model, table, result.criterion, quiet=True) if standardize else "both"
        given = settings | {"target": None, "standardized": standardize, "center": center, "record_params": False}
        if changed.get("shuffle") and table.mapped_in:
            changed["shuffle"] = "blocks"
        if standardize:
            return fit_table(result.model, thin_rows(fitted.data), **given | changed)
        tried = fit_table(result.model, fitted.data, **given | changed)
        return carry_back(tried.result, fitted.data, fitted.scaling, interrupted=tried.interrupted)

    if not quality.uncertainty.reason:
        print_sentence("Standard errors", "these assume convergence, which was not reached; do not use them.")
    if advice := advise(fitted, quality, again, settings):
        print_sentence("Advice", say_fit_advice(advice))


def _is_lost(fitted: TableFit) -> bool:
    """Return whether the run diverged without parameters worth keeping, so that its measures would be nan or inf."""
    return fitted.status == "diverged" and not np.isfinite(fitted.result.kept.loss)


def _print_params(fitted: TableFit, quality: TableQuality, title: str) -> None:
    """Print the parameters, with more digits than in a table of many runs: they are the result."""
    values = {} if _is_lost(fitted) else {"value": _write_params(fitted, list(fitted.params.values()))}
    columns = values | _parameter_facts(fitted, quality)
    if not columns:
        print_sentence("Model", title)
        print()
        return
    print_table(pd.DataFrame({"parameter": list(fitted.params)[:MAX_PARAMS_SHOWN], **columns}), title)
    if len(fitted.params) > MAX_PARAMS_SHOWN:
        print_sentence("Parameters", f"{len(fitted.params) - MAX_PARAMS_SHOWN:,} more, which --json prints.")
        print()


def _loss_facts(fitted: TableFit, quality: TableQuality) -> dict[str, str]:
    """Return the loss by its name, and other measures of the fit."""
    result = fitted.result
    loss = {result.criterion.label: f"{fitted.loss:.10g}"}
    if result.criterion.of_residual:
        return loss | {"RMSE": f"{quality.rmse:.6g}", "R²": f"{quality.r2:.6g}"}
    return loss | {name: f"{value:.6g}" for name, value in result.metrics.items()}


def _write_params(fitted: TableFit, params: Sequence[float] | Floats) -> list[str]:
    """Return the parameters to print, with enough digits to reproduce the curve if all are printed."""
    scaling = None if fitted.note or len(params) > MAX_PARAMS_SHOWN else fitted.scaling
    return write_params(fitted.result.model, np.asarray(params, dtype=np.float64), scaling, 10)[:MAX_PARAMS_SHOWN]


def _parameter_facts(fitted: TableFit, quality: TableQuality) -> dict[str, list[str]]:
    """Return columns beside the values: standard errors and the least-loss parameters, if known."""
    columns = {}
    if not quality.uncertainty.reason:
        columns["standard error"] = [f"{error:.3g}" for error in quality.uncertainty.stderr[:MAX_PARAMS_SHOWN]]
    if quality.optimum is not None:
        columns["at lowest loss"] = _write_params(fitted, quality.optimum)
    return columns


def _describe_quality(fitted: TableFit, quality: TableQuality, target: float | None) -> Iterator[tuple[str, str]]:
    """Yield sentences about the fit, each with its subject; the target is in the table's units."""
    if fitted.note:
        yield "Note", fitted.note
    if fitted.loss_units:
        yield "Loss", fitted.loss_units
    if quality.uncertainty.reason:
        yield "Standard errors", f"none: {quality.uncertainty.reason}."
    if fitted.status == "diverged":
        return
    attainable, scaling = quality.attainable, fitted.scaling
    lowest, constant = original_loss([attainable.loss, attainable.constant_loss], scaling, fitted.result.criterion)
    shown = replace(attainable, loss=float(lowest), constant_loss=float(constant))
    yield "Lowest loss", f"{shown.describe(fitted.loss)}.{_describe_errors(fitted, quality)}"
    yield from sentences(_find_no_skill(fitted)).items()
    yield from (("Target", say_unreachable_target(fact)) for fact in find_unreachable_target(target, shown))


def _find_no_skill(fitted: TableFit) -> Iterator[NoSkill]:
    """Yield an accuracy (on the test rows if there are any) that is no better than the most frequent class."""
    data, test = fitted.data, fitted.data.test
    metrics = fitted.test_metrics if test else fitted.result.metrics
    if not takes_classes(fitted.result.criterion) or "accuracy" not in metrics:
        return
    rows, classes = ("test rows", test[1]) if test else ("training rows", data.y)
    yield from find_no_skill(metrics["accuracy"], share_of_most_frequent(classes), rows)


def _describe_errors(fitted: TableFit, quality: TableQuality) -> str:
    """Return a sentence on the distance of the parameters from their optimum in standard errors, if known."""
    # A curve through all samples has only rounding errors, and hidden units have no order.
    uncertain = quality.uncertainty.reason or quality.r2 >= 1 - R2_ROUNDING or fitted.result.model.hidden
    if quality.optimum is None or uncertain:
        return ""
    errors = np.abs(np.array(list(fitted.params.values())) - quality.optimum) / quality.uncertainty.stderr
    if errors.max() <= 1:
        # The standard errors of a run that has not converged are too large for this.
        short = quality.attainable.remaining(fitted.result.kept.loss) > ARRIVED_SHARE
        return "" if short else " Every parameter is within one standard error of its optimum."
    name = list(fitted.params)[int(np.argmax(errors))]
    distance = f"{errors.max():.2g}"
    unit = "standard error" if distance == "1" else "standard errors"
    return f" Farthest from its optimum: {name} ({distance} {unit})."


def _test_facts(fitted: TableFit) -> dict[str, str]:
    """Return the measures of the fit on the test rows, if there are any."""
    if fitted.test_loss is None:
        return {}
    metrics = {FIGURES.get(name, name): value for name, value in fitted.test_metrics.items()}
    figures = {fitted.result.criterion.label: fitted.test_loss} | metrics
    return {f"{name} on test rows": f"{value:.6g}" for name, value in figures.items()}


def _validation_facts(fitted: TableFit) -> dict[str, str]:
    """Return the held-out loss of the kept parameters, and the lowest one, if rows are held out."""
    losses = fitted.validation_losses
    if losses is None:
        return {}
    held = f"{fitted.result.criterion.label} on held-out rows"
    lowest = f"{losses[fitted.result.best.checkpoint]:.10g}"
    if _is_lost(fitted):
        return {f"lowest {held}": lowest}
    return {held: f"{losses[fitted.result.kept_checkpoint]:.10g}", "at its lowest": lowest}


def _write_figures(
    output: FitOutput, window: "Window | None", fitted: TableFit, table: Dataset, settings: dict[str, Any]
) -> None:
    """Write the animation and then the plot (a diverged run has none), and print their paths."""
    if output.animate or window:
        _show_film(output.animate, window, fitted, table, settings)
    if output.animate and not output.as_json:
        print_place("Animation", output.animate)
    if output.plot:
        _plot_fit(output.plot, fitted, table)
    if output.plot and not output.as_json:
        print_place("Plot", output.plot)


def _plot_fit(path: Path, fitted: TableFit, table: Dataset) -> None:
    """Draw data and curve into a file; only some of many rows."""
    from sgdbench.charts.fit import fit_chart, two_classes  # noqa: PLC0415
    from sgdbench.plots.draw import draw_chart  # noqa: PLC0415 (matplotlib, only when asked for)
    from sgdbench.plots.style import save_as  # noqa: PLC0415

    result = fitted.result
    if not np.isfinite(result.kept.loss):
        raise ValueError("--plot: the run diverged, so there is no curve to draw")
    shown, known = thin_rows(table), two_classes(result)
    with _explain_failure("--plot", path):
        chart = fit_chart(
            curve_in_table_units(result.model, result.criterion, fitted.scaling),
            shown.x,
            shown.y,
            params_by_name={"fit": result.params},
            start=result.trajectory[0],
            names=(shown.x_names[0], shown.y_name),
            samples=table.y.size,
            classes=tuple(map(str, table.classes.labels)) if known and table.classes else known,
            differences=result.criterion.has_mean,
        )
        save_as(draw_chart(chart), path)


@contextmanager
def _explain_failure(option: str, path: Path) -> Iterator[None]:
    """Name the option and the file in errors of drawing or writing: the fit itself is valid."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be written: {error.strerror or error}") from error
    except Exception as error:
        raise ValueError(f"{option}: {path} cannot be drawn: {type(error).__name__}: {error}") from error


def _show_film(
    path: Path | None, window: "Window | None", fitted: TableFit, table: Dataset, settings: dict[str, Any]
) -> None:
    from sgdbench.plots.film.animate import DPI, FilmAnimation  # noqa: PLC0415
    from sgdbench.plots.film.film import table_film  # noqa: PLC0415

    film = table_film(fitted, table, {name: settings[name] for name in FILM_SETTINGS})
    if path:
        with _explain_failure("--animate", path), show_progress("frames", len(film.frames)) as advance:
            FilmAnimation(film, dpi=DPI[path.suffix], progress=advance).save(path)
    if window:
        window.replay(film)
