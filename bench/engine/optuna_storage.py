"""A copy of the trials in a SQLite file, for Optuna's own tools, such as its dashboard.

What a search goes on from is the sealed table of trials in the run's folder: a database has no checksums.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from warnings import catch_warnings, simplefilter, warn

with catch_warnings():
    simplefilter("ignore")  # in Jupyter without ipywidgets, tqdm complains that it cannot draw bars, which nobody wants
    import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.engine.search import Search, quiet

FILE = "tuning.db"


class TrialsFile:
    """The file, open to add trials to."""

    def __init__(self, path: Path, searches: Sequence[Search]) -> None:
        self._opened = ExitStack()

        def connect() -> sqlite3.Connection:
            connection = self._opened.enter_context(closing(sqlite3.connect(path, timeout=30)))
            # One write to the disk for a round, not for each of its numbers: a trial took 30 ms, and takes 11.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

        try:
            self._storage = RDBStorage("sqlite://", engine_kwargs={"creator": connect})
            self._opened.callback(self._storage.engine.dispose)
            self._opened.callback(self._storage.remove_session)
            self._studies = {search: self._open_study(search) for search in searches}
            self._kept = {search: self._count_kept(search) for search in searches}
        except BaseException:
            self.close()
            raise

    def add(self, search: Search) -> None:
        """Add the trials of a search that are not there yet."""
        trials = search.study.get_trials(deepcopy=False)
        with quiet():
            self._studies[search].add_trials([_plain(trial) for trial in trials[self._kept[search] :]])
        self._kept[search] = len(trials)

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    def _open_study(self, search: Search) -> optuna.Study:
        with quiet():
            return optuna.create_study(storage=self._storage, study_name=search.family.text, load_if_exists=True)

    def _count_kept(self, search: Search) -> int:
        """Return how many trials of a search are there.

        Raises
        ------
        OptunaError
            If they are others than those of the search.
        """
        kept = self._studies[search].get_trials(deepcopy=False)
        trials = search.study.get_trials(deepcopy=False)
        if [_facts(trial) for trial in kept] != [_facts(trial) for trial in trials[: len(kept)]]:
            raise optuna.exceptions.OptunaError("it holds other trials than those of this run")
        return len(kept)


@contextmanager
def open_trials_file(folder: Path, searches: Sequence[Search]) -> Iterator[Callable[[Search], None]]:
    """Open the file in a run's folder, and give the block what adds the new trials of a search to it.

    One that is damaged, or holds trials of another search, is made anew. Where it cannot be written, the search goes on
    without it, after a warning: it is only a copy.

    Raises
    ------
    ValueError
        If there is something that is no file.
    """
    path = folder / FILE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"{path} must be a file, to which trials are written: remove what is there")
    opened: TrialsFile | None = None
    existed = path.exists()

    def add(search: Search) -> None:
        """Add the trials of a search, as long as that goes well."""
        nonlocal opened
        if opened is None:
            return
        try:
            opened.add(search)
        except Exception as error:
            _warn_of(path, error)
            opened.close()
            opened = None

    try:
        opened = TrialsFile(path, searches)
    except Exception as error:  # Optuna asserts what a database holds, and looks up what it does not
        if existed:
            warn(f"{path} cannot be gone on with ({_reason(error)}): it is made anew", RuntimeWarning, stacklevel=3)
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            (folder / name).unlink(missing_ok=True)
        try:
            opened = TrialsFile(path, searches)
        except Exception as again:
            _warn_of(path, again)
    try:
        for search in searches:
            add(search)
        yield add
    finally:
        if opened is not None:
            opened.close()


def _warn_of(path: Path, error: Exception) -> None:
    """Say that there will be no copy, and why."""
    warn(f"{path} cannot be written ({_reason(error)}): the search goes on without it", RuntimeWarning, stacklevel=2)


def _reason(error: Exception) -> str:
    """Return the first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _facts(trial: FrozenTrial) -> tuple[object, ...]:
    """Return what makes a trial what it is; Optuna may give those that were given up a value, or none."""
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return trial.state, trial.params, value, trial.intermediate_values


def _plain(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial without what Optuna notes for itself, which may be a pickle."""
    return create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        intermediate_values=trial.intermediate_values,
    )
