"""The command `sgdbench`. Each command is a few lines: read options, call the library, print.

What takes long to import (numba, pandas, sympy, matplotlib) is imported by the command that needs it, so that
`sgdbench --help` answers at once.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.fitting import TableFit
    from kernels import FitResult

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark stochastic gradient descent: train every configuration, prove the kernels, compare, report.",
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
UsageError: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException, which typer does not export


def main() -> None:
    """Run the command; bad input becomes one line and exit code 2, Ctrl-C exit code 130."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:  # what becomes of KeyboardInterrupt
        sys.exit(INTERRUPTED)
    except (UsageError, ValueError) as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print(f"sgdbench: {message}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; what is left to flush must not complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command()
def fit(
    data: Annotated[Path, typer.Argument(help="A CSV, TSV or Parquet file, or the name of a built-in data set.")],
    model: Annotated[str, typer.Option(help='Such as "a*x**2 + b*x + c", or a ready-made one: "polynomial(3)".')],
    x: Annotated[list[str] | None, typer.Option(help="Column of an input; once for each.")] = None,
    y: Annotated[str | None, typer.Option(help="Column to be fitted.")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.1,
    batch_size: Annotated[str, typer.Option(help='Samples per update, or "full".')] = "1",
    epochs: Annotated[int, typer.Option(help="Passes over the data, at most.")] = 100,
    schedule: Annotated[str, typer.Option(help='Such as "halve(10)" or "cosine".')] = "constant",
    optimizer: Annotated[str, typer.Option(help='Such as "momentum(0.9)" or "adam".')] = "sgd",
    loss: Annotated[str, typer.Option(help='"squared", "huber(1.0)" or "logcosh".')] = "squared",
    init: Annotated[str | None, typer.Option(help='Where to start: "a=1,b=2"; else drawn from the seed.')] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the samples and of the start.")] = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Visit the samples in a new order each epoch.")] = False,
    target: Annotated[float | None, typer.Option(help="Stop when the mean squared residual is this low.")] = None,
    kernel: Annotated[str, typer.Option(help='"fused", "fused-fma" or "reference".')] = "fused",
    standardize: Annotated[bool, typer.Option("--standardize", help="Train on mean 0, deviation 1.")] = False,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Skip rows with missing values.")] = False,
    every: Annotated[int | None, typer.Option(min=1, help="Print the state after every so many epochs.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure of the fit (PNG or SVG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Fit a model to the columns of a table."""
    from bench import options  # noqa: PLC0415
    from bench.console import progress  # noqa: PLC0415
    from bench.data import BUILTIN, builtin, load_table  # noqa: PLC0415
    from bench.fitting import fit_table  # noqa: PLC0415
    from bench.study import model_for  # noqa: PLC0415
    from bench.trace import Trace  # noqa: PLC0415

    if str(data) in BUILTIN and not x and y is None:
        table = builtin(str(data))
    elif x and y is not None:
        table = load_table(data, x, y, drop_missing=drop_missing)
    else:
        raise ValueError(f"--x and --y must name columns of {data}; only {' and '.join(BUILTIN)} go without")
    formula = model_for(model, table.x_names)
    trace = None if every is None or as_json else Trace(formula, every)
    with progress("epochs", epochs) as advance:

        def watch(result: "FitResult", trained: "Dataset") -> None:
            if trace:
                trace(result, trained)
            else:
                advance(result.epochs)

        fitted = fit_table(
            formula,
            table,
            standardized=standardize,
            target=target,
            watch=watch,
            init=options.assignments(init),
            lr=lr,
            schedule=schedule,
            batch_size=(options.sizes(batch_size) or [batch_size])[0],
            epochs=epochs,
            shuffle=shuffle,
            seed=seed,
            optimizer=optimizer,
            loss=loss,
            kernel=kernel,
        )
    if plot:
        _plot_fit(plot, fitted, table)
    if as_json:
        print(json.dumps(fitted.summary()))
    else:
        _print_fit(fitted, table)
    if fitted.interrupted:
        print(f"sgdbench: interrupted after epoch {fitted.result.epochs:,}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


def _print_fit(fitted: "TableFit", table: "Dataset") -> None:
    import pandas as pd  # noqa: PLC0415

    from bench.console import show  # noqa: PLC0415
    from bench.render import duration, text  # noqa: PLC0415

    result = fitted.result
    # More digits than a table of many runs would show: these are the answer.
    rows = {name: f"{value:.10g}" for name, value in fitted.params.items()}
    rows |= {
        "loss": f"{fitted.loss:.10g}",
        "status": result.status,
        "epochs": text(result.epochs),
        "epochs to target": text(result.epochs_to_target),
        "samples": text(len(table.y)),
        "training": duration(result.seconds),
        "compiling": duration(result.compile_seconds),
    }
    if table.dropped:
        rows["rows dropped"] = text(table.dropped)
    title = f"{table.y_name} = {result.model.expression}"
    show(pd.DataFrame({"": list(rows), "value": list(rows.values())}), title)
    if fitted.note:
        print(f"Note: {fitted.note}")


def _plot_fit(path: Path, fitted: "TableFit", table: "Dataset") -> None:
    from bench.plots import fitted_curve  # noqa: PLC0415
    from bench.style import save_as  # noqa: PLC0415

    result = fitted.result
    data = fitted.data if fitted.note else table
    figure = fitted_curve(
        result.model.predict,
        data.x,
        data.y,
        params_by_name={"fit": list(fitted.params.values())},
        start=result.trajectory[0] if data is fitted.data else None,
        names=(data.x_names[0], data.y_name),
    )
    save_as(figure, path)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A built-in study, or a TOML file.")] = "quadratic",
    out: Annotated[Path | None, typer.Option(help="The run's folder; else results/<study>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with, or extend, what the folder holds.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large grid.")] = False,
    lr: Annotated[str | None, typer.Option(help='Such as "0.1,0.5" or "log:0.01:1:20".')] = None,
    batch_size: Annotated[str | None, typer.Option(help='Such as "1,16,full".')] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data, at most.")] = None,
    schedule: Annotated[str | None, typer.Option(help='Such as "constant,halve(10)".')] = None,
    optimizer: Annotated[str | None, typer.Option(help='Such as "sgd,momentum(0.9),adam".')] = None,
    loss: Annotated[str | None, typer.Option(help='"squared", "huber(1.0)" or "logcosh".')] = None,
    seed: Annotated[str | None, typer.Option(help='Such as "0,1,2".')] = None,
    target: Annotated[float | None, typer.Option(help="Stop when the mean squared residual is this low.")] = None,
    kernel: Annotated[
        str | None, typer.Option(help='"lanes", "fused", "reference", "lanes-fma", "fused-fma".')
    ] = None,
) -> None:
    """Run a study: train its grid, check it against the reference, write tables, figures and a report."""
    from bench import options  # noqa: PLC0415
    from bench.study import load_study, with_overrides  # noqa: PLC0415
    from bench.whole import run_study  # noqa: PLC0415

    chosen = with_overrides(
        load_study(study),
        lr=options.numbers(lr),
        batch_size=options.sizes(batch_size),
        epochs=epochs,
        schedule=options.listed(schedule),
        optimizer=options.listed(optimizer),
        loss=loss,
        seed=options.sizes(seed),
        target=target,
        kernel=kernel,
    )
    if not run_study(chosen, out, resume=resume, confirmed=yes):
        raise typer.Exit(FAILED)


@app.command()
def studies() -> None:
    """List the built-in studies."""
    from bench.study import studies as known  # noqa: PLC0415

    for name, description in known().items():
        print(f"{name:12} {description}")


@app.command()
def info() -> None:
    """Show the machine, the versions and the kernel cache."""
    from bench.machine import environment  # noqa: PLC0415

    for name, value in environment().items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
