"""How finely a sweep records: as finely as it can afford."""

from pathlib import Path

from bench.store.run_folder import ABOUT, read_identity
from kernels.marks import PER_DECADE, make_marks

# Evaluating the loss once takes about half as long as training an epoch side by side (28 of 80 operations of the lanes
# of a quadratic). So many marks more than epochs, for each epoch, cost a quarter of the training at most.
MARKS_PER_EPOCH = 0.4


def settle_record(record: str | int, n: int, epochs: int, folder: Path) -> str | int:
    """Return what a sweep records: for a plain "log", how many marks there are to a decade.

    Parameters
    ----------
    record : str or int
        As for `kernels.fit`.
    n : int
        Samples in the data.
    epochs : int
        The length of a run.
    folder : path
        A run that is in it goes on as it began, also for more epochs.

    Returns
    -------
    str or int
        For "log": "log:10", "log:9", ... or "log:1", the first that adds at most `MARKS_PER_EPOCH` times `epochs` marks
        to a run with batches of one sample; "epoch" if none does.
    """
    if record != "log":
        return record
    if (folder / ABOUT).exists() and (before := read_identity(folder).get("record")):
        return before
    for per_decade in range(PER_DECADE, 0, -1):
        text = f"log:{per_decade}"
        if make_marks(text, n, 1, epochs, drop_last=True).size - (epochs + 1) <= MARKS_PER_EPOCH * epochs:
            return text
    return "epoch"
