"""Checkpoints of a run: the counts of samples seen at which loss and parameters are recorded.

Within an epoch, checkpoints are multiples of the batch size. 0 and the end of every epoch are always checkpoints, and
no segment between two checkpoints crosses the end of an epoch.
"""

import numpy as np

from sgdbench.kernels.base.checks import check_integer, describe
from sgdbench.kernels.base.run import Hyperparameters, Integers, samples_per_epoch

DEFAULT_PER_DECADE = 10
# A run sees fewer than 10**MAX_DECADES samples.
MAX_DECADES = 20
ACCEPTED_RECORD = '"epoch", "log", "log:PER_DECADE" or a whole number of updates'


def make_checkpoints(record: str | int, n: int, batch_size: int, epochs: int, *, drop_last: bool) -> Integers:
    """Return the counts of samples seen at which a run is recorded.

    Parameters
    ----------
    record : str or int
        ``"epoch"``: the ends of epochs only. ``"log"`` or ``"log:PER_DECADE"``: also checkpoints evenly spaced in the
        logarithm of the samples seen, 10 per decade by default, while they are less than an epoch apart. A number: also
        a checkpoint after every so many updates.
    n, batch_size, epochs, drop_last
        The number of samples, and the settings of the run.

    Returns
    -------
    array, shape (M,)
        Strictly increasing from 0. The first checkpoints of a longer run are those of a shorter one.
    """
    size = samples_per_epoch(n, batch_size, drop_last)
    ends: Integers = np.arange(epochs + 1, dtype=np.int64) * size
    spacing = parse_record(record)
    if spacing is None:
        return ends
    if isinstance(record, str):
        between = _logarithmic(spacing, batch_size, size, ends[-1])
    else:
        # No update is counted twice where an epoch ends in a smaller batch.
        per_epoch = -(-size // batch_size)
        updates = np.arange(spacing, per_epoch * epochs, spacing)
        epoch, within = np.divmod(updates, per_epoch)
        between = epoch * size + within * batch_size
    # Round down to whole batches from the start of the checkpoint's epoch.
    start = between // size * size
    checkpoints: Integers = np.union1d(ends, start + (between - start) // batch_size * batch_size)
    return checkpoints


def most_checkpoints(record: str | int, n: int, batch_size: int, epochs: int, *, drop_last: bool) -> int:
    """Return an upper bound of the number of checkpoints, without allocating them: they may not fit in memory."""
    spacing = parse_record(record)
    if spacing is None:
        return epochs + 1
    if isinstance(record, str):
        return epochs + 1 + MAX_DECADES * spacing
    size: int = samples_per_epoch(n, batch_size, drop_last)
    return epochs + 1 + epochs * -(-size // batch_size) // spacing


def with_checkpoints(hyper: Hyperparameters, n: int) -> Hyperparameters:
    """Return the settings of a run with its checkpoints, by default the ends of its epochs."""
    if hyper.checkpoints.size:
        return hyper
    return hyper._replace(
        checkpoints=make_checkpoints("epoch", n, hyper.batch_size, len(hyper.rates), drop_last=hyper.drop_last)
    )


def count_updates(checkpoints: Integers, n: int, batch_size: int, *, drop_last: bool) -> Integers:
    """Return the number of updates made at each checkpoint."""
    size = samples_per_epoch(n, batch_size, drop_last)
    epoch, within = np.divmod(checkpoints, size)
    updates: Integers = epoch * -(-size // batch_size) + -(-within // batch_size)
    return updates


def thin_checkpoints(samples: Integers, most: int) -> Integers:
    """Return the places of at most `most` checkpoints, 3 or more, denser at the start; first, second and last stay.

    `samples` are the samples seen at the checkpoints, increasing from 0.
    """
    if samples.size <= most:
        return np.arange(samples.size)
    # Mostly even spacing on a logarithmic axis, plus some checkpoints for linear axes.
    logarithms = np.log(samples[1:] / samples[1])
    scale = 2 * logarithms / logarithms[-1] + samples[1:] / samples[-1]
    thinned = np.array([0, 1, samples.size - 1])
    # Several places may round to one checkpoint, so more are requested.
    for count in np.geomspace(most - 1, 20 * samples.size, 60).astype(int):
        targets = np.linspace(scale[0], scale[-1], count)
        places = np.union1d(0, 1 + np.searchsorted(scale, targets - 1e-12))
        if places.size > most:
            break
        thinned = places
    return thinned


def parse_record(record: str | int) -> int | None:
    """Return the checkpoints per decade, or the updates between checkpoints; None for the ends of epochs."""
    if isinstance(record, str):
        kind, colon, count = record.partition(":")
        if record == "epoch":
            return None
        if kind == "log" and (not colon or (count.isascii() and count.isdecimal() and 0 < int(count) <= 1000)):
            return int(count) if colon else DEFAULT_PER_DECADE
    else:
        try:
            return check_integer("record", record)
        except ValueError:
            pass
    raise ValueError(f"record must be {ACCEPTED_RECORD}, not {describe(record)}")


def _logarithmic(per_decade: int, batch_size: int, size: int, last: int) -> Integers:
    """Return batch_size * 10**(k / per_decade) for k = 0, 1, ... while the increments are less than `size`."""
    step = 10.0 ** (1.0 / per_decade)
    most = min(float(last), size / (1.0 - 1.0 / step))
    count = max(0, int(np.floor(np.log10(max(most / batch_size, 1.0)) * per_decade)) + 1)
    checkpoints: Integers = np.floor(batch_size * step ** np.arange(count)).astype(np.int64)
    return checkpoints
