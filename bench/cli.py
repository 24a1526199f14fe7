"""The command line `sgdbench`: each command reads options, calls the library and prints.

Packages that take long to import (numba, pandas, sympy, matplotlib) are imported by the commands that need them, so
that `sgdbench --help` answers at once.
"""

import os
import signal
import sys

if (__name__ == "__main__" or "".join(sys.argv[:1]).endswith(("sgdbench", "sgdbench.exe"))) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    # Until `main` installs its handlers: the imports below take 50 ms, in which Ctrl-C would print a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import atexit
import gc
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sgdbench.commands import options, parse
from sgdbench.commands.options import argument, flag, option, setting
from sgdbench.commands.signals import exit_code, interruptible, is_interrupted
from sgdbench.commands.streams import discard_lost_output, format_warning, one_line, prepare_streams
from sgdbench.commands.suggestions import describe_unknown_option, refuse_repeated_lists, reword_value_error
from sgdbench.study.keys import GridKeys, RunKeys, describe_key

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Benchmark stochastic gradient descent: train every configuration, prove the kernels, compare, report.",
)


def _print_version(requested: bool) -> None:
    """Print the version and exit, if it was requested."""
    if requested:
        from importlib.metadata import version  # noqa: PLC0415 (slow, and only needed here)

        print(f"sgdbench {version('sgdbench')}")
        raise typer.Exit


@app.callback()
def _sgdbench(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Declare the options that precede a command."""


class Command(TyperCommand):
    """A command that refuses a list option given twice, of which only the last would count."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the remaining arguments."""
        if not ctx.resilient_parsing:  # set during completion in a shell
            *_, given = self.make_parser(ctx).parse_args(args=list(args))
            refuse_repeated_lists(given)
        return super().parse_args(ctx, args)


def command(*examples: str, name: str | None = None) -> Any:
    """Return the decorator of a command whose help ends with examples."""
    # Click rewraps the lines like a paragraph unless \b precedes them.
    return app.command(name, cls=Command, epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples))


FAILED, BAD_INPUT = 1, 2
CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException, which typer does not export


# The final garbage collection of a process would visit all imported objects, which takes 0.125 s.
atexit.register(gc.freeze)


def main() -> None:
    """Run the command; bad input prints one line and exits with 2, Ctrl-C with 130, SIGTERM 143, SIGHUP 129."""
    # Imports create hundreds of thousands of permanent objects; with the default thresholds, useless collections take a
    # sixth of the import time, and with a threshold of 100,000 each still takes 23 ms.
    gc.set_threshold(500_000, 20, 100)
    prepare_streams()
    plain_format, warnings.formatwarning = warnings.formatwarning, format_warning
    with interruptible():
        try:
            code = _run_command()
        except BaseException as error:  # libraries may convert an interrupt, as numba does while LLVM compiles
            if not (is_interrupted() or isinstance(error, KeyboardInterrupt)):
                raise
            code = exit_code()
        finally:
            discard_lost_output()
            warnings.formatwarning = plain_format
    sys.exit(code)


def _run_command() -> int | None:
    """Run the command that the arguments request; return its exit code."""
    try:
        _refuse_empty(sys.argv[1:])
        code: int | None = app(sys.argv[1:] or ["--help"], prog_name="sgdbench", standalone_mode=False)
        sys.stdout.flush()
    except CommandLineError as error:
        return _refuse(_describe_usage_error(error))
    except BrokenPipeError:  # the reader has gone, such as `head`
        return FAILED
    except (OSError, MemoryError, ValueError) as error:
        if is_interrupted():
            raise
        return _refuse(_describe_error(error))
    return exit_code() if is_interrupted() else code  # typer returns 130 for every interrupt


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty argument, which as a path would mean the current folder and all tables in it."""
    for before, given in pairwise(["sgdbench", *arguments]):
        if not given or (given.startswith("--") and given.find("=") == len(given) - 1):
            raise ValueError(f"the argument of {given[:-1] or before} is empty; is a shell variable not set?")


def _describe_error(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {error}"
    if isinstance(error, OSError):
        # A system error without a file name comes from `print`.
        printed = error.errno is not None and error.strerror == os.strerror(error.errno)
        place = error.filename or ("standard output" if printed else "")
        return f"{place}: {error.strerror}" if place else error.strerror or str(error)
    if isinstance(error, UnicodeEncodeError):
        from sgdbench.system.files import describe_bytes  # noqa: PLC0415

        return describe_bytes(error)
    return str(error)


def _describe_usage_error(error: Any) -> str:
    """Return the message of a command-line error, with a suggestion for an unknown option."""
    if hasattr(error, "possibilities") and getattr(error, "ctx", None):  # click's NoSuchOption
        options = {option for parameter in error.ctx.command.params for option in parameter.opts}
        return describe_unknown_option(error.option_name, options, error.ctx.info_name)
    return reword_value_error(error) if hasattr(error, "format_message") else str(error)


def _refuse(message: str) -> int:
    """Print an error on one line, and return the exit code for bad input."""
    print(f"sgdbench: {one_line(message)}", file=sys.stderr)
    return BAD_INPUT


@command(
    'sgdbench fit quadratic --init=-1,10,26 --lr 0.5 --schedule "halve(10)"',
    'sgdbench fit cars.csv --x hp --y mpg --model "a*hp + b" --standardize --shuffle --lr 0.01',
)
def fit(
    data: Annotated[
        Path,
        argument(
            "DATA",
            "A CSV, TSV, Parquet or Arrow file, a folder of such files, or built-in data such as 'quadratic', "
            "'auto-mpg', 'diabetes' or 'digits'.",
        ),
    ],
    model: options.Model = None,
    x: options.Inputs = None,
    y: options.TargetColumn = None,
    lr: Annotated[Any, option("RATE", "Learning rate.", read=parse.parse_value)] = str(GridKeys.lr),
    batch_size: options.BatchSize = str(GridKeys.batch_size),
    epochs: options.Epochs = str(RunKeys.epochs),
    schedule: Annotated[str, setting("grid.schedule", "NAME", read=None)] = GridKeys.schedule,
    optimizer: options.Optimizer = GridKeys.optimizer,
    loss: options.Loss = None,
    init: Annotated[
        Any,
        option(
            "VALUES",
            'The start: values by name, as in "a=1,b=2", or in order, as in --init=-1,10,26; default: random.',
            read=parse.parse_start,
        ),
    ] = None,
    seed: Annotated[Any, setting("grid.seed", "SEED", read=parse.parse_seed)] = str(GridKeys.seed),
    shuffle: options.Shuffle = GridKeys.shuffle,
    target: options.FitTarget = None,
    kernel: Annotated[str, option("NAME", '"fused", "fused-fma" or (slow) "reference".')] = "fused",
    dtype: options.Dtype = "float64",
    record: options.Record = "epoch",
    validation: options.FitValidation = None,
    test: options.FitTest = None,
    patience: options.FitPatience = None,
    standardize: Annotated[
        bool,
        flag("Train on columns of mean 0 and deviation 1; --init is in these units, results are not.", "--standardize"),
    ] = False,
    drop_missing: options.DropMissing = False,
    no_categories: options.NoCategories = False,
    stream: Annotated[bool, flag("Map the rows from disk, whatever the size of the table.", "--stream")] = False,
    buffer: Annotated[
        int | None,
        option("ROWS", "With --shuffle: the rows of a map to shuffle together; default: 262,144.", least=1),
    ] = None,
    cache_dir: options.CacheDir = None,
    every: Annotated[
        int | None,
        option(
            "EPOCHS", "Print loss, gradient (of half the loss if squared) and parameters at this interval.", least=1
        ),
    ] = None,
    plot: Annotated[Path | None, option("FILE", "Plot data and curve: .png or .svg.")] = None,
    animate: Annotated[Path | None, option("FILE", "Animate the fit: .gif, .mp4 or .html.")] = None,
    watch: Annotated[bool, flag("Show the fit in a window, and again at its end.", "--watch")] = False,
    as_json: options.AsJson = False,
    plugin: options.Plugins = None,
) -> None:
    """Fit a model to the columns of a table."""
    from sgdbench.commands.fit import FitOutput, FitTable, run_fit  # noqa: PLC0415

    columns = options.TableColumns(x, y, model, drop_missing, no_categories)
    finished = run_fit(
        FitTable(data, columns, validation, test, stream, cache_dir, buffer),
        FitOutput(every, plot, animate, watch, as_json),
        standardize=standardize,
        target=target,
        init=init,
        lr=lr,
        schedule=schedule,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        optimizer=optimizer,
        loss=loss,
        kernel=kernel,
        record=record,
        patience=patience,
        dtype=dtype,
    )
    if not finished:
        raise typer.Exit(exit_code())


@command(
    "sgdbench run quadratic --optimizer sgd,adam --seed 0-4",
    'sgdbench run cars.csv --x hp --y mpg --model "a*hp + b"',
)
def run(
    study: options.StudyOrTable = "quadratic",
    x: options.Inputs = None,
    y: options.TargetColumn = None,
    model: options.Model = None,
    drop_missing: options.DropMissing = False,
    no_categories: options.NoCategories = False,
    cache_dir: options.CacheDir = None,
    out: Annotated[Path | None, option("FOLDER", "The folder of the results; default: results/<study>.")] = None,
    resume: options.Resume = False,
    yes: Annotated[bool, flag("Allow more than 1,000,000 configurations.", "--yes")] = False,
    lr: Annotated[Any, setting("grid.lr", "RATES", read=parse.parse_values)] = None,
    batch_size: Annotated[Any, setting("grid.batch_size", "SIZES", read=parse.parse_values)] = None,
    optimizer: Annotated[Any, setting("grid.optimizer", "NAMES", read=parse.parse_values)] = None,
    schedule: Annotated[Any, setting("grid.schedule", "NAMES", read=parse.parse_values)] = None,
    init: options.Starts = None,
    seed: Annotated[Any, setting("grid.seed", "SEEDS", more='Ranges too: "0-4,9".', read=parse.parse_seeds)] = None,
    shuffle: Annotated[bool | None, flag(describe_key("grid.shuffle"), "--shuffle/--no-shuffle")] = None,
    dtype: Annotated[Any, setting("grid.dtype", "NAMES", read=parse.parse_values)] = None,
    epochs: options.Epochs = None,
    target: options.Target = None,
    loss: options.Loss = None,
    record: options.Record = None,
    confirm: options.Confirm = None,
    validation: options.Validation = None,
    test: options.Test = None,
    patience: options.Patience = None,
    refine: options.Refine = None,
    settings: options.Settings = None,
    cluster: options.Cluster = None,
    verbose: Annotated[bool, flag("Print all tables and the whole verdict.", "--verbose", "-v")] = False,
    figures: options.Svg = "png",
    plugin: options.Plugins = None,
) -> None:
    """Run a study, or a default one for a table, and write its report.

    Trains every configuration of its grid, checks some of them against the reference, times the variants on its model,
    and writes tables, figures, report.html and report.md. Options replace settings of the study.

    Exit code 1 if a kernel differs from the reference, or a repeated run ends elsewhere.
    """
    from sgdbench.commands.problem import load_problem  # noqa: PLC0415

    grid = {"lr": lr, "batch_size": batch_size, "optimizer": optimizer, "schedule": schedule, "init": init}
    grid |= {"seed": seed, "shuffle": shuffle, "dtype": dtype}
    shared = {"epochs": epochs, "loss": loss, "record": record, "confirm": confirm, "refine": refine}
    data = options.held_out(validation, test) | {"cache_dir": cache_dir and str(cache_dir)}
    parsed = parse.parse_settings(settings, grid=grid, run=shared | {"patience": patience}, data=data)
    problem = load_problem(study, options.TableColumns(x, y, model, drop_missing, no_categories), parsed, target)
    from sgdbench.study.load import key_locator  # noqa: PLC0415
    from sgdbench.study.suite import Suite  # noqa: PLC0415

    run_options = options.RunOptions(out, resume, yes, verbose, figures, cluster, key_locator(study, parsed))
    if isinstance(problem, Suite):
        from sgdbench.commands.suite import run_suite  # noqa: PLC0415

        sound = run_suite(problem, run_options)
    else:
        from sgdbench.commands.run import run_study  # noqa: PLC0415

        gc.freeze()  # collections that visit all imported objects would take a tenth of the run
        sound = run_study(problem, run_options)
    if not sound:
        raise typer.Exit(FAILED)


@command(
    "sgdbench tune quadratic --trials 500",
    "sgdbench tune auto-mpg --trials 2000 --sampler cmaes --optimizer 'adam(beta1=log1m:0.5:0.99)'",
)
def tune(
    study: options.StudyOrTable = "quadratic",
    x: options.Inputs = None,
    y: options.TargetColumn = None,
    model: options.Model = None,
    drop_missing: options.DropMissing = False,
    no_categories: options.NoCategories = False,
    cache_dir: options.CacheDir = None,
    trials: options.Trials = None,
    sampler: options.Sampler = None,
    pruner: options.Pruner = None,
    sampler_seed: Annotated[Any, option("SEED", "The seed of the sampler.", read=parse.parse_value)] = "0",
    out: Annotated[Path | None, option("FOLDER", "The folder of the results; default: results/<study>-tuned.")] = None,
    resume: options.Resume = False,
    grid: Annotated[
        bool, flag("Whether to train the grid of the study too, for comparison.", "--grid/--no-grid")
    ] = True,
    optimizer: Annotated[Any, setting("tune.optimizer", "NAMES", read=parse.parse_values)] = None,
    init: options.Starts = None,
    epochs: options.Epochs = None,
    target: options.Target = None,
    loss: options.Loss = None,
    confirm: options.Confirm = None,
    validation: options.Validation = None,
    test: options.Test = None,
    settings: options.Settings = None,
    cluster: options.Cluster = None,
    figures: options.Svg = "png",
    plugin: options.Plugins = None,
) -> None:
    """Search between the values of a study's grid, and write a report.

    Optuna proposes choices of settings, the same number for each optimizer, and each choice is trained from all starts
    with all seeds. The best ones, and the best of the grid, are trained again with fresh seeds.

    Ranges are "log:low:high", "lin:low:high", "int:low:high" or "logint:low:high" for integers, and "log1m:low:high"
    for numbers whose distance to 1 matters, such as betas. Set the ranges of learning rates and batch sizes with --set
    tune.lr=log:0.001:1 and --set tune.batch_size=logint:1:64.

    Exit code 1 if a trial differs when it is trained again with the reference.
    """
    from sgdbench.commands.problem import load_study_or_table  # noqa: PLC0415
    from sgdbench.commands.tune import run_tune  # noqa: PLC0415
    from sgdbench.study.load import key_locator  # noqa: PLC0415

    parsed = parse.parse_settings(
        settings,
        tune={"trials": trials, "sampler": sampler, "pruner": pruner, "optimizer": optimizer},
        grid={"init": init},
        run={"epochs": epochs, "loss": loss, "confirm": confirm},
        data=options.held_out(validation, test) | {"cache_dir": cache_dir and str(cache_dir)},
    )
    chosen = load_study_or_table(study, options.TableColumns(x, y, model, drop_missing, no_categories), parsed, target)
    run_options = options.RunOptions(out, resume, svg=figures, cluster=cluster, locate=key_locator(study, parsed))
    if not run_tune(chosen, run_options, with_grid=grid, seed=sampler_seed):
        raise typer.Exit(FAILED)


@command("sgdbench speed", "sgdbench speed auto-mpg --only fused,lanes,C --seconds 5")
def speed(
    study: Annotated[
        str, argument("STUDY", "The study whose model and data are used: built-in, or a TOML file.")
    ] = "quadratic",
    only: Annotated[
        Any, option("NAMES", 'The variants, for example "fused,lanes,C"; default: all.', read=parse.split_list)
    ] = None,
    peers: Annotated[bool, flag("Include the peers of other packages: JAX, PyTorch, scikit-learn.", "--peers")] = False,
    batch_size: options.BatchSize = str(GridKeys.batch_size),
    optimizer: options.Optimizer = GridKeys.optimizer,
    shuffle: options.Shuffle = GridKeys.shuffle,
    seconds: Annotated[float, option("SECONDS", "About how long to measure.", least=0.1)] = 20.0,
    targets: Annotated[
        bool, flag("Also measure the performance budget, row by row: about three more minutes.", "--targets")
    ] = False,
    out: Annotated[Path, option("FOLDER", "The folder of the tables and the figure.")] = Path("results/speed"),
    plugin: options.Plugins = None,
) -> None:
    """Verify and time the variants, and compare them.

    Each variant is checked against the reference before it is timed, and the variants are measured in turns. Exit code
    1 if one of them differs. The share of the roof is the time that a kernel's arithmetic takes alone, relative to the
    kernel's time.
    """
    from sgdbench.commands.speed import run_speed  # noqa: PLC0415
    from sgdbench.study.load import load_study  # noqa: PLC0415

    work: dict[str, Any] = {"optimizer": optimizer, "batch_size": batch_size, "shuffle": shuffle}
    if not run_speed(load_study(study), only, peers=peers, seconds=seconds, targets=targets, out=out, **work):
        raise typer.Exit(FAILED)


@command(
    "sgdbench compare results/before results/after --gate 1.05",
    "sgdbench compare --against HEAD~1 --gate 1.05 -- tests/benchmarks -k io",
)
def compare(
    sources: Annotated[
        list[str] | None,
        argument(
            "A B",
            "Two variants such as fused, two folders of runs, or two .json files of pytest-benchmark: is B slower than "
            "A? With --against, give pytest's arguments instead, after --.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        option(
            "COMMIT",
            "Instead of A and B: is the working tree slower than this commit? pytest-benchmark's benchmarks run in "
            "both, in turns.",
        ),
    ] = None,
    gate: Annotated[
        float | None,
        option(
            "RATIO",
            "Fail if B is slower by more than this ratio, for example 1.05: if the whole 95 % interval of its ratio "
            "is above it; default: only report.",
        ),
    ] = None,
    tolerances: Annotated[
        Path | None,
        option(
            "FILE",
            'A TOML file with a table [gates] of lines such as "fused*" = 1.03; "default" applies to all other rows of '
            'times, and rows of epochs and losses have a gate only by name, for example "epochs: *" = 1.1.',
        ),
    ] = None,
    study: Annotated[
        str | None, option("STUDY", 'For variants: the study whose model and data are used; default: "quadratic".')
    ] = None,
    batch_size: Annotated[
        Any, option("SIZE", 'For variants: samples per update, or "full"; default: 1.', read=parse.parse_value)
    ] = None,
    optimizer: Annotated[str | None, option("NAME", 'For variants: for example "adam"; default: "sgd".')] = None,
    shuffle: Annotated[bool, flag("For variants: visit the samples in a new order each epoch.", "--shuffle")] = False,
    seconds: Annotated[
        float | None, option("SECONDS", "For variants: about how long to measure; default: 10.", least=0.1)
    ] = None,
    setup: Annotated[
        str | None,
        option(
            "COMMAND",
            "For --against: a command that installs each tree in its own virtual environment, for example "
            '"pip install -e .[test]"; default: the trees are imported directly.',
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        option("SECONDS", "For --against: the maximum time to measure; default: 600.", least=1),
    ] = None,
    markdown: Annotated[bool, flag("Print Markdown, for a pull request.", "--markdown")] = False,
    as_json: options.AsJson = False,
    plugin: options.Plugins = None,
) -> None:
    """Compare two variants, runs or files, or the code with a commit.

    Each row shows the ratio of B to A with its interval. Two variants are verified and timed now, in turns. The
    benchmarks of a commit, A, and of the working tree, B, run in turns in fresh processes, until the intervals are
    narrower than the excess of the gate. Exit code 1 if a row exceeds its gate, or a variant differs from the
    reference.
    """
    from sgdbench.commands.compare import run_compare, run_compare_against  # noqa: PLC0415
    from sgdbench.compare.gates import load_gates  # noqa: PLC0415
    from sgdbench.compare.sources import Measurement  # noqa: PLC0415

    if markdown and as_json:
        raise ValueError("--markdown and --json exclude each other; give one of them")
    gates = load_gates(gate, tolerances)
    measurement = Measurement(study, optimizer, batch_size, shuffle or None, seconds)
    style: Any = "markdown" if markdown else "json" if as_json else "text"
    given = sources or []
    if against is not None:
        measurement.refuse("with --against, pytest measures")
        limit = 600.0 if time_limit is None else time_limit
        held = run_compare_against(against, given, gates, setup=setup, seconds=limit, style=style)
    elif setup is not None or time_limit is not None:
        raise ValueError(f"{'--time-limit' if setup is None else '--setup'} is for --against COMMIT")
    elif len(given) != 2:
        raise ValueError("compare needs A and B, or --against COMMIT; see sgdbench compare --help")
    else:
        base, new = given
        held = run_compare(base, new, gates, measurement=measurement, style=style)
    if not held:
        raise typer.Exit(FAILED)


@command("sgdbench report results/quadratic", "sgdbench report results/before results/after --out both.html")
def report(
    folders: Annotated[list[Path], argument("FOLDER", "Folders of runs, or of one search or suite, also in progress.")],
    out: Annotated[
        Path | None, option("FILE", "The page that shows several side by side; default: comparison.html here.")
    ] = None,
    figures: options.Svg = "png",
    plugin: options.Plugins = None,
) -> None:
    """Rewrite the report of a run from its folder, without training.

    Writes report.html, report.md, tables and figures into the folder. With several folders, each gets its own report,
    and one more page shows them side by side.
    """
    from sgdbench.commands.report import make_reports  # noqa: PLC0415

    make_reports(folders, out, svg=figures)


@command(
    "sgdbench new --example cars.csv",
    'sgdbench new cars.csv --y mpg --x hp --model "a*hp**2 + b*hp + c" --out mine.toml',
)
def new(
    data: Annotated[
        Path | None, argument("FILE", "A CSV, TSV, Parquet or Arrow file, or a folder of such files.")
    ] = None,
    y: options.TargetColumn = None,
    x: options.Inputs = None,
    model: options.Model = None,
    out: Annotated[Path | None, option("FILE", "The study to write; default: FILE's name with .toml, here.")] = None,
    drop_missing: options.DropMissing = False,
    no_categories: options.NoCategories = False,
    cache_dir: options.CacheDir = None,
    loss: options.Loss = None,
    overwrite: Annotated[bool, flag("Replace the file that is written if it already exists.", "--overwrite")] = False,
    example: Annotated[
        str | None,
        option("NAME", "Write an example table instead of a study: cars.csv, diabetes.csv or digits.csv."),
    ] = None,
    plugin: options.Plugins = None,
) -> None:
    """Write a commented study for a table, or an example table.

    The learning rates of the study end at the largest rate predicted to be stable near the lowest loss, and its target
    is the lowest loss plus 1 % of the improvement over the best constant.
    """
    from sgdbench.commands.new import write_example, write_new_study  # noqa: PLC0415
    from sgdbench.data.columns import ask_for_target  # noqa: PLC0415

    if example is not None:
        if data is not None:
            raise ValueError(f"--example writes a table, and a study is written for {data}: give one of them")
        write_example(example, out, overwrite=overwrite)
        return
    if data is None:
        raise ValueError("new needs the FILE of a table; `sgdbench new --example cars.csv` writes one to try")
    if y is None:
        raise ValueError(ask_for_target(data))
    columns = options.TableColumns(x, y, model, drop_missing, no_categories)
    write_new_study(data, columns, out, cache_dir=cache_dir, loss=loss, overwrite=overwrite)


@command(
    'sgdbench kernel "a*x**2 + b*x + c" --optimizer "momentum(0.9)"',
    'sgdbench kernel "w @ x + b" --inputs 20 --loss logistic --standalone classifier.py',
)
def kernel(
    model: Annotated[str, argument("MODEL", "An expression such as 'a*x + b', or the name of a ready-made model.")],
    inputs: Annotated[str, option("NAMES", "The inputs of the model, as in u,v, or their number: x1, x2, ...")] = "x",
    optimizer: options.Optimizer = GridKeys.optimizer,
    loss: options.Loss = RunKeys.loss,
    lanes: Annotated[
        bool, flag("Show the kernel for many runs side by side instead of that for one.", "--lanes")
    ] = False,
    fma: Annotated[bool, flag("Show the kernel that may fuse a multiplication and an addition.", "--fma")] = False,
    dtype: options.Dtype = "float64",
    asm: Annotated[bool, flag("Print the machine code, as assembly.", "--asm")] = False,
    llvm: Annotated[bool, flag("Print the optimized LLVM IR.", "--llvm")] = False,
    standalone: Annotated[
        Path | None, option("FILE", "Write a module with a function `train` that needs only NumPy and numba.")
    ] = None,
    plugin: options.Plugins = None,
) -> None:
    """Print the source of a kernel, or its machine code.

    It is the Python module that numba compiles, and by which `fit` and `run` train.
    """
    from sgdbench.commands.kernel import print_kernel  # noqa: PLC0415

    if asm + llvm + (standalone is not None) > 1:
        raise ValueError("--asm, --llvm and --standalone exclude each other; give one of them")
    name = ("lanes" if lanes else "fused") + ("-fma" if fma else "")
    settings = {"optimizer": optimizer, "loss": loss or RunKeys.loss, "kernel": name, "dtype": dtype}
    print_kernel(model, inputs, settings, code="asm" if asm else "llvm" if llvm else "", file=standalone)


@command("sgdbench schema", "sgdbench schema > schema.md")
def schema(plugin: options.Plugins = None) -> None:
    """Print all keys of study files, in Markdown."""
    from sgdbench.study.schema_page import schema_page  # noqa: PLC0415

    print(schema_page(), end="")


@command("sgdbench list optimizers", "sgdbench list losses --plugin my_rules.py", name="list")
def list_kind(
    kind: Annotated[
        str, argument("KIND", "optimizers, losses, schedules, models, functions (of expressions), studies or peers.")
    ],
    plugin: options.Plugins = None,
) -> None:
    """List all optimizers, losses, schedules or models, with options."""
    from sgdbench.commands.listing import list_entries, print_entries  # noqa: PLC0415

    print_entries(list_entries(kind))


@command("sgdbench studies", "sgdbench studies | sort")
def studies(plugin: options.Plugins = None) -> None:
    """List the built-in studies and suites, as `list studies` does."""
    list_kind("studies")


@command("sgdbench info > machine.txt", "sgdbench info --verify")
def info(
    verify: Annotated[
        bool, flag("Train small runs, and compare the bits of their results with the published ones.", "--verify")
    ] = False,
    every_optimizer: Annotated[
        bool,
        flag(
            "With --verify: compile the kernels of every optimizer, which takes ten minutes and 4 GB of memory.",
            "--every-optimizer",
        ),
    ] = False,
    plugin: options.Plugins = None,
) -> None:
    """Show the machine, the versions and the kernel cache.

    Exit code 1 if --verify finds bits that differ from the published ones.
    """
    from sgdbench.kernels.base import cache  # noqa: PLC0415
    from sgdbench.system.environment import environment  # noqa: PLC0415

    if every_optimizer and not verify:
        raise ValueError("--every-optimizer needs --verify; give both")
    facts = environment() | {"kernel cache": str(cache.folder() or "none: it cannot be written")}
    for name, value in facts.items():
        print(f"{name:20} {value}")
    if verify:
        from sgdbench.commands.verify import verify_bits  # noqa: PLC0415

        if not verify_bits(every_optimizer=every_optimizer):
            raise typer.Exit(FAILED)


if __name__ == "__main__":
    main()
