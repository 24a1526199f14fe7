"""The command `sgdbench`. Each command is a few lines: read options, call the library, print.

What takes long to import (numba, pandas, sympy, matplotlib) is imported by the command that needs it, so that
`sgdbench --help` answers at once.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.fitting import TableFit

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark stochastic gradient descent: train every configuration, prove the kernels, compare, report.",
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException, which typer does not export


def main() -> None:
    """Run the command; bad input becomes one line and exit code 2, Ctrl-C exit code 130."""
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="sgdbench", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except (typer.Abort, KeyboardInterrupt):  # versions of typer differ in what becomes of Ctrl-C
        sys.exit(INTERRUPTED)
    except CommandLineError as error:
        _refuse(error.format_message() if hasattr(error, "format_message") else str(error))
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; what is left to flush must not complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _refuse(f"{place}{error.strerror or error}")
    except MemoryError as error:
        _refuse(f"there is not enough memory: {error}")
    except ValueError as error:
        _refuse(str(error))


def _refuse(message: str) -> NoReturn:
    """Say in one line what is wrong; names in it come from users, and must neither break it nor move the cursor."""
    line = "".join(character if character.isprintable() else " " for character in message)
    print(f"sgdbench: {line}", file=sys.stderr)
    sys.exit(BAD_INPUT)


@app.command()
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A CSV, TSV or Parquet file, or the built-in data 'quadratic' or 'auto-mpg'."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(metavar="EXPR", help='Such as "a*x**2 + b*x + c", or a ready-made one: "polynomial(3)".'),
    ],
    x: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="An input; once for each.")] = None,
    y: Annotated[str | None, typer.Option(metavar="COLUMN", help="What is to be fitted.")] = None,
    lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate.")] = 0.1,
    batch_size: Annotated[str, typer.Option(metavar="SIZE", help='Samples per update, or "full".')] = "1",
    epochs: Annotated[int, typer.Option(metavar="COUNT", help="Passes over the data, at most.")] = 100,
    schedule: Annotated[str, typer.Option(metavar="NAME", help='Such as "halve(10)" or "cosine".')] = "constant",
    optimizer: Annotated[str, typer.Option(metavar="NAME", help='Such as "momentum(0.9)" or "adam".')] = "sgd",
    loss: Annotated[str, typer.Option(metavar="NAME", help='"squared", "huber(1.0)" or "logcosh".')] = "squared",
    init: Annotated[
        str | None,
        typer.Option(metavar="VALUES", help='Where to start, such as "a=1,b=2"; without it, drawn from the seed.'),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of the order of the samples and of the start.")] = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Visit the samples in a new order each epoch.")] = False,
    target: Annotated[
        float | None,
        typer.Option(metavar="LOSS", help="Stop when the mean squared residual, in the data's units, is this low."),
    ] = None,
    kernel: Annotated[
        str, typer.Option(metavar="NAME", help='"fused", "fused-fma" or, a thousand times slower, "reference".')
    ] = "fused",
    standardize: Annotated[
        bool,
        typer.Option(
            "--standardize",
            help="Train on columns of mean 0 and deviation 1, in which --init then is; "
            "the answer is in the data's units where the model allows it.",
        ),
    ] = False,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Skip rows with missing values.")] = False,
    every: Annotated[
        int | None,
        typer.Option(min=1, metavar="EPOCHS", help="Print rate, loss, gradient and parameters every so many epochs."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw data and curve: .png or .svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Fit a model to the columns of a table."""
    from bench import options  # noqa: PLC0415
    from bench.console import progress  # noqa: PLC0415
    from bench.data import BUILTIN, builtin, load_table  # noqa: PLC0415
    from bench.fitting import fit_table  # noqa: PLC0415
    from bench.study import model_for  # noqa: PLC0415
    from bench.trace import Trace  # noqa: PLC0415

    if every and as_json:
        raise ValueError("--every prints lines and --json one object: give one of them")
    if plot and plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot must end in .png or .svg, not {str(plot)!r}")
    if str(data) in BUILTIN and not x and y is None:
        table = builtin(str(data))
    elif x and y is not None:
        table = load_table(data, x, y, drop_missing=drop_missing)
    else:
        raise ValueError(f"--x and --y must both name columns of {data}; only {' and '.join(BUILTIN)} go without")
    formula = model_for(model, table.x_names)
    trace = Trace(formula, every, "In standardized units:" if standardize else "") if every else None
    with progress("epochs", epochs, hidden=trace is not None) as advance:
        fitted = fit_table(
            formula,
            table,
            standardized=standardize,
            target=target,
            watch=trace or (lambda result, trained: advance(result.epochs)),
            init=options.assignments(init),
            lr=lr,
            schedule=schedule,
            batch_size=options.size(batch_size),
            epochs=epochs,
            shuffle=shuffle,
            seed=seed,
            optimizer=optimizer,
            loss=loss,
            kernel=kernel,
        )
    if trace:
        trace.finish(fitted.result, fitted.data)
    if as_json:
        print(json.dumps(fitted.summary()))
    else:
        _print_fit(fitted, table)
    if plot:
        _plot_fit(plot, fitted, table)
    if fitted.interrupted:
        print(f"sgdbench: interrupted after epoch {fitted.result.epochs:,}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


def _print_fit(fitted: "TableFit", table: "Dataset") -> None:
    import pandas as pd  # noqa: PLC0415

    from bench.console import say, show  # noqa: PLC0415
    from bench.render import duration, text  # noqa: PLC0415

    result = fitted.result
    # More digits than a table of many runs would show: these are the answer.
    rows = {name: f"{value:.10g}" for name, value in fitted.params.items()}
    rows |= {
        "loss": f"{fitted.loss:.10g}",
        "status": fitted.status,
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
        say("Note", fitted.note)


def _plot_fit(path: Path, fitted: "TableFit", table: "Dataset") -> None:
    from bench.fitting import curve_in_table_units  # noqa: PLC0415
    from bench.plots import fitted_curve  # noqa: PLC0415
    from bench.style import save_as  # noqa: PLC0415

    result = fitted.result
    figure = fitted_curve(
        curve_in_table_units(result.model, fitted.scaling),
        table.x,
        table.y,
        params_by_name={"fit": result.params},
        start=result.trajectory[0],
        names=(table.x_names[0], table.y_name),
    )
    try:
        save_as(figure, path)
    except OSError as error:  # which names a temporary file
        raise ValueError(f"--plot: {path} cannot be written: {error.strerror}") from error


@app.command()
def run(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A built-in study, or a TOML file.")] = "quadratic",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; without it, results/<study>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with, or extend, what the folder holds.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large grid.")] = False,
    lr: Annotated[str | None, typer.Option(metavar="RATES", help='Such as "0.1,0.5" or "log:0.01:1:20".')] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="SIZES", help='Such as "1,16,full".')] = None,
    init: Annotated[str | None, typer.Option(metavar="START", help='Such as "a=1,b=2" or "normal:1:20".')] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="NAMES", help='Such as "sgd,momentum(0.9),adam".')] = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAMES", help='Such as "constant,halve(10)".')] = None,
    seed: Annotated[str | None, typer.Option(metavar="SEEDS", help='Such as "0,1,2".')] = None,
    shuffle: Annotated[
        bool | None, typer.Option("--shuffle/--no-shuffle", help="Visit the samples in a new order each epoch, or not.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="COUNT", help="Passes over the data, at most.")] = None,
    target: Annotated[
        float | None, typer.Option(metavar="LOSS", help="Stop when the mean squared residual is this low.")
    ] = None,
    loss: Annotated[str | None, typer.Option(metavar="NAME", help='"squared", "huber(1.0)" or "logcosh".')] = None,
    kernel: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='"lanes", "fused", "reference", "lanes-fma" or "fused-fma".'),
    ] = None,
) -> None:
    """Run a study and write its report.

    Trains every configuration of its grid, trains some of them again with the reference to check, and writes tables,
    figures and report.md. An option takes the place of what the study says.
    """
    from bench import options  # noqa: PLC0415
    from bench.study import load_study, with_overrides  # noqa: PLC0415
    from bench.whole import run_study  # noqa: PLC0415

    chosen = with_overrides(
        load_study(study),
        lr=options.rates(lr),
        batch_size=options.sizes(batch_size),
        init=options.start(init),
        optimizer=options.listed(optimizer),
        schedule=options.listed(schedule),
        seed=options.sizes(seed),
        shuffle=shuffle,
        epochs=epochs,
        target=target,
        loss=loss,
        kernel=kernel,
    )
    gc.freeze()  # what has been imported stays: a tenth of the run would go into looking at it again and again
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
    from kernels import cache  # noqa: PLC0415

    facts = environment() | {"kernel cache": str(cache.folder() or "none: it cannot be written")}
    for name, value in facts.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
