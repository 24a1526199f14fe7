"""The trials of a search: Optuna's journal, with a study for each optimizer, in the folder of the run.

Optuna appends a line for each trial. A sealed table beside the journal holds its size and its checksum after each
round, so that changes and truncation of the journal are detected.

The state of samplers is not stored: that of CMA-ES is a pickle, and loading a pickle from a folder may run any code.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from sgdbench.store.evidence import read_table_of, store_tables
from sgdbench.store.run_folder import EVIDENCE_FOLDER, OUT_ADVICE
from sgdbench.store.seal import DamagedError
from sgdbench.system.files import read_regular_file

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in Jupyter without ipywidgets, tqdm warns that it cannot draw bars
        import optuna
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'tune needs optuna, which is not installed: pip install "optuna>=5" "cmaes>=0.12" "scikit-learn>=1.9"',
        name="optuna",
    ) from error
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

JOURNAL = Path(EVIDENCE_FOLDER) / "journal.log"
_SEAL_NAME = "journal"
_COLUMNS = [
    *("family", "number", "lr", "batch_size", "optimizer", "schedule", "shuffle", "state", "value", "epochs"),
    *("samples", "round", "converged", "runs", "diverged_after", "params"),
]


class _Backend(JournalFileBackend):
    """A journal with one writer, the process that holds the lock of the folder.

    Optuna locks and syncs for each line, to allow several writers, which takes 15 ms. Here a round is synced at once.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(log) + "\n" for log in logs)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's messages about new studies, and its warnings about experimental samplers."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def open_journal(folder: Path, names: Sequence[str], *, begun: bool) -> list[optuna.Study]:
    """Open the journal of a run's folder, whose lock the caller holds, and return its studies of these names.

    In a folder without results, where nothing has `begun`, the search starts anew. If the journal of a search that has
    begun is missing or modified, raise DamagedError.
    """
    path = folder / JOURNAL
    path.parent.mkdir(exist_ok=True)
    if not begun:
        for left in (path, path.with_name(f"{_SEAL_NAME}.parquet")):
            left.unlink(missing_ok=True)
    else:
        # Optuna would append to a line that kill -9 has truncated.
        os.truncate(path, _read_sound(folder).rfind(b"\n") + 1)
    storage = _replay(path)
    with quiet():
        return [optuna.create_study(storage=storage, study_name=name, load_if_exists=True) for name in names]


def seal_journal(folder: Path) -> None:
    """Sync the journal to disk, and store its size and its checksum."""
    with (folder / JOURNAL).open("rb") as file:
        os.fsync(file.fileno())
        content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    store_tables(folder, **{_SEAL_NAME: pd.DataFrame({"size": [len(content)], "sha256": [digest]})})


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of a study that a search has written; other tools may have added some."""
    return [trial for trial in study.get_trials(deepcopy=False) if "round" in trial.user_attrs]


def read_trials(folder: Path) -> pd.DataFrame:
    """Return the trials of a search, as `sgdbench.TuneResult` describes them; none in the first round."""
    _read_sound(folder)
    storage = _replay(folder / JOURNAL)
    rows = [
        {"family": name, "number": trial.number, **trial.user_attrs, "params": trial.params}
        for name in optuna.get_all_study_names(storage)
        for trial in ended_trials(optuna.load_study(study_name=name, storage=storage))
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).sort_values("round", kind="stable", ignore_index=True)


def _read_sound(folder: Path) -> bytes:
    """Return the content of the journal, after checking its sealed part."""
    path = folder / JOURNAL
    try:
        content = read_regular_file(path)
    except OSError as error:
        raise _damaged(path, error.strerror or "it cannot be read") from error
    try:
        seals = read_table_of(folder, _SEAL_NAME)
    except DamagedError:
        raise _damaged(path.with_name(f"{_SEAL_NAME}.parquet"), "its content has changed") from None
    for size, digest in seals.itertuples(index=False):
        if hashlib.sha256(content[:size]).hexdigest() != digest:
            raise _damaged(path, "its content has changed")
    return content


def _replay(path: Path) -> JournalStorage:
    """Return the storage built from the lines of a journal."""
    try:
        return JournalStorage(_Backend(path))
    except OSError:
        raise
    except Exception as error:  # a damaged line may raise anything inside Optuna
        raise _damaged(path, " ".join(f"{type(error).__name__}: {error}".split())) from error


def _damaged(path: Path, flaw: str) -> DamagedError:
    return DamagedError(f"{path} is damaged ({flaw}): search again into {OUT_ADVICE}")
