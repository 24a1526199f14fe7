"""Results on disk that can be appended to, resumed and extended without losing any.

A run folder holds

    sgdbench.json      the version of this layout, and what a run must share with another to go on in its place
    run.toml           the study as run
    environment.json   the machine and the versions
    plan.parquet       one row per configuration: id, settings, start, and whether refinement added it to the grid
    rules.json         the source of rules of the user's own that it was trained with, if there are any
    parts/             the results, as they come
    evidence/          measurements around the sweep, if there are any; see `sgdbench.store.evidence`
    damaged/           parts that have changed since they were written, if there are any
    .lock              the process that writes

A run that is stopped at any moment, by kill -9, a full disk or a power failure, keeps every part whose `append` had
returned. Configurations in a modified part count as not done.

Each file holds its checksum (`sgdbench.kernels.base.checksum`) and is read only if it is unmodified and belongs to this
run. The owner of a file is the run's identity; the first file, which holds that identity, has no owner.
"""

import json
import os
import shlex
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import cached_property
from itertools import chain, count, takewhile
from pathlib import Path
from typing import TypeVar
from warnings import warn

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.checksum import find_flaw
from sgdbench.store import part as parts
from sgdbench.store.history import join_curves, newest_rows
from sgdbench.store.seal import (
    DamagedError,
    name_owner,
    read_json,
    read_text,
    seal_json,
    seal_table,
    seal_text,
)
from sgdbench.system.atomic import replace_atomically, sync_folder
from sgdbench.system.environment import ENVIRONMENT, environment
from sgdbench.system.files import check_path, read_regular_file
from sgdbench.system.lock import lock_folder

FOLDER_FORMAT = 4
# Remedies in error messages, for the command line and for Python.
OUT_ADVICE, RESUME_OPTION = "another folder with --out (out=... in Python)", "--resume (resume=True in Python)"
IDENTITY_FILE, PLAN_FILE, EVIDENCE_FOLDER, CONFIRMATION_FOLDER = (
    "sgdbench.json",
    "plan.parquet",
    "evidence",
    "confirmation",
)
_STUDY_FILE, _PARTS_FOLDER, _DAMAGED_FOLDER, _RULES_FILE = "run.toml", "parts", "damaged", "rules.json"
# Facts that an identity contains only if they differ from these.
OMITTED_FACTS = {"shuffling": "all", "categories": "none"}
# Facts of an identity that are hashes, which mean nothing to a person.
_HASH_FACTS = ("data", "validation")
# A message shows at most this many characters of a fact.
_MAX_CHARACTERS_SHOWN = 100
# Columns that every part must have. On disk, checkpoints are called "marks", as in folders of 0.2.
_REQUIRED_COLUMNS = {"config_id", "marks", "losses_after", "losses_every", "losses"}
T = TypeVar("T")
# The folder that `hold_run` holds.
_HELD_FOLDER: ContextVar[Path | None] = ContextVar("_HELD", default=None)


class Run:
    """The content of a run folder.

    `identity` has the facts that every result in the folder shares, as passed to `open_run`, and `within` is the run
    whose folder contains this one: it keeps a temporary folder alive.
    """

    def __init__(self, folder: Path, identity: dict[str, str], sound: list[Path]) -> None:
        self._folder, self._place, self.identity = folder, folder.absolute(), identity
        self.within: Run | None = None
        self._parts = sound
        self._owner = name_owner(identity)

    @property
    def folder(self) -> Path:
        """The folder of the run; a ValueError if it has been moved or deleted since it was read.

        It is the given path, as long as the working directory has not changed.
        """
        if not (self._place / IDENTITY_FILE).exists():
            load = "load_tuning" if holds_search(self.identity) else "load_run"
            raise ValueError(
                f"{self._folder} was moved or deleted: read the run from its new place with sgdbench.{load}"
            )
        return self._folder if self._folder.absolute() == self._place else self._place

    @property
    def _paths(self) -> list[Path]:
        folder = self.folder / _PARTS_FOLDER
        return [folder / part.name for part in self._parts]

    @cached_property
    def study(self) -> str | None:
        """The study as run, a TOML text; None with a warning if it is damaged."""
        return self._read(_STUDY_FILE, read_text, None, "the study is ignored")

    @cached_property
    def environment(self) -> dict[str, str | int]:
        """The facts of `sgdbench.system.environment.environment` when the run was last opened to write, if intact."""
        return self._read(ENVIRONMENT, read_json, {}, "the machine and the versions are ignored")

    @cached_property
    def rules(self) -> dict[str, dict[str, str]]:
        """Users' rules, by kind and name, with their `sha256`, `place`, `plugin` and `source`; none if damaged."""
        if not (self.folder / _RULES_FILE).exists():
            return {}
        return self._read(_RULES_FILE, read_json, {}, "the source of the user's own rules is ignored")

    def _read(self, name: str, read: Callable[[Path, bytes], T], instead: T, lost: str) -> T:
        """Return the content of a file; if it is damaged, warn and return its substitute."""
        try:
            return read(self.folder / name, self._owner)
        except DamagedError as error:
            _warn(f"{error}: {lost}")
            return instead

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """The columns of `configurations` and their types; none if there are no results."""
        schema = pq.read_schema(self._paths[0]) if self._parts else ()
        return {field.name: field.type for field in schema if field.name not in parts.HISTORY_COLUMNS}

    def configurations(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the newest row of each configuration, in the order of writing, without the losses.

        A run without results has the requested columns, or `config_id` and `marks`.
        """
        return newest_rows(self._paths, columns)

    def curves(self, config_ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the losses of the requested configurations in that order, or of all as in `configurations`.

        If parts store different numbers of losses, only losses that all of them store remain: an extended run has the
        same curves as one made at once. Configurations that are not stored are omitted.

        The columns are `config_id` (categorical), `checkpoint` (int32), `loss` and, with held-out samples,
        `validation_loss`. `sgdbench.store.clock.Clock` has the samples and updates at checkpoints.
        """
        return join_curves(self._paths, config_ids)


class OpenRun(Run):
    """A run that only this process writes to, from one thread at a time."""

    def __init__(self, folder: Path, identity: dict[str, str], sound: list[Path], number: int, every: int) -> None:
        super().__init__(folder, identity, sound)
        self._number = number
        self._every = every

    def record_study(self, study: str) -> None:
        """Record a study and its environment, replacing the study of the run that is continued."""
        with explain_os_errors(self.folder):
            _write_study(self.folder, study, self._owner)
        self.study = study

    def record_rules(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        """Record users' rules, in the form of `Run.rules`, in addition to those recorded before.

        Another rule of the same name is refused, because the folder holds its results.
        """
        before = self.rules if self._parts else {}  # a run may have stopped before its first result
        for name, rule in rules.items():
            if name in before and before[name]["sha256"] != rule["sha256"]:
                raise ValueError(
                    f"{self.folder} holds runs with another {name}, as it was at {before[name]['place']}: choose "
                    f"{OUT_ADVICE}, give the rule another name, or delete this folder"
                )
        if rules and {**before, **rules} != before:
            self.rules = {**before, **{name: dict(rule) for name, rule in rules.items()}}
            with explain_os_errors(self.folder):
                _write_if_changed(self.folder / _RULES_FILE, seal_json(self.rules, self._owner))

    def record_plan(self, plan: pd.DataFrame) -> bool:
        """Record the plan, a row per configuration; return whether it has changed."""
        with explain_os_errors(self.folder):
            return _write_if_changed(self.folder / PLAN_FILE, seal_table(plan, self._owner))

    def append(self, rows: pd.DataFrame) -> None:
        """Store a part of the results. When this returns they are on disk; when it raises, nothing has changed.

        There is one row per configuration, or none, with the same columns and types in every part. Values come back bit
        for bit.

        - `config_id` (text) and `marks`, the number of the configuration's current checkpoint, from 0;
        - `losses`: an array of losses at the last checkpoints, up to that one. With `marks + 1` losses the curve
          is complete, and the row replaces all earlier ones of the configuration. With fewer, at least two, it
          continues from where the configuration was before: the first loss, which is already stored, is the one at that
          checkpoint;
        - `validation_losses`, if there are held-out samples: as many;
        - any others; arrays of float64 may have any length.
        """
        if rows.empty:
            return
        table = parts.make_table(rows, self._every)
        if self._parts and not (before := pq.read_schema(self._paths[0])).equals(table.schema):
            stored, new = map(_describe_schema, (before, table.schema))
            raise ValueError(f"rows must have the columns ({stored}) as before, not ({new})")
        self._number += 1
        with explain_os_errors(self.folder):
            self._parts.append(parts.write_part(self.folder / _PARTS_FOLDER, self._number, table, self._owner))


def resume_command(folder: Path) -> str:
    """Return the command that recreates what is damaged in a run's folder, or in that of its confirmation."""
    whole = folder.parent if folder.name == CONFIRMATION_FOLDER else folder
    command = "tune" if holds_search(read_identity(whole)) else "run"
    return f"sgdbench {command} STUDY --out {shlex.quote(str(whole))} --resume"


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder in its present state, even while another process writes to it.

    Damaged parts are named in a warning and ignored. A folder of another kind or version, or with a modified first
    file, is refused with a ValueError.
    """
    folder = check_path("folder", folder, "a run folder")
    if not folder.exists():
        raise ValueError(f"no such folder: {folder}")
    for name in (IDENTITY_FILE, _STUDY_FILE, ENVIRONMENT, _PARTS_FOLDER):
        if not (folder / name).exists():
            raise ValueError(f"{folder} is not a run folder: it has no {name}")
    identity = read_identity(folder)
    examined = _examine_parts(folder, identity)
    for path, flaw in examined.items():
        if flaw:
            _warn(f"{path} is damaged ({flaw}): its configurations count as not trained")
    return Run(folder, identity, [path for path, flaw in examined.items() if not flaw])


@contextmanager
def open_run(
    folder: str | os.PathLike[str], study: str, identity: Mapping[str, str], *, resume: bool, every: int = 1
) -> Iterator[OpenRun]:
    """Open a run folder to write, exclusively; it is created if it is missing.

    Damaged parts are named in a warning and moved to `damaged/`. The `study`, a TOML text, is recorded if there is none
    yet; see `OpenRun.record_study`. The `identity` has the facts that all results must share to be comparable. Losses
    are kept at multiples of `every` checkpoints, a power of two, and at the last one.

    Refused are a folder that another process writes to, one of another identity, one with results without `resume`, one
    of a newer version, and one that is not a run folder at all.
    """
    folder = Path(folder)
    if every < 1 or every & (every - 1):
        raise ValueError(f"every must be a power of two, not {every}")
    check_study(study)
    with nullcontext() if _HELD_FOLDER.get() == folder else _lock_run(folder):
        with explain_os_errors(folder):
            _prepare_folder(folder, study, identity, resume)
            sound, number = _set_aside_damaged(folder, identity)
        yield OpenRun(folder, dict(identity), sound, number, every)


def check_study(study: str) -> None:
    """Refuse anything but a TOML text."""
    if not isinstance(study, str):
        raise ValueError(f"study must be TOML text, not {describe(study)}")
    try:
        tomllib.loads(study)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"study must be TOML text: {error}") from None


@contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder between the times that `open_run` opens it in this thread.

    Training, ranking and confirmation in the block then concern one plan.
    """
    with _lock_run(folder):
        before = _HELD_FOLDER.set(folder)
        try:
            yield
        finally:
            _HELD_FOLDER.reset(before)


@contextmanager
def _lock_run(folder: Path) -> Iterator[None]:
    """Lock a run folder, which is created if it is missing; refuse a folder with other files."""
    if str(folder).startswith("~"):  # pyarrow and pandas expand it to the home folder, Python does not
        raise ValueError(f"{folder} begins with ~, which the shell did not expand; give the full path")
    # Checked before locking, which leaves a file in the folder.
    if not (folder / IDENTITY_FILE).exists() and (visible_files(folder) if folder.is_dir() else folder.exists()):
        raise ValueError(f"{folder} is not a run folder and was not changed: choose {OUT_ADVICE}")
    with ExitStack() as held:
        with explain_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock_folder(folder))
        yield


def _prepare_folder(folder: Path, study: str, identity: Mapping[str, str], resume: bool) -> None:
    """Write the missing files of a folder, after checking that this run may continue in it."""
    for leftover in folder.rglob(".*.partial"):
        leftover.unlink()
    before = read_identity(folder) if (folder / IDENTITY_FILE).exists() else None
    if before is not None and any(visible_files(folder / name) for name in (_PARTS_FOLDER, _DAMAGED_FOLDER)):
        if differences := describe_differences(
            OMITTED_FACTS | before, OMITTED_FACTS | dict(identity), ("there", "here")
        ):
            other = f"another run ({differences})"
            if holds_search(before) != holds_search(identity):
                other = "a search for settings" if holds_search(before) else "a sweep"
            raise ValueError(f"{folder} holds {other}: choose {OUT_ADVICE}, or delete this one")
        if not resume:
            raise ValueError(f"{folder} already holds results: continue with {RESUME_OPTION}, or choose {OUT_ADVICE}")
    if before is not None and before != dict(identity):
        # These belong to a run without results. They are removed first, so that the new run never inherits them.
        stale = [folder / name for name in (_STUDY_FILE, ENVIRONMENT, PLAN_FILE, _RULES_FILE)]
        for path in (*stale, *visible_files(folder / EVIDENCE_FOLDER)):
            path.unlink(missing_ok=True)
    # Written first, so that an incomplete folder is recognized as a run folder.
    _write_if_changed(folder / IDENTITY_FILE, seal_json({"format": FOLDER_FORMAT, "identity": dict(identity)}))
    if not (folder / _STUDY_FILE).exists() or not (folder / ENVIRONMENT).exists():
        _write_study(folder, study, name_owner(identity))
    (folder / _PARTS_FOLDER).mkdir(exist_ok=True)
    sync_folder(folder)
    sync_folder(folder.parent)


def holds_search(identity: Mapping[str, str]) -> bool:
    """Return whether an identity is that of a search for settings rather than of a sweep."""
    return "sampler" in identity


def describe_differences(base: Mapping[str, str], new: Mapping[str, str], places: tuple[str, str]) -> str:
    """Return the facts in which two identities differ: "epochs: 20 there, 30 here"; of hashes only that they differ."""
    differences = []
    for name in dict.fromkeys([*new, *base]):
        values = (base.get(name, "none"), new.get(name, "none"))
        shown = ["samples" if name in _HASH_FACTS and value != "none" else value for value in values]
        if shown[0] != shown[1]:
            there, here = _cut_around_difference(*shown)
            differences.append(f"{name}: {there} {places[0]}, {here} {places[1]}")
        elif values[0] != values[1]:
            differences.append(f"{name}: other samples")
    return "; ".join(differences)


def _cut_around_difference(*values: str) -> list[str]:
    """Return texts, such as the names of thousands of inputs, cut to where they begin to differ if one is long."""
    if max(map(len, values)) <= _MAX_CHARACTERS_SHOWN:
        return list(values)
    alike = sum(takewhile(bool, (one == other for one, other in zip(*values, strict=False))))
    begin = max(0, alike - _MAX_CHARACTERS_SHOWN // 2)
    end = begin + _MAX_CHARACTERS_SHOWN
    return [f"{'...' if begin else ''}{value[begin:end]}{'...' if end < len(value) else ''}" for value in values]


def read_identity(folder: Path) -> dict[str, str]:
    """Return the identity of the run in a folder: the facts that all its results share."""
    path = folder / IDENTITY_FILE
    content = read_regular_file(path)
    try:
        about = json.loads(content)
        version = about["format"]
        identity = {} if version > FOLDER_FORMAT else dict[str, str](about["identity"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError(f"{path} is damaged, or not from sgdbench: run the study into {OUT_ADVICE}") from None
    if version != FOLDER_FORMAT:
        age, remedy = (
            ("an older", f"run the study again into {OUT_ADVICE}")
            if version < FOLDER_FORMAT
            else ("a newer", f"update sgdbench, or choose {OUT_ADVICE}")
        )
        raise ValueError(
            f"{folder} was written by {age} sgdbench (format {version}; this one knows {FOLDER_FORMAT}): {remedy}"
        )
    if flaw := find_flaw(content):
        raise ValueError(
            f"{path} is damaged ({flaw}), and with it the identity of the run is lost: "
            f"run the study again into {OUT_ADVICE}"
        )
    return identity


def _examine_parts(folder: Path, identity: Mapping[str, str]) -> dict[Path, str | None]:
    """Return the parts in the order of writing, with a description of each part's flaw."""
    flaws: dict[Path, str | None] = {}
    columns: dict[Path, str] = {}
    owner = name_owner(identity)
    for path in sorted(visible_files(folder / _PARTS_FOLDER), key=parts.part_number):
        flaws[path], columns[path] = _examine_part(path, owner)
    sound = [path for path, flaw in flaws.items() if not flaw]
    for usual, _ in Counter(columns[path] for path in sound).most_common(1):
        flaws |= {path: "its columns differ from the other parts" for path in sound if columns[path] != usual}
    return flaws


def _examine_part(path: Path, owner: bytes) -> tuple[str | None, str]:
    """Return a description of the flaw of a part, or None, and its columns."""
    if not parts.part_number(path):
        return "its name is not NUMBER.parquet", ""
    try:
        content = read_regular_file(path)
        if flaw := find_flaw(content, owner):
            return flaw, ""
        schema = pq.read_schema(pa.BufferReader(content))
    except PermissionError:
        raise  # unrelated to the part
    except OSError as error:
        return error.strerror or "it cannot be read", ""
    except ValueError:
        return "it is not a Parquet file", ""
    missing = _REQUIRED_COLUMNS - set(schema.names)
    return f"it has no {', '.join(sorted(missing))}" if missing else None, _describe_schema(schema)


def _set_aside_damaged(folder: Path, identity: Mapping[str, str]) -> tuple[list[Path], int]:
    """Move damaged parts away; return the intact ones, and the highest part number ever used."""
    examined = _examine_parts(folder, identity)
    damaged = folder / _DAMAGED_FOLDER
    for path, flaw in examined.items():
        if flaw:
            damaged.mkdir(exist_ok=True)
            names = chain([path.name], (f"{path.name}.{number}" for number in count(1)))
            path.replace(next(damaged / name for name in names if not os.path.lexists(damaged / name)))
            _warn(f"{path} is damaged ({flaw}): set aside in {damaged}, its configurations count as not trained")
    numbers = [parts.part_number(path) for path in (*examined, *visible_files(damaged))]
    return [path for path, flaw in examined.items() if not flaw], max(numbers, default=0)


def visible_files(folder: Path) -> list[Path]:
    """Return the files in a folder that are not hidden; none if there is no such folder."""
    try:
        return [folder / name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _write_study(folder: Path, study: str, owner: bytes) -> None:
    _write_if_changed(folder / _STUDY_FILE, seal_text(study, owner))
    _write_if_changed(folder / ENVIRONMENT, seal_json(environment(), owner))


def _write_if_changed(path: Path, content: bytes) -> bool:
    with suppress(OSError):
        if read_regular_file(path) == content:
            return False
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)
    return True


def _describe_schema(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema if field.name not in parts.HISTORY_COLUMNS)


def _warn(message: str) -> None:
    warn(message, RuntimeWarning, stacklevel=3)


@contextmanager
def explain_os_errors(folder: Path) -> Iterator[None]:
    """Name the folder in the error of a full disk, which has no name itself, and say how to continue."""
    try:
        yield
    except OSError as error:
        if folder.exists():
            remedy = f"stored results are safe; once the folder is writable, {RESUME_OPTION} continues from there"
        else:
            remedy = f"choose {OUT_ADVICE}"
        raise OSError(error.errno, f"{folder} cannot be written ({error.strerror}); {remedy}") from error
