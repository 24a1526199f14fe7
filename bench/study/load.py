"""What to run: data, model, grid and budget, from a TOML file, and checked before anything is trained.

The values are checked by the functions that use them, so that a study file, a command line and a Python call are
refused with the same sentence. They are imported where they are needed: this module alone loads neither numba nor
pandas.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

if TYPE_CHECKING:
    from bench.data.scaling import Scaling
    from bench.data.table import Dataset
    from bench.study.grid import Grid
    from kernels.model import Model

Key = tuple[str | int, ...]
"""Where a value stands, such as ``("grid", "lr")``."""

Setting = Any
"""A value, a list of values, or a range as text; `bench.study.grid.Grid` says what is accepted."""


class Table(BaseModel):
    """A table of a study file: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataTable(Table):
    """[data]: a file and its columns, or the name of a built-in data set."""

    path: str | None = None
    x: list[str] | None = None
    y: str | None = None
    builtin: str | None = None
    standardize: bool = False
    drop_missing: bool = False

    @field_validator("x", mode="before")
    @classmethod
    def _one_column(cls, x: Any) -> Any:
        return [x] if isinstance(x, str) else x

    @field_validator("builtin")
    @classmethod
    def _known(cls, name: str) -> str:
        from bench.data.table import BUILTIN  # noqa: PLC0415

        if name not in BUILTIN:
            raise ValueError(f"builtin must be one of {', '.join(BUILTIN)}, not {name!r}")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> "DataTable":
        given = [key for key in ("path", "x", "y", "builtin") if getattr(self, key) is not None]
        if given not in (["path", "x", "y"], ["builtin"]):
            raise ValueError(f"data must have path, x and y, or else builtin, not {', '.join(given) or 'none of them'}")
        return self


class ModelTable(Table):
    """[model]: an expression or a ready-made model such as "polynomial(3)", and what it calls its inputs."""

    expression: str
    inputs: list[str] | None = None


class GridTable(Table):
    """[grid]: the settings of `bench.study.grid.Grid`, with its defaults."""

    lr: Setting = 0.1
    batch_size: Setting = 1
    init: Setting = None
    optimizer: Setting = "sgd"
    schedule: Setting = "constant"
    seed: Setting = 0
    shuffle: Setting = False

    @field_validator("*")
    @classmethod
    def _accepted(cls, value: Setting, info: ValidationInfo) -> Setting:
        from bench.study.grid import Grid  # noqa: PLC0415

        Grid(**{str(info.field_name): value})
        return value


class RunTable(Table):
    """[run]: what all configurations have in common, as in `kernels.fit`."""

    epochs: int = 100
    target: float | None = None
    kernel: str = "lanes"
    loss: str = "squared"
    drop_last: bool = True

    @field_validator("*", mode="before")
    @classmethod
    def _accepted(cls, value: Any, info: ValidationInfo) -> Any:
        from kernels.agreement import check_kernel  # noqa: PLC0415
        from kernels.checks import (  # noqa: PLC0415
            check_integer,
            check_target,
        )
        from kernels.losses import make_loss  # noqa: PLC0415

        match info.field_name:
            case "epochs":
                check_integer("epochs", value)
            case "target":
                check_target(value)
            case "kernel":
                check_kernel(value)
            case "loss":
                make_loss(value)
        return value


class Study(Table):
    """A study: the tables of its file, and what they stand for.

    Attributes
    ----------
    name : str
        One line; results are kept under it.
    title, description : str, optional
        For readers: a heading, and what is to be seen.
    data : DataTable
    model : ModelTable
    grid : GridTable
    run : RunTable
    """

    name: str
    title: str | None = None
    description: str | None = None
    data: DataTable
    model: ModelTable
    grid: GridTable = Field(default_factory=GridTable)
    run: RunTable = Field(default_factory=RunTable)

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise ValueError(f"name must be one line of 1 to 100 visible characters, not {name[:100]!r}")
        return name

    def dataset(self) -> "tuple[Dataset, Scaling | None]":
        """Load the data, standardized if the study says so; then the way back comes with them.

        Raises
        ------
        ValueError
            If the file, or a value in it, is not as it should be.
        """
        from bench.data.scaling import standardize  # noqa: PLC0415
        from bench.data.table import builtin, load_table  # noqa: PLC0415

        table = self.data
        if table.path is not None and table.x is not None and table.y is not None:
            data = load_table(table.path, table.x, table.y, drop_missing=table.drop_missing)
        else:
            data = builtin(str(table.builtin))
        return standardize(data) if table.standardize else (data, None)

    def make_model(self, dataset: "Dataset") -> "Model":
        """Make the model for the columns of the data."""
        return make_model_for_columns(self.model.expression, dataset.x_names, self.model.inputs)

    def make_grid(self) -> "Grid":
        """Make the grid."""
        from bench.study.grid import Grid  # noqa: PLC0415

        return Grid(**dict(self.grid))


def make_model_for_columns(expression: str, columns: Sequence[str], inputs: Sequence[str] | None = None) -> "Model":
    """The model that an expression, or the name of a ready-made model, means for the columns of some data.

    Parameters
    ----------
    expression : str
    columns : sequence of str
        The columns that hold the inputs.
    inputs : sequence of str, optional
        What the expression calls them, in the same order. Without it the expression calls them by their own names,
        as in ``a*hp + b``, or else ``x`` if there is one and ``x1``, ``x2``, ... if there are several.

    Raises
    ------
    ValueError
        If the expression cannot be read, or it is not clear which names in it stand for data.
    """
    from kernels.expression import names, parse  # noqa: PLC0415
    from kernels.models import MODELS, make_model  # noqa: PLC0415

    columns = tuple(columns)
    if inputs is not None:
        if len(inputs) != len(columns):
            raise ValueError(f"inputs must give each of the columns {columns} a name, not {tuple(inputs)}")
        return make_model(expression, inputs)
    usual = ("x",) if len(columns) == 1 else tuple(f"x{number}" for number in range(1, len(columns) + 1))
    try:
        used = () if expression in MODELS else names(parse(expression))
    except ValueError:
        used = ()
    if not used:
        return make_model(expression, usual)
    ways = list(dict.fromkeys([columns, usual]))
    fitting = [way for way in ways if set(way) <= set(used)]
    if len(fitting) != 1:
        written = [" and ".join(way) for way in ways]
        problem = (
            f"uses {' as well as '.join(written)}: inputs must say which of them are data"
            if fitting
            else f"must use {' or '.join(written)} as the data, or inputs must say what it calls them"
        )
        raise ValueError(f"the expression {expression!r} {problem}")
    return make_model(expression, fitting[0])


def studies() -> dict[str, str]:
    """The built-in studies: from name to description."""
    return {name: tomllib.loads(path.read_text("utf-8"))["description"] for name, path in _builtin().items()}


def load_study(study: str | Path) -> Study:
    """Read a study.

    Parameters
    ----------
    study : str or path
        The name of a built-in study, or a TOML file; one that is called like a built-in study is ``"./quadratic"``.
        Paths in the file are relative to it.

    Raises
    ------
    ValueError
        In one line: the file, where it can be told the line, the key, its value and what is accepted.
    """
    path = _builtin().get(study, Path(study)) if isinstance(study, str) else study
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from None

    data = table.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        data["path"] = str(path.absolute().parent / data["path"])
    lines = _lines(text)

    def where(key: Key) -> str:
        line = next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), None)
        place = f"{path}, line {line}: " if line else f"{path}: "
        *tables, _ = (part for part in key if isinstance(part, str))
        return place + "".join(f"{_quoted(table)}." for table in tables)

    return _validate(table, where)


def with_overrides(study: Study, **options: Any) -> Study:
    """The study with other settings of its grid and its run.

    Parameters
    ----------
    study : Study
    **options
        lr, batch_size, init, optimizer, schedule, seed, shuffle, epochs, target, kernel, loss, drop_last, with values
        that a study file could have; None leaves the study's own.

    Raises
    ------
    ValueError
        As from `load_study`, without the file.
    """
    table = to_table(study)
    for name, value in options.items():
        section = next((section for section in ("grid", "run") if name in _fields((section,))), None)
        if section is None:
            known = ", ".join([*GridTable.model_fields, *RunTable.model_fields])
            raise ValueError(f"a study has no setting {name!r}; known are {known}")
        if value is not None:
            table[section][name] = value
    return _validate(table, lambda key: "")


def to_table(study: Study) -> dict[str, Any]:
    """The study as nested dictionaries with every setting that has a value."""
    return study.model_dump(exclude_none=True)


def to_toml(study: Study) -> str:
    """The study as a file that `load_study` reads back, with every default spelled out."""
    return tomli_w.dumps(to_table(study))


def _builtin() -> dict[str, Path]:
    return {path.stem: path for path in sorted((Path(__file__).parent / "studies").glob("*.toml"))}


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        known = ", ".join(_builtin())
        raise ValueError(f"study {str(path)!r} is none of the built-in ones ({known}) and no file: {reason}") from None


def _validate(table: Mapping[str, Any], where: Callable[[Key], str]) -> Study:
    """The study, after all checks that need no data; `where` begins the sentence about a key."""
    try:
        study = Study.model_validate(table)
    except ValidationError as error:
        # A key that is misspelt is also missing: the misspelling is the news.
        first = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
        raise ValueError(where(first["loc"]) + _describe_error(first)) from None
    from bench.data.table import builtin  # noqa: PLC0415
    from kernels.schedules import learning_rates  # noqa: PLC0415

    grid = study.make_grid()
    with _errors_at(where, ("model", "expression")):
        columns = study.data.x or builtin(str(study.data.builtin)).x_names
        model = make_model_for_columns(study.model.expression, columns, study.model.inputs)
    with _errors_at(where, ("grid", "init")):
        grid.vectors(model)
    with _errors_at(where, ("grid", "schedule")):
        for schedule in grid.schedule:
            learning_rates(schedule, float(grid.lr.max()), study.run.epochs)
    return study


@contextmanager
def _errors_at(where: Callable[[Key], str], key: Key) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(where(key) + _about(key, str(error))) from None


def _describe_error(details: Mapping[str, Any]) -> str:
    """What is wrong with a value, beginning with its key."""
    key: Key = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            return _about(key, _unknown(key))
        case "missing":
            return _about(key, "is missing", " ")
        case "value_error":
            return _about(key, str(details["ctx"]["error"]))
        case "model_type":
            wanted = "must be a table"
        case _:
            wanted = details["msg"].replace("Input should be", "must be")
    from kernels.checks import describe  # noqa: PLC0415

    return _about(key, f"{wanted}, not {describe(details['input'])}", " ")


def _about(key: Key, message: str, joint: str = ": ") -> str:
    """The message with the last part of its key in front, if it is not there already."""
    *_, name = (part for part in key if isinstance(part, str))
    place = _quoted(name) + "".join(f"[{part}]" for part in key if isinstance(part, int))
    return message if message.startswith(place) else place + joint + message


def _unknown(key: Key) -> str:
    *tables, last = map(str, key)
    known = _fields(tuple(tables))
    close = difflib.get_close_matches(last, known, n=1)
    home = next((name for name in Study.model_fields if last in _fields((name,))), None)
    hint = f"; did you mean {close[0]}?" if close else f"; it belongs in [{home}]" if home else ""
    place = f" in [{'.'.join(tables)}]" if tables else ""
    return f"{_quoted(last)} is no key{place}{hint}; known are {', '.join(known)}"


def _fields(tables: Key) -> list[str]:
    """The keys of the study itself, for (), or of one of its tables."""
    table: Any = Study
    for name in tables:
        table = Study.model_fields[str(name)].annotation
    return list(getattr(table, "model_fields", ()))


def _quoted(part: str) -> str:
    """A part of a key as TOML would have it."""
    return part if re.fullmatch(r"[\w-]+", part) else repr(part)


_HEADER = re.compile(r"""\s*\[\[?\s*([\w."' -]+?)\s*\]\]?\s*(#.*)?$""")
_KEY = re.compile(r"""\s*([\w.-]+|"[^"]*"|'[^']*')\s*=""")


def _lines(text: str) -> dict[Key, int]:
    """The line, counted from 1, of every table and every key that begins its line."""
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _path(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(table + _path(key[1]), number)
    return lines


def _path(key: str) -> Key:
    return (key[1:-1],) if key[0] in "\"'" else tuple(part.strip().strip("\"'") for part in key.split("."))
