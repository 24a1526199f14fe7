"""The options that commands share, each declared once; options of a single command are declared in `sgdbench.cli`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from sgdbench.commands import parse
from sgdbench.study.keys import TuneKeys, describe_key

if TYPE_CHECKING:
    from sgdbench.study.load import Locate


def option(
    metavar: str, about: str, *names: str, read: Callable[[str], Any] | None = None, least: float | None = None
) -> Any:
    """Declare an option with a value, by default named like its argument; `read` converts the text of the value."""
    if read is None:
        return typer.Option(*names, metavar=metavar, help=about, min=least)

    def convert(text: str | None) -> Any:
        return None if text is None else read(text)

    # Typer would drop the message of an error raised by a parser.
    return typer.Option(*names, metavar=metavar, help=about, parser=str, callback=convert)


def setting(
    key: str,
    metavar: str,
    *names: str,
    more: str = "",
    read: Callable[[str], Any] | None = parse.parse_value,
) -> Any:
    """Declare the option for a key of a study, with the key's line and `more` as help; the study checks its value."""
    several = "Separate several by commas." if read is parse.parse_values else ""
    return option(metavar, " ".join(filter(None, (describe_key(key), several, more))), *names, read=read)


def argument(metavar: str, about: str) -> Any:
    """Declare an argument."""
    return typer.Argument(metavar=metavar, help=about)


def flag(about: str, *names: str) -> Any:
    """Declare an option without a value."""
    return typer.Option(*names, help=about)


class TableColumns(NamedTuple):
    """The options of a table: inputs (None for all usable columns), target, model, and how to read it."""

    x: Sequence[str] | None
    y: str | None
    model: str | None
    drop_missing: bool
    no_categories: bool = False


class RunOptions(NamedTuple):
    """The options for running a study, a suite or a search."""

    out: Path | None
    resume: bool = False
    yes: bool = False
    verbose: bool = False
    svg: bool = False
    cluster: str | None = None
    locate: "Locate" = lambda key: ""


def held_out(validation: float | str | None, test: float | str | None) -> dict[str, Any]:
    """Return the settings of [data] by key: the path of a table, or a share, which the study checks."""
    texts = {"validation": validation, "test": test}
    paths = {name for name, value in texts.items() if parse.is_table(value)}
    return {f"{name}_path" if name in paths else name: value for name, value in texts.items()}


def _load_plugins(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
    """Import the plug-in files that the command names, before anything else."""
    if files and not context.resilient_parsing:  # set during completion in a shell
        from sgdbench.kernels.base.plugins import load_plugin  # noqa: PLC0415

        for file in files:
            load_plugin(file)
    return files


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        callback=_load_plugins,
        help="A Python file of your own that registers optimizers, losses, ...; may be given several times.",
    ),
]
Svg = Annotated[Any, option("FORMAT", '"png", or "svg" to write figures as both.', read=parse.parse_figures)]
AsJson = Annotated[bool, flag("Print one JSON object, for scripts.", "--json")]

# Options of tables; `run` and `tune` also take studies.
Inputs = Annotated[
    list[str] | None,
    option(
        "COLUMN",
        'An input column, or a name for it as in "x=Engine Power (PS)"; may be given several times. Wildcards name '
        'several: "pixel_*", or "x=pixel_*" as a group for "w @ x". Default: all other numbers and categories.',
    ),
]
TargetColumn = Annotated[str | None, setting("data.y", "COLUMN", read=None)]
DropMissing = Annotated[bool, flag(describe_key("data.drop_missing"), "--drop-missing")]
NoCategories = Annotated[
    bool,
    flag("Ignore text columns; otherwise those with 2 to 30 values become columns of 0 and 1.", "--no-categories"),
]
CacheDir = Annotated[Path | None, setting("data.cache_dir", "FOLDER", read=None)]
StudyOrTable = Annotated[
    str,
    argument(
        "STUDY", "A built-in study, a TOML file, or a table: CSV, TSV, Parquet, Arrow, or a folder of such files."
    ),
]
Model = Annotated[
    str | None,
    setting("model.expression", "EXPR", more="Default: a weighted sum of the inputs.", read=None),
]

# Options of `fit`, and of `compare` for variants.
BatchSize = Annotated[Any, setting("grid.batch_size", "SIZE")]
Optimizer = Annotated[str, setting("grid.optimizer", "NAME", read=None)]
Shuffle = Annotated[bool, flag(describe_key("grid.shuffle"), "--shuffle")]
Dtype = Annotated[str, setting("grid.dtype", "NAME", read=None)]

# Options of `run` and `tune`.
Starts = Annotated[
    Any,
    setting(
        "grid.init",
        "STARTS",
        "--init",
        more='For example "-1,10,26", "a=2,b=-4,c=3", "normal:1:5" or "near=-1,10,26; far=-1.8,-131,-2400".',
        read=parse.parse_starts,
    ),
]

# Options of `fit`, which for studies replace their settings.
Epochs = Annotated[Any, setting("run.epochs", "COUNT")]
Loss = Annotated[
    str | None,
    setting("run.loss", "NAME", more="For a table, the default depends on the target.", read=None),
]
_TABLE_UNITS = 'In the table\'s units even if columns are standardized, except for losses such as "huber(1.0)".'
Target = Annotated[Any, setting("run.target", "LOSS", more=_TABLE_UNITS)]
Record = Annotated[Any, setting("run.record", "CHECKPOINTS")]
Validation = Annotated[Any, setting("data.validation", "SHARE|FILE", more="Or the rows of a file.")]
Test = Annotated[Any, setting("data.test", "SHARE|FILE", more="Or the rows of a file.")]
Patience = Annotated[Any, setting("run.patience", "EPOCHS")]

# Options of `fit` alone, whose settings are not chosen by a comparison of runs.
FitTarget = Annotated[Any, option("LOSS", f"Stop when the loss is this low. {_TABLE_UNITS}", read=parse.parse_value)]
FitValidation = Annotated[
    Any,
    option(
        "SHARE|FILE",
        "Hold out this share of the rows, and record the loss on them; --patience uses it. Or the rows of a file.",
        read=parse.parse_value,
    ),
]
FitTest = Annotated[
    Any,
    option(
        "SHARE|FILE",
        "Hold out this share of the rows, and report the loss on them; they have no influence on the run. Or the rows "
        "of a file.",
        read=parse.parse_value,
    ),
]
FitPatience = Annotated[
    Any,
    option(
        "EPOCHS",
        "Stop when the loss on held-out rows has not improved for this many epochs; keep the best parameters.",
        read=parse.parse_value,
    ),
]

# Options of studies alone.
Confirm = Annotated[Any, setting("run.confirm", "COUNT")]
Refine = Annotated[Any, setting("run.refine", "ROUNDS")]

# Options of `tune`.
Trials = Annotated[Any, setting("tune.trials", "COUNT", more=f"Default: {TuneKeys.trials:,}.")]
Sampler = Annotated[str | None, setting("tune.sampler", "NAME", more=f"Default: {TuneKeys.sampler}.", read=None)]
Pruner = Annotated[str | None, setting("tune.pruner", "NAME", more=f"Default: {TuneKeys.pruner}.", read=None)]
Settings = Annotated[
    list[str] | None,
    option(
        "KEY=VALUE",
        "Any key of the study, such as run.drop_last=false; may be given several times. `sgdbench schema` lists them.",
        "--set",
    ),
]
Resume = Annotated[
    bool, flag("Continue or extend the run in the folder; default: refuse a folder with results.", "--resume")
]
Cluster = Annotated[str | None, option("CLUSTER", 'Train on Dask: "local:4" for 4 processes, or "tcp://HOST:PORT".')]
