"""The command `sgdbench`. Each command is a few lines: read options, call the library, print.

What takes long to import (numba, pandas, sympy, matplotlib) is imported by the command that needs it, so that
`sgdbench --help` answers at once.
"""

import os
import signal
import sys

if (__name__ == "__main__" or "".join(sys.argv[:1]).endswith(("sgdbench", "sgdbench.exe"))) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    # Until `main` takes over: what comes next takes a twentieth of a second, and Ctrl-C would print a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import atexit
import gc
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.examples import help_ending
from bench.commands.interrupts import INTERRUPTED, Interruption, interruptible, is_interrupt
from bench.commands.streams import format_warning, lost_output, one_line, prepare_streams
from bench.commands.suggestions import describe_unknown_option

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark stochastic gradient descent: train every configuration, prove the kernels, compare, report.",
)

FAILED, BAD_INPUT = 1, 2
X_HELP = 'An input, or a name for it and the input, as in "x=Engine Power (PS)"; once for each.'
FIGURES = typer.Option(metavar="FORMAT", help='Write figures as "png", or with "svg" as both.')


def _load_plugins(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
    """Import the files that the command names, before it looks at anything else."""
    if files and not context.resilient_parsing:  # which is completion in a shell
        from kernels.base.plugins import load_plugin  # noqa: PLC0415

        for file in files:
            load_plugin(file)
    return files


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        callback=_load_plugins,
        help="A Python file of your own that registers optimizers, losses, ...; once for each.",
    ),
]
# Options of several commands.
TableInputs = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help=f"Of a table: {X_HELP} Without it, all other columns of numbers."),
]
TableTarget = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a table: what is to be fitted.")]
TableModel = Annotated[
    str | None,
    typer.Option(metavar="EXPR", help='For a table: such as "a*hp + b"; without it, a weighted sum of the inputs.'),
]
DropMissing = Annotated[bool, typer.Option("--drop-missing", help="Of a table: skip rows with missing values.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with, or extend, what the folder holds.")]
Epochs = Annotated[int | None, typer.Option(metavar="COUNT", help="Passes over the data, at most.")]
Target = Annotated[
    float | None,
    typer.Option(
        metavar="LOSS",
        help="Stop when the loss, in the table's units also where columns are standardized, is this low.",
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(metavar="NAME", help='Such as "squared", "huber(1.0)" or "quantile(0.9)"; "logistic" for classes.'),
]
Validation = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Hold out this share of the rows, and choose settings by the loss on them."),
]
Test = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Hold out this share too, which decides nothing, and judge the winner by it."),
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="CLUSTER", help='Train on Dask: "local:4" for 4 processes, or "tcp://HOST:PORT".'),
]
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException, which typer does not export


# Python looks for garbage once more when it ends, among all that has been imported: an eighth of a second.
atexit.register(gc.freeze)


def main() -> None:
    """Run the command; bad input becomes one line and exit code 2, Ctrl-C exit code 130, SIGTERM 143 and SIGHUP 129."""
    # Imports make objects by the hundred thousand, which stay: to look through them as often as by default takes a
    # sixth of the time of importing.
    gc.set_threshold(100_000, 20, 100)
    prepare_streams()
    plain_format, warnings.formatwarning = warnings.formatwarning, format_warning
    with interruptible() as interruption:
        try:
            code = _run_command(interruption)
            if (reason := lost_output()) and not code:
                code = _refuse(f"standard output is not complete: {reason}")
        except BaseException as error:
            if not is_interrupt(error):
                raise
            interruption.forget()
            code = interruption.exit_code
        finally:
            warnings.formatwarning = plain_format
    sys.exit(code)


def _run_command(interruption: Interruption) -> int | None:
    """Run the command that the arguments ask for; return its exit code."""
    try:
        code: int | None = app(sys.argv[1:] or ["--help"], prog_name="sgdbench", standalone_mode=False)
    except typer.Abort:  # what some versions of typer make of Ctrl-C
        return interruption.exit_code
    except CommandLineError as error:
        return _refuse(_describe_usage_error(error))
    except (OSError, MemoryError, ValueError) as error:
        if is_interrupt(error):
            raise
        return _refuse(_describe_error(error))
    return interruption.exit_code if code == INTERRUPTED else code


def _describe_error(error: Exception) -> str:
    """Return what is wrong with the input, or with the machine."""
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {error}"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return str(error)


def _describe_usage_error(error: Any) -> str:
    """Return what is wrong with a command line, and what was meant where that can be told."""
    if hasattr(error, "possibilities") and getattr(error, "ctx", None):  # click's NoSuchOption, which typer keeps
        known = {option for parameter in error.ctx.command.params for option in parameter.opts}
        return describe_unknown_option(error.option_name, known)
    return error.format_message() if hasattr(error, "format_message") else str(error)


def _refuse(message: str) -> int:
    """Say in one line what is wrong, and return the exit code."""
    print(f"sgdbench: {one_line(message)}", file=sys.stderr)
    return BAD_INPUT


@app.command(epilog=help_ending("fit"))
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A CSV, TSV or Parquet file, or built-in data: 'quadratic', 'auto-mpg' or 'diabetes'; "
            "an Arrow file, or a folder of files.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="EXPR",
            help='Such as "a*x**2 + b*x + c", or a ready-made one: "polynomial(3)"; without it, a weighted sum of the '
            "inputs.",
        ),
    ] = None,
    x: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help=f"{X_HELP} Without it, all other columns of numbers."),
    ] = None,
    y: Annotated[str | None, typer.Option(metavar="COLUMN", help="What is to be fitted.")] = None,
    lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate.")] = 0.1,
    batch_size: Annotated[str, typer.Option(metavar="SIZE", help='Samples per update, or "full".')] = "1",
    epochs: Annotated[int, typer.Option(metavar="COUNT", help="Passes over the data, at most.")] = 100,
    schedule: Annotated[str, typer.Option(metavar="NAME", help='Such as "halve(10)" or "cosine".')] = "constant",
    optimizer: Annotated[str, typer.Option(metavar="NAME", help='Such as "momentum(0.9)" or "adam".')] = "sgd",
    loss: Annotated[
        str,
        typer.Option(
            metavar="NAME", help='Such as "squared", "huber(1.0)" or "quantile(0.9)"; "logistic" for classes.'
        ),
    ] = "squared",
    init: Annotated[
        str | None,
        typer.Option(metavar="VALUES", help='Where to start, such as "a=1,b=2"; without it, drawn from the seed.'),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Of the order of the samples and of the start.")] = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Visit the samples in a new order each epoch.")] = False,
    target: Target = None,
    kernel: Annotated[str, typer.Option(metavar="NAME", help='"fused", "fused-fma" or (slow) "reference".')] = "fused",
    dtype: Annotated[str, typer.Option(metavar="NAME", help='Compute in "float64" or "float32".')] = "float64",
    record: Annotated[
        str, typer.Option(metavar="MARKS", help='Look at the loss: "epoch", "log", "log:10", or a number of updates.')
    ] = "epoch",
    validation: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Hold out this share of the rows, and show the loss on them too."),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Hold out this share of the rows for the end, and say how good the fit is on them."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Stop when the loss on held-out rows has not improved for so long; keep the parameters of the lowest.",
        ),
    ] = None,
    standardize: Annotated[
        bool,
        typer.Option(
            "--standardize",
            help="Train on columns of mean 0 and deviation 1, in which --init then is; "
            "the answer is in the data's units where the model allows it.",
        ),
    ] = False,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Skip rows with missing values.")] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Map the rows from the disk, so that there may be more than fit in memory, whatever the size.",
        ),
    ] = False,
    buffer: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Of a mapped table that is shuffled, in blocks: how many rows are shuffled together.",
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where columns are written that are mapped; beside the table without it."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, metavar="EPOCHS", help="Print rate, loss, gradient and parameters after every N epochs."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw data and curve: .png or .svg.")] = None,
    animate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show how the curve gets there: .gif, .mp4 or .html.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Open a window that shows it, while it trains and then once more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
    plugin: Plugins = None,
) -> None:
    """Fit a model to the columns of a table."""
    from bench.commands import options  # noqa: PLC0415
    from bench.commands.fit import FitOutput, FitRows, run_fit  # noqa: PLC0415

    finished = run_fit(
        data,
        model,
        x,
        y,
        FitRows(drop_missing, validation, stream, cache_dir, buffer, test),
        FitOutput(every, plot, animate, watch, as_json),
        standardize=standardize,
        target=target,
        init=options.parse_assignments(init),
        lr=lr,
        schedule=schedule,
        epochs=epochs,
        batch_size=options.parse_size(batch_size),
        shuffle=shuffle,
        seed=seed,
        optimizer=optimizer,
        loss=loss,
        kernel=kernel,
        record=options.parse_record(record),
        patience=patience,
        dtype=dtype,
    )
    if not finished:
        raise typer.Exit(INTERRUPTED)


@app.command(epilog=help_ending("run"))
def run(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A built-in study, a TOML file, or a CSV, TSV or Parquet file.")
    ] = "quadratic",
    x: TableInputs = None,
    y: TableTarget = None,
    model: TableModel = None,
    drop_missing: DropMissing = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; without it, results/<study>.")
    ] = None,
    resume: Resume = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large grid.")] = False,
    lr: Annotated[str | None, typer.Option(metavar="RATES", help='Such as "0.1,0.5" or "log:0.01:1:20".')] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="SIZES", help='Such as "1,16,full".')] = None,
    init: Annotated[str | None, typer.Option(metavar="START", help='Such as "a=1,b=2" or "normal:1:20".')] = None,
    optimizer: Annotated[str | None, typer.Option(metavar="NAMES", help='Such as "sgd,momentum(0.9),adam".')] = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAMES", help='Such as "constant,halve(10)".')] = None,
    seed: Annotated[str | None, typer.Option(metavar="SEEDS", help='Such as "0-4" or "0-4,9".')] = None,
    shuffle: Annotated[
        bool | None, typer.Option("--shuffle/--no-shuffle", help="Visit the samples in a new order each epoch, or not.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(metavar="NAMES", help='Such as "float64,float32".')] = None,
    epochs: Epochs = None,
    target: Target = None,
    loss: Loss = None,
    kernel: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='"lanes", "fused", "reference", "lanes-fma" or "fused-fma".'),
    ] = None,
    record: Annotated[
        str | None, typer.Option(metavar="MARKS", help='"log", "log:10", "epoch", or a number of updates.')
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(metavar="SEEDS", help="Train the leading choices again on this many fresh seeds.")
    ] = None,
    validation: Validation = None,
    test: Test = None,
    patience: Annotated[
        int | None,
        typer.Option(metavar="EPOCHS", help="Stop runs whose loss on held-out rows has not improved for so long."),
    ] = None,
    refine: Annotated[
        int | None, typer.Option(metavar="ROUNDS", help="Rounds that add learning rates around and beyond the best.")
    ] = None,
    cluster: Cluster = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print all tables too, and the whole verdict.")
    ] = False,
    figures: Annotated[str, FIGURES] = "png",
    plugin: Plugins = None,
) -> None:
    """Run a study, or a default one for a table, and write its report.

    Trains every configuration of its grid, trains some of them again with the reference to check, times the variants on
    its model, and writes tables, figures, report.html and report.md. An option takes the place of what the study says.

    Exit code 1 if a kernel gives another result than the reference, or a run another one when it is trained once more.
    """
    from bench.commands import options  # noqa: PLC0415
    from bench.study.suite import load_suite, override_all  # noqa: PLC0415

    changes: dict[str, Any] = {
        "lr": options.parse_rates(lr),
        "batch_size": options.parse_sizes(batch_size),
        "init": options.parse_start(init),
        "optimizer": options.split_list(optimizer),
        "schedule": options.split_list(schedule),
        "seed": options.parse_seeds(seed),
        "shuffle": shuffle,
        "dtype": options.split_list(dtype),
        "epochs": epochs,
        "loss": loss,
        "kernel": kernel,
        "record": options.parse_record(record),
        "confirm": confirm,
        "refine": refine,
        "validation": validation,
        "test": test,
        "patience": patience,
    }
    shared: dict[str, Any] = {"resume": resume, "confirmed": yes, "cluster": cluster}
    shared["svg"] = options.parse_figures(figures)
    suite = load_suite(study)
    if suite:
        from bench.commands.suite import run_suite  # noqa: PLC0415

        sound = run_suite(override_all(suite, target, **changes), out, **shared)
    else:
        from bench.commands.run import overridden, run_study, study_or_table  # noqa: PLC0415

        about: dict[str, Any] = {"drop_missing": drop_missing, "loss": loss}
        about |= {"validation": validation, "test": test}
        chosen = overridden(study_or_table(study, x, y, model, **about), target, **changes)
        gc.freeze()  # what has been imported stays: a tenth of the run would go into looking at it again and again
        sound = run_study(chosen, out, verbose=verbose, **shared)
    if not sound:
        raise typer.Exit(FAILED)


@app.command(epilog=help_ending("tune"))
def tune(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A built-in study, a TOML file, or a CSV, TSV or Parquet file.")
    ] = "quadratic",
    x: TableInputs = None,
    y: TableTarget = None,
    model: TableModel = None,
    drop_missing: DropMissing = False,
    trials: Annotated[
        int | None, typer.Option(metavar="COUNT", help="How many choices are tried, over all optimizers; 1,000.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(metavar="NAME", help='What proposes them: "tpe", "cmaes", "random" or "qmc".')
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(metavar="NAME", help='What gives trials up: "asha", "hyperband" or "none".')
    ] = None,
    sampler_seed: Annotated[int, typer.Option(metavar="SEED", help="Another one gives other trials.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; without it, results/<study>-tuned.")
    ] = None,
    resume: Resume = False,
    grid: Annotated[
        bool, typer.Option("--grid/--no-grid", help="Train the grid of the study too, as a yardstick, or not.")
    ] = True,
    lr: Annotated[str | None, typer.Option(metavar="RANGE", help='Such as "log:0.001:1".')] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="RANGE", help='Such as "logint:1:64" or "1,16,full".')
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAMES", help='Such as "sgd,momentum(log1m:0.5:0.99)".')
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAMES", help='Such as "constant,halve(logint:2:50)".')
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="SEEDS", help='Of each trial, such as "0-4".')] = None,
    epochs: Epochs = None,
    target: Target = None,
    loss: Loss = None,
    confirm: Annotated[
        int | None, typer.Option(metavar="SEEDS", help="Train the best choices again on this many fresh seeds.")
    ] = None,
    validation: Validation = None,
    test: Test = None,
    cluster: Cluster = None,
    figures: Annotated[str, FIGURES] = "png",
    plugin: Plugins = None,
) -> None:
    """Search for the best settings between the values of a study's grid, and write a report.

    Optuna proposes choices of settings, each optimizer has as many as any other, and each choice is trained from all
    starts with all seeds. The best ones are trained again with fresh seeds, and so is the best of the grid.

    Ranges are "log:low:high", "lin:low:high", "int:low:high" or "logint:low:high" for whole numbers, and
    "log1m:low:high" for numbers whose distance to 1 counts, such as betas.

    Exit code 1 if a trial that is trained again with the reference gives another result.
    """
    from bench.commands import options  # noqa: PLC0415
    from bench.commands.run import overridden, study_or_table  # noqa: PLC0415
    from bench.commands.tune import run_tune  # noqa: PLC0415
    from bench.study.load import with_search  # noqa: PLC0415

    about: dict[str, Any] = {"drop_missing": drop_missing, "loss": loss, "validation": validation, "test": test}
    chosen = overridden(
        study_or_table(study, x, y, model, **about),
        target,
        seed=options.parse_seeds(seed),
        epochs=epochs,
        loss=loss,
        confirm=confirm,
        validation=validation,
        test=test,
    )
    chosen = with_search(
        chosen,
        lr=options.parse_range_or_rate(lr),
        batch_size=batch_size if batch_size and ":" in batch_size else options.parse_sizes(batch_size),
        optimizer=options.split_list(optimizer),
        schedule=options.split_list(schedule),
        trials=trials,
        sampler=sampler,
        pruner=pruner,
    )
    svg = options.parse_figures(figures)
    if not run_tune(chosen, out, resume=resume, with_grid=grid, seed=sampler_seed, svg=svg, cluster=cluster):
        raise typer.Exit(FAILED)


@app.command(epilog=help_ending("speed"))
def speed(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="Whose model and data: a built-in study, or a TOML file.")
    ] = "quadratic",
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help='Variants, such as "fused,lanes,C"; without it, all.')
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Those too that other packages bring: JAX, PyTorch, scikit-learn.")
    ] = False,
    batch_size: Annotated[str, typer.Option(metavar="SIZE", help='Samples per update, or "full".')] = "1",
    optimizer: Annotated[str, typer.Option(metavar="NAME", help='Such as "momentum(0.9)" or "adam".')] = "sgd",
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Visit the samples in a new order each epoch.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="About how long to measure.")] = 20.0,
    targets: Annotated[
        bool, typer.Option("--targets", help="Measure the performance budget too, row by row: a minute more.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where tables and figure go.")] = Path("results/speed"),
    plugin: Plugins = None,
) -> None:
    """Verify and time the variants, and compare them.

    Each is held against the reference before it is timed, and all take turns. Exit code 1 if one gives another result.
    The share of the roof says how near a kernel comes to the time that its arithmetic takes by itself.
    """
    from bench.commands import options  # noqa: PLC0415
    from bench.commands.speed import run_speed  # noqa: PLC0415
    from bench.study.load import load_study  # noqa: PLC0415

    sound = run_speed(
        load_study(study),
        options.split_list(only),
        peers=peers,
        optimizer=optimizer,
        batch_size=options.parse_size(batch_size),
        shuffle=shuffle,
        seconds=seconds,
        targets=targets,
        out=out,
    )
    if not sound:
        raise typer.Exit(FAILED)


@app.command(epilog=help_ending("compare"))
def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A variant such as fused, the folder of a run, or a .json file of pytest-benchmark."
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="B", help="Another of the same kind: is it slower than A?")],
    gate: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO",
            help="Fail where B is slower by more than that: where the whole 95 % interval of time of B / time of A is "
            "above it, such as 1.05; without it, report only.",
        ),
    ] = None,
    tolerances: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='A TOML file with a table [gates] of lines such as "fused*" = 1.03; "default" is for all other rows '
            'of times, and rows of epochs have a gate only by name, such as "epochs: *" = 1.1.',
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(metavar="STUDY", help='For variants: whose model and data; without it, "quadratic".'),
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help='For variants: samples per update, or "full"; without it, 1.')
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME", help='For variants: such as "adam"; without it, "sgd".')
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="For variants: visit the samples in a new order each epoch.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="For variants: about how long to measure.")
    ] = 10.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
    plugin: Plugins = None,
) -> None:
    """Compare two variants, two runs, or two files of pytest-benchmark.

    Two variants are verified and timed now, in turns. For each row: the ratio of B to A with its interval. Exit code 1
    if a row is past its gate, or a variant gives another result than the reference.
    """
    from bench.commands import options  # noqa: PLC0415
    from bench.commands.compare import run_compare  # noqa: PLC0415
    from bench.compare.gates import load_gates  # noqa: PLC0415
    from bench.compare.sources import Measurement  # noqa: PLC0415

    if markdown and as_json:
        raise ValueError("--markdown and --json are two ways to print: give one of them")
    held = run_compare(
        base,
        new,
        load_gates(gate, tolerances),
        measurement=Measurement(
            study, optimizer, None if batch_size is None else options.parse_size(batch_size), shuffle or None
        ),
        seconds=seconds,
        style="markdown" if markdown else "json" if as_json else "text",
    )
    if not held:
        raise typer.Exit(FAILED)


@app.command(epilog=help_ending("report"))
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of runs, of runs still in progress too.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where several are shown side by side; without it, comparison.html here."),
    ] = None,
    figures: Annotated[str, FIGURES] = "png",
    plugin: Plugins = None,
) -> None:
    """Make the report of a run again from what its folder holds; nothing is trained.

    Writes report.html, report.md, tables and figures into the folder. Of several folders, each gets its own, and one
    more page shows them side by side.
    """
    from bench.commands import options  # noqa: PLC0415
    from bench.commands.report import make_reports  # noqa: PLC0415

    make_reports(folders, out, svg=options.parse_figures(figures))


@app.command(epilog=help_ending("new"))
def new(
    data: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, TSV or Parquet file.")],
    y: Annotated[str, typer.Option(metavar="COLUMN", help="What is to be fitted.")],
    x: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help=f"{X_HELP} Without it, all other columns of numbers."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="EXPR", help='Such as "a*hp + b"; without it, a weighted sum of the inputs.'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The study; without it, FILE's name with .toml, here.")
    ] = None,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Skip rows with missing values.")] = False,
    loss: Loss = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
    plugin: Plugins = None,
) -> None:
    """Write a commented study for a table.

    Its learning rates lie below the largest that theory predicts to be stable near the lowest loss, and its target is
    that loss and 1 % of the improvement over the best constant.
    """
    from bench.commands.new import write_new_study  # noqa: PLC0415

    write_new_study(data, x, y, model, out, drop_missing=drop_missing, loss=loss or "squared", overwrite=overwrite)


@app.command(epilog=help_ending("schema"))
def schema(plugin: Plugins = None) -> None:
    """Print all keys of study files, in Markdown."""
    from bench.study.schema_page import schema_page  # noqa: PLC0415

    print(schema_page(), end="")


@app.command(epilog=help_ending("studies"))
def studies(plugin: Plugins = None) -> None:
    """List the built-in studies."""
    from bench.commands.info import print_studies  # noqa: PLC0415

    print_studies()


@app.command(epilog=help_ending("info"))
def info(plugin: Plugins = None) -> None:
    """Show the machine, the versions and the kernel cache."""
    from bench.commands.info import print_environment  # noqa: PLC0415

    print_environment()


if __name__ == "__main__":
    main()
