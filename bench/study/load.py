"""Reading a study from a TOML file, and writing it; it is checked before anything is trained."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, Unpack

import tomli_w
from pydantic import ValidationError

from sgdbench.data.memory_maps import MapOptions
from sgdbench.data.table import Dataset, builtin
from sgdbench.data.units import standardized_target
from sgdbench.kernels.base.arguments import EXACT_MATCH, meant_argument
from sgdbench.kernels.base.checks import closest_name, did_you_mean, list_names
from sgdbench.kernels.compile.kinds import check_dtype
from sgdbench.kernels.data.validation import check_patience
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.study.builtin import builtin_paths
from sgdbench.study.columns import expand_columns, order_columns
from sgdbench.study.schema import Study, Table, TuneTable, field_names
from sgdbench.study.space import check_double
from sgdbench.study.toml_lines import Key, line_numbers, quote_key
from sgdbench.system.accepted import describe_error
from sgdbench.system.files import TABLE_SUFFIXES, parse_toml, read_regular_file

T = TypeVar("T", bound=Table)
Locate = Callable[[Key], str]
"""Gives the beginning of an error about a key: its place."""

_SUITE_REFUSAL = "{} is a suite of several problems; give one study, or use `sgdbench run`"
# Learning rates of all epochs are checked when a study is read, up to this many epochs.
MAX_CHECKED_EPOCHS = 1_000_000
# At most this many files of a folder are compared with the name of a missing file.
MAX_COMPARED_FILES = 1000


def load_study(study: str | Path, *, recorded: bool = False) -> Study:
    """Read a study: a TOML file, to which its paths are relative, or a built-in study by its name.

    A file with the name of a built-in study is written as ``"./quadratic"``. A `recorded` study belongs to an earlier
    run and was checked then: its users' rules may be unknown by now. A ValueError names in one line the file, the line
    if known, the key, its value and what is accepted.
    """
    path = _find_study(study)
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise ValueError(f"{path} is a table, and a study is wanted here: `sgdbench new {path} --y COLUMN` writes one")
    text = _read_text(path)
    table = parse_toml(text, path)
    if "problem" in table and "data" not in table:
        raise ValueError(_SUITE_REFUSAL.format(path))
    resolve_paths(table, path)
    return study_of_table(table, partial(_locate, path, line_numbers(text)), recorded=recorded)


def _find_study(study: str | Path) -> Path:
    return builtin_paths("studies").get(study, Path(study)) if isinstance(study, str) else study


def _locate(path: Path, lines: Mapping[Key, int], key: Key) -> str:
    """Return the beginning of an error message about a key: the file, the line and the tables around the key."""
    line = next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), None)
    place = f"{path}, line {line}: " if line else f"{path}: "
    *tables, _ = (part for part in key if isinstance(part, str))
    return place + "".join(f"{quote_key(table)}." for table in tables)


def check_misfits(study: Study, data: Dataset, locate: Locate, *, searched: bool = False) -> None:
    """Refuse patience without held-out rows, unsupported float32, and batch sizes larger than the data.

    The sizes are those of the grid, or of the space that is `searched`. Options may add what a file lacks, so this is
    checked after them. Error messages begin with the place of their key.
    """
    grid, n_samples = study.make_grid(), len(data.y)
    with _locate_errors(locate, ("run", "patience")):
        check_patience(study.run.patience, study.data.validation or study.data.validation_path)
    with _locate_errors(locate, ("grid", "dtype")):
        if searched:
            check_double(grid)
        elif "float32" in grid.dtype:
            model, loss = study.make_model(data), make_loss(study.run.loss)
            for optimizer in grid.optimizer:
                check_dtype("float32", study.run.kernel, model, loss, make_optimizer(optimizer))
    table = "tune" if searched and study.tune.batch_size is not None else "grid"
    with _locate_errors(locate, (table, "batch_size")):
        if searched:
            study.make_space(n_samples).least_batch(n_samples)
        else:
            grid.sizes(n_samples)


def check_data_files(study: Study, name: str, settings: Collection[str]) -> None:
    """Refuse a study whose file names data that do not exist; `settings` are the keys that options replace.

    Options may replace a path, so this is checked after them. The study is read by this name.
    """
    for key in ("path", "validation_path", "test_path"):
        place = getattr(study.data, key)
        if place is not None and f"data.{key}" not in settings and not Path(place).exists():
            with _locate_errors(key_locator(name, settings), ("data", key)):
                raise ValueError(f"no such file: {place}")


def key_locator(name: str, settings: Collection[str]) -> Locate:
    """Return a function that gives the places of keys in the study of this name, except those in `settings`.

    The place is the beginning of an error message; it is empty if there is none.
    """
    path = _find_study(name)
    if path.suffix != ".toml":  # a table
        return lambda key: ""
    lines = line_numbers(_read_text(path))
    return lambda key: "" if ".".join(map(str, key)) in settings else _locate(path, lines, key)


def read_study_table(path: Path) -> dict[str, Any]:
    """Return the unchecked tables of a TOML file; raise ValueError if it is not TOML or cannot be read."""
    return parse_toml(_read_text(path), path)


def resolve_paths(table: Mapping[str, Any], path: Path) -> None:
    """Make the data paths in the tables of a study, which are relative to its file, absolute in place."""
    data = table.get("data")
    for key in ("path", "validation_path", "test_path", "cache_dir"):
        if isinstance(data, dict) and isinstance(data.get(key), str) and data[key]:
            data[key] = str(path.absolute().parent / data[key])


def with_settings(study: Study, settings: Mapping[str, Any]) -> Study:
    """Return the study with other values of some keys, such as ``"run.refine"`` or ``"grid.init.near"``.

    Values are as in a study file; None removes a key, and `standardize = false` also the study's `center`. A share of
    held-out rows replaces the study's file, and a file its share. Data paths are relative to the working directory.
    Errors are those of `load_study`, without the file.
    """
    table = to_table(study)
    if settings.get("data.standardize") is False:
        settings = {"data.center": None, **settings}
    for pair in (("data.validation", "data.validation_path"), ("data.test", "data.test_path")):
        for given, other in (pair, pair[::-1]):
            if settings.get(given) is not None:
                settings = {other: None, **settings}
    for key, value in settings.items():
        *tables, name = key.split(".")
        home = table
        for part in tables:
            home = home.setdefault(part, {})
            if not isinstance(home, dict):
                raise ValueError(f"{key} is not a key: {part} has no keys of its own")
        if value is None:
            home.pop(name, None)
        else:
            home[name] = value
    resolve_paths(table, Path("study.toml"))
    return study_of_table(table)


def with_target(study: Study, target: float, **mapping: Unpack[MapOptions]) -> Study:
    """Return the study with a target given in the units of its table; `mapping` is as for `Study.dataset`.

    Runs on standardized columns have losses in other units, which the target of a study uses.
    """
    changed = with_settings(study, {"run.target": target})
    if scaling := study.scaling(**mapping):
        changed = with_settings(study, {"run.target": standardized_target(target, scaling, make_loss(study.run.loss))})
    return changed


def to_table(study: Study) -> dict[str, Any]:
    """Return the study as nested dictionaries with every setting that has a value."""
    return study.model_dump(exclude_none=True, exclude={"tune"} if study.tune == TuneTable() else None)


def to_toml(study: Study) -> str:
    """Return the study as a file that `load_study` can read, with every default spelled out."""
    return tomli_w.dumps(to_table(study))


def _read_text(path: Path) -> str:
    try:
        return read_regular_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be UTF-8 text") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise ValueError(_describe_missing_study(path)) from None
        reason = error.strerror if isinstance(error, OSError) else error
        run = path / "run.toml"
        made = f"; give a TOML file, which `sgdbench new {path} --y COLUMN` writes for a folder of tables"
        folder = f"; the study of that run is {run}" if run.is_file() else made
        hint = folder if isinstance(error, IsADirectoryError) else ""
        raise ValueError(f"study {str(path)!r} cannot be read: {reason}{hint}") from None


def _describe_missing_study(path: Path) -> str:
    """Return the message that a study does not exist, with the built-in study, suite or file that may be meant."""
    studies, suites = (list(builtin_paths(folder)) for folder in ("studies", "suites"))
    if str(path) in suites:
        return _SUITE_REFUSAL.format(path)
    beside = islice(path.parent.glob("*.*"), MAX_COMPARED_FILES) if path.parent.is_dir() else ()
    files = [file for file in beside if file.suffix.lower() in (".toml", *TABLE_SUFFIXES)]
    # By their stems: short names with the same suffix look alike.
    stem = closest_name(path.stem, [*studies, *suites, *(file.stem for file in files)])
    alike = [name for name in (*studies, *suites) if name == stem] + [str(file) for file in files if file.stem == stem]
    return (
        f"no such study or file: {str(path)!r}{did_you_mean(str(path), alike)}; "
        f"built in are the studies {', '.join(studies)} and the suite {', '.join(suites)}"
    )


def study_of_table(table: Mapping[str, Any], locate: Locate = lambda key: "", *, recorded: bool = False) -> Study:
    """Return the study that nested dictionaries describe, after all checks that need no data; see `check_table`.

    If its columns have wildcards, the headings of its table are read.
    """
    study = check_table(Study, table, locate, recorded=recorded)
    if recorded:
        return study

    grid = study.make_grid()
    with _locate_errors(locate, ("data", "x")):
        study = expand_columns(study)
    columns = study.data.x or builtin(str(study.data.builtin)).x_names
    with _locate_errors(locate, ("model", "inputs")):
        study = order_columns(study, columns)
    with _locate_errors(locate, ("model", "expression")):
        model = study.model.make(study.data.x or columns, study.data.y)
    if not make_loss(study.run.loss).by_class:  # otherwise the number of parameters depends on the targets
        with _locate_errors(locate, ("grid", "init")):
            grid.vectors(model)
    if study.run.epochs <= MAX_CHECKED_EPOCHS:  # otherwise memory is checked first, with the data
        with _locate_errors(locate, ("grid", "schedule")):
            for schedule in grid.schedule:
                learning_rates(schedule, float(grid.lr.max()), study.run.epochs)
    return study


def check_table(
    table: type[T], values: Mapping[str, Any], locate: Locate = lambda key: "", *, recorded: bool = False
) -> T:
    """Return a checked table of these values.

    A ValueError names in one line, begun by `locate(key)`, the key, its value and what is accepted: for a study in
    TOML's terms, for others, which are arguments, in Python's.
    """
    try:
        return table.model_validate(values, context={"recorded": recorded})
    except ValidationError as error:
        # A misspelt key is also missing: report the misspelling.
        first = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
        raise ValueError(locate(first["loc"]) + _describe_error(first, in_toml=table is Study)) from None


@contextmanager
def _locate_errors(locate: Locate, key: Key) -> Iterator[None]:
    """Name the key in an error raised by a check."""
    try:
        yield
    except ValueError as error:
        raise ValueError(locate(key) + _begin_with_key(key, str(error))) from None


def _describe_error(details: Mapping[str, Any], *, in_toml: bool) -> str:
    """Return the message about a value, beginning with its key."""
    key: Key = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            return _begin_with_key(key, _describe_unknown_key(key))
        case "missing":
            return _begin_with_key(key, "is missing", " ")
        case "value_error":
            return _begin_with_key(key, str(details["ctx"]["error"]))
    return _begin_with_key(key, describe_error(details, **({"bool": "true or false"} if in_toml else {})), " ")


def _begin_with_key(key: Key, message: str, joint: str = ": ") -> str:
    """Return the message with the last part of its key in front, if it is not there already."""
    *_, name = (part for part in key if isinstance(part, str))
    place = quote_key(name) + "".join(f"[{part}]" for part in key if isinstance(part, int))
    return message if message.startswith(place) else place + joint + message


def _describe_unknown_key(key: Key) -> str:
    """Return the message that a key is unknown, with the one that may be meant."""
    *tables, last = map(str, key)
    keys = field_names(tuple(tables))

    close = meant_argument(last, keys)
    homes = ((name, meant_argument(last, field_names((name,)), EXACT_MATCH)) for name in Study.model_fields)
    home, there = next(((name, one) for name, one in homes if one), ("", ""))
    meant = close or f"{there} in [{home}]"
    hint = f"; it belongs in [{home}]" if there == last else f" (did you mean {meant}?)" if close or home else ""
    place = f" in [{'.'.join(tables)}]" if tables else ""
    return f"{quote_key(last)} is not a key{place}{hint}; available: {list_names(keys)}"
