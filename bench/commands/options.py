"""The options that commands share, each declared once; those of one command are declared where it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bench.commands import parse

if TYPE_CHECKING:
    from bench.study.load import Locate


def option(
    metavar: str, about: str, *names: str, read: Callable[[str], Any] | None = None, least: float | None = None
) -> Any:
    """Declare an option with a value, by default called like its argument; `read` converts the text of the value."""
    if read is None:
        return typer.Option(*names, metavar=metavar, help=about, min=least)

    def convert(text: str | None) -> Any:
        return None if text is None else read(text)

    # A parser's error would lose its message.
    return typer.Option(*names, metavar=metavar, help=about, parser=str, callback=convert)


def argument(metavar: str, about: str) -> Any:
    """Declare an argument."""
    return typer.Argument(metavar=metavar, help=about)


def flag(about: str, *names: str) -> Any:
    """Declare an option that is given or not."""
    return typer.Option(*names, help=about)


class TableColumns(NamedTuple):
    """The options of a table: its inputs, None for all usable columns, the target, the model, and how it is read."""

    x: Sequence[str] | None
    y: str | None
    model: str | None
    drop_missing: bool
    no_categories: bool = False


class RunOptions(NamedTuple):
    """The options with which a study, a suite or a search is run."""

    out: Path | None
    resume: bool = False
    yes: bool = False
    verbose: bool = False
    svg: bool = False
    cluster: str | None = None
    locate: "Locate" = lambda key: ""


def held_out(validation: float | str | None, test: float | str | None) -> dict[str, Any]:
    """Return the settings of [data] by key: a share, or the path of a file."""
    given = {"validation": validation, "test": test}
    return {f"{name}_path" if isinstance(value, str) else name: value for name, value in given.items()}


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
Svg = Annotated[Any, option("FORMAT", '"png", or "svg" to write figures as both.', read=parse.parse_figures)]
AsJson = Annotated[bool, flag("Print one JSON object, for scripts.", "--json")]

# Of tables; `run` and `tune` take studies too.
Inputs = Annotated[
    list[str] | None,
    option(
        "COLUMN",
        'An input of the table, or a name for it and the input, as in "x=Engine Power (PS)"; once for each. Wildcards '
        'name several: "pixel_*", or "x=pixel_*" as a group for "w @ x". Without it, all other columns of numbers '
        "and of few texts.",
    ),
]
TargetColumn = Annotated[str | None, option("COLUMN", "The column of the table that is to be fitted.")]
DropMissing = Annotated[bool, flag("Skip rows of the table with missing values.", "--drop-missing")]
NoCategories = Annotated[
    bool, flag("Leave out columns of text; else those of 2 to 30 values become columns of 0 and 1.", "--no-categories")
]
CacheDir = Annotated[
    Path | None, option("FOLDER", "Where the columns of a mapped table are written; without it, beside the table.")
]
StudyOrTable = Annotated[
    str,
    argument(
        "STUDY", "A built-in study, a TOML file, or a table: CSV, TSV, Parquet, Arrow, or a folder of such files."
    ),
]
Model = Annotated[
    str | None,
    option(
        "EXPR",
        'Such as "a*hp + b" or "w @ x + b", or a ready-made one: "polynomial(3)" or "mlp(8)"; without it, a weighted '
        "sum of the inputs.",
    ),
]

# Of `fit`, or for variants.
BatchSize = Annotated[Any, option("SIZE", 'Samples per update, or "full".', read=parse.parse_value)]
Optimizer = Annotated[str, option("NAME", 'Such as "momentum(0.9)" or "adam".')]
Shuffle = Annotated[bool, flag("Visit the samples in a new order each epoch.", "--shuffle")]

# Of `run` and `tune`.
Starts = Annotated[
    Any,
    option(
        "STARTS",
        'Such as "near=-1,10,26; far=-1.8,-131,-2400", values of all parameters in order; "a=2,b=-4,c=3"; "zero"; '
        '"normal:1:5", that is scale and count; or "uniform:-5:5:20". Without it, those of the study.',
        "--init",
        read=parse.parse_starts,
    ),
]

# Of `fit`, and as settings of a study, whose own they replace.
Epochs = Annotated[int | None, option("COUNT", "Passes over the data, at most.")]
Loss = Annotated[
    str | None,
    option(
        "NAME",
        'Such as "squared", "huber(1.0)" or "quantile(0.9)"; "logistic" for two classes, "softmax" for more. Without '
        "it, a table's target decides: squared for numbers, one of these two for labels.",
    ),
]
Target = Annotated[
    float | None,
    option(
        "LOSS",
        "Stop when the loss is this low, in the table's units also where columns are standardized, but for losses such "
        'as "huber(1.0)".',
    ),
]
Record = Annotated[
    Any, option("MARKS", 'Record the loss: "epoch", "log", "log:10", or a number of updates.', read=parse.parse_value)
]
Validation = Annotated[
    Any,
    option(
        "SHARE|FILE",
        "Hold out this share of the rows, or those of a file; the loss on them is recorded, and without a target `run` "
        "and `tune` choose by it.",
        read=parse.parse_held_out,
    ),
]
Test = Annotated[
    Any,
    option(
        "SHARE|FILE",
        "Hold out this share of the rows too, or those of a file: they decide nothing, and the result is judged by "
        "them.",
        read=parse.parse_held_out,
    ),
]
Patience = Annotated[
    int | None,
    option(
        "EPOCHS",
        "Stop runs when the loss on held-out rows has not improved for this many epochs; keep its lowest.",
    ),
]
Confirm = Annotated[int | None, option("COUNT", "Train the leading choices again on this many fresh seeds.")]
Settings = Annotated[
    list[str] | None,
    option(
        "KEY=VALUE",
        "Any key of the study, such as run.drop_last=false; once for each. `sgdbench schema` lists them.",
        "--set",
    ),
]
Resume = Annotated[
    bool, flag("Continue or extend the run in the folder; without it, a folder with results is refused.", "--resume")
]
Cluster = Annotated[str | None, option("CLUSTER", 'Train on Dask: "local:4" for 4 processes, or "tcp://HOST:PORT".')]
