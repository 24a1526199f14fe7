"""Training by the maps of epochs: one run, or many that share them; `fused` where rounding errors could grow large."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernels.epoch_map import check_epoch_map
from kernels.epoch_map_kernel import MappedRuns, Maps, Shape, compile_epoch_map
from kernels.epoch_map_loops import BOUND, BROKEN, PIECES, STARTS
from kernels.linear_data import MAX_PARAMS, LinearData, make_linear_data
from kernels.loss import Loss
from kernels.marks import count_updates, with_marks
from kernels.model import Model
from kernels.optimizer import Optimizer
from kernels.run import MAX_EPOCHS, Data, Floats, Hyperparameters, Record, count_evaluated
from kernels.slices import train_in_slices

if TYPE_CHECKING:
    from kernels.block import Runs
    from kernels.fit import Train

# Numbers of a stretch that are packed at a time; they stay in the cache of a core.
MOST_PACKED = 2**17
# Legs of an epoch whose maps are kept for the next one.
MOST_SLOTS = 1024
# Fewer runs are trained otherwise as they are.
FEWEST_TO_HALVE = 64
# The signs of errors; any will do that differ from column to column.
SIGNS = np.random.default_rng(0).choice([-1.0, 1.0], size=(2 * MAX_PARAMS, 2 * PIECES))
FELL_BACK = (
    f"trained by 'fused': with 'epoch-map' rounding errors could exceed {BOUND:g}, relative where a parameter "
    "or a loss exceeds 1"
)


class MappedTraining:
    """Runs that share order, rates and optimizer, on their way from mark to mark.

    Parameters
    ----------
    train : callable
        The compiled kernel.
    optimizer : Optimizer
    data : LinearData
    hyper : Hyperparameters
        With rates of shape (epochs,), and with marks.
    count : int
        How many runs.
    """

    def __init__(
        self, train: Callable[..., Any], optimizer: Optimizer, data: LinearData, hyper: Hyperparameters, count: int
    ) -> None:
        self.train, self.optimizer, self.data, self.hyper, self.count = train, optimizer, data, hyper, count
        self.params = data.rows.shape[1] - 1
        self.size = self.params * (1 + optimizer.slots)
        self.maps = _allocate_maps(Shape.of(self.params, optimizer.slots), optimizer, data, hyper)
        vectors = 1 + -(-(count - 1) // PIECES)
        # All but the last run fill vectors of their own.
        places = np.arange(count)
        places[-1] = (vectors - 1) * PIECES
        self.vector, self.element = np.divmod(places, PIECES)
        self.masks = _zeros(2, vectors * PIECES)
        self.masks[0, places] = 1.0
        self.masks[1, places[-1] + 1 :] = 1.0
        self.runs = MappedRuns(
            _zeros(2, vectors, self.size * PIECES),
            _zeros(2, vectors * PIECES),
            _zeros(3, vectors * PIECES),
            np.zeros(self.size),
            _zeros(2 * PIECES),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros((count, self.size)),
            np.zeros((0, count)),
            np.zeros((0, count)),
            np.zeros((0, 2)),
            np.zeros((0, self.params)),
            0,
        )
        self.runs.masks[...] = self.masks

    def record_in(
        self, losses: Floats, validation_losses: Floats, lowest: Floats, trajectory: Floats, begin: int
    ) -> None:
        """Give arrays to be filled: of the losses, those from the mark `begin` on.

        Parameters
        ----------
        losses, validation_losses : array, shape (marks, R)
        lowest : array, shape (R, 2) or (R, 3 + P)
        trajectory : array, shape (marks, P), or without rows
        """
        self.runs = MappedRuns(*self.runs[:8], losses, validation_losses, lowest, trajectory, begin)

    def start(self, first: int, params: Floats, memory: Floats) -> None:
        """Put runs at mark `first`.

        Parameters
        ----------
        params : array, shape (R, P)
        memory : array, shape (R, M)
        """
        maps, runs, own = self.maps, self.runs, self.size - self.params
        runs.states.fill(0.0)
        if self.count == 1:
            state = runs.states[first % 2, 0, ::PIECES]
            state[: self.params] = params[0]
            if own:
                state[self.params :] = memory[0, :own]
        else:
            states = runs.states[first % 2].reshape(-1, self.size, PIECES)
            states[self.vector, : self.params, self.element] = params
            states[self.vector, self.params :, self.element] = memory[:, :own]
            runs.masks[...] = self.masks
        if self.optimizer.clock:
            self.clock = memory[0, own:].tolist()
            clocks = self.clock, self._clock_after(2)
            maps.progress[2] = clocks[0] != clocks[1]
            maps.units[:, :, self.size + 1 :] = np.array(clocks)[:, np.newaxis, :, np.newaxis]
        runs.status.fill(MAX_EPOCHS)
        maps.progress[0] = STARTS

    def step(self, first: int, last: int) -> tuple[int, int]:
        """Go from a mark to another; return whether all runs are over, or BROKEN, and the mark reached."""
        status, done = self.train(self.data, self.hyper, self.maps, self.runs, first, last)
        return status, done

    def finish(self, memory: Floats) -> Floats:
        """Return the parameters that the runs have reached, and store the optimizer's memory."""
        runs, own = self.runs, self.size - self.params
        if own:
            memory[:, :own] = runs.ends[:, self.params :]
        if self.optimizer.clock:
            size, drop_last = self.hyper.batch_size, self.hyper.drop_last
            updates = count_updates(self.hyper.marks[runs.reached], self.data.samples, size, drop_last=drop_last)
            for run, count in enumerate(updates.tolist()):
                memory[run, own:] = self._clock_after(count)
        return runs.ends[:, : self.params]

    def _clock_after(self, updates: int) -> list[float]:
        """Return the clock after so many updates: that of an affine optimizer stands still from the second on."""
        clock: tuple[float, ...] = tuple(self.clock)
        assert self.optimizer.clock is not None  # noqa: S101 (who calls has looked)
        for _ in range(min(updates, 2)):
            clock = self.optimizer.clock(clock, tuple(self.optimizer.options.values()))
        return list(clock)


class EpochMapTrainer:
    """Trains one run from mark to mark, as the other kernels do.

    Parameters
    ----------
    model, loss, optimizer
    make_fused : callable
        Returns what trains a run by `fused`; called where it is needed.

    Attributes
    ----------
    notes : tuple of str
        What is to be said of the run that was trained last.

    Raises
    ------
    ValueError
        If these have no maps.
    """

    def __init__(self, model: Model, loss: Loss, optimizer: Optimizer, make_fused: "Callable[[], Train]") -> None:
        check_epoch_map(model, loss, optimizer)
        self.notes: tuple[str, ...] = ()
        self._program, self._optimizer, self._make_fused = model.program, optimizer, make_fused
        self._kernel = compile_epoch_map(model.program, optimizer).train
        self._fused: Train | None = None
        self._data: Data | None = None
        self._hyper: Hyperparameters | None = None
        self._record: Record | None = None
        self._reached = 0

    def __call__(self, data: Data, hyper: Hyperparameters, record: Record, first: int, last: int) -> tuple[int, int]:
        """Train legs first..last-1 of a run; return the status and the last mark reached."""
        if record is not self._record or first != self._reached:
            self._begin(data, hyper, record, first)
        if not self.notes:
            status, done = self._training.step(first, last)
            if status != BROKEN:
                self._reached = done
                self._training.finish(record.memory[np.newaxis])
                return int(self._training.runs.status[0]), done
            self.notes = (FELL_BACK,)
            first = self._first
            record.memory[:], record.lowest[:] = self._start
        status, self._reached = self._train_by_fused(data, hyper, record, first, last)
        return status, self._reached

    def _begin(self, data: Data, hyper: Hyperparameters, record: Record, first: int) -> None:
        """Take up a run at mark `first`."""
        if data is not self._data:
            self._linear = make_linear_data(self._program, data)
            self._finite = _is_finite(self._linear)
        if data is not self._data or hyper is not self._hyper:
            marked = with_marks(hyper, data.y.size)
            self._training = MappedTraining(self._kernel, self._optimizer, self._linear, marked, 1)
        self._data, self._hyper, self._record, self._first = data, hyper, record, first
        self._start = record.memory.copy(), record.lowest.copy()
        self.notes = () if self._finite else (FELL_BACK,)
        losses, validation_losses = record.losses[:, np.newaxis], record.validation_losses[:, np.newaxis]
        self._training.record_in(losses, validation_losses, record.lowest.reshape(-1, 2), record.trajectory, 0)
        self._training.start(first, record.trajectory[first : first + 1], record.memory[np.newaxis])

    def _train_by_fused(
        self, data: Data, hyper: Hyperparameters, record: Record, first: int, last: int
    ) -> tuple[int, int]:
        """Train by `fused`, in slices as that takes longer."""
        self._fused = train = self._fused or self._make_fused()
        hyper = with_marks(hyper, data.y.size)
        status, done = MAX_EPOCHS, first
        slices = train_in_slices(
            lambda begin, end: train(data, hyper, record, begin, end),
            hyper.marks[: last + 1],
            first,
            samples=count_evaluated(data),
        )
        for status, done, _seconds in slices:  # noqa: B007
            pass
        return status, done


def train_by_maps(
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    hyper: Hyperparameters,
    runs: "Runs",
    first: int,
    stopped: Callable[[], bool],
) -> NDArray[np.bool_] | None:
    """Train runs that share data and order, in place: those that share their rates by the same maps.

    The bound is that of the farthest run. Where it breaks, the nearer half of the runs is trained by itself and, if it
    keeps the bound, the farther half after it in the same way.

    Returns
    -------
    array, shape (R,), or None
        Which runs had errors that could exceed the bound, and are to be trained otherwise; None if `stopped`.
    """
    check_epoch_map(model, loss, optimizer)
    kernel = compile_epoch_map(model.program, optimizer).train
    linear = make_linear_data(model.program, data)
    broken = np.zeros(runs.status.size, np.bool_)
    if not _is_finite(linear):
        return ~broken
    held_out = data.validation_y.size > 0
    waiting: list[tuple[slice | NDArray[np.intp], NDArray[np.intp] | None]]
    waiting = [(group, None) for group in group_columns(hyper.rates)]
    while waiting:
        group, farther = waiting.pop()
        count = broken[group].size
        own = hyper._replace(rates=np.ascontiguousarray(hyper.rates[:, np.arange(broken.size)[group][0]]))
        training = MappedTraining(kernel, optimizer, linear, own, count)
        memory, lowest = runs.memory[group].copy(), runs.lowest[group].copy()
        losses = runs.losses[:, group]
        held_out_losses = runs.validation_losses[:, group] if held_out else np.zeros((0, count))
        no_trajectory = np.zeros((0, runs.params.shape[1]))
        training.record_in(losses, held_out_losses, lowest, no_trajectory, first)
        training.start(first, runs.params[group], memory)
        # Beside a map, that of many runs takes as long as so many updates.
        slowdown = 1 + count // 1000
        slices = train_in_slices(training.step, own.marks, first, samples=count_evaluated(data), slowdown=slowdown)
        for status, done, _seconds in slices:  # noqa: B007
            if stopped():
                return None
        if status == BROKEN:
            if farther is None and count >= FEWEST_TO_HALVE:
                waiting.append(_halve(runs.params, np.arange(broken.size)[group]))
                continue
            broken[group] = True
            if farther is not None:
                broken[farther] = True
            continue
        if farther is not None:
            waiting.append((farther, None))
        runs.params[group] = training.finish(memory)
        runs.memory[group], runs.lowest[group] = memory, lowest
        runs.status[group], runs.marks[group] = training.runs.status, training.runs.reached
        if isinstance(group, np.ndarray):
            runs.losses[:, group] = losses
            if held_out:
                runs.validation_losses[:, group] = held_out_losses
    return broken


def _halve(params: Floats, runs: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the half of some runs that starts with smaller parameters, and the other half."""
    order = np.argsort(np.abs(params[runs]).max(axis=1), kind="stable")
    return runs[order[: runs.size // 2]], runs[order[runs.size // 2 :]]


def _is_finite(data: LinearData) -> bool:
    """Return whether the model and its derivatives have values at all samples."""
    return bool(np.isfinite(data.factor).all() and np.isfinite(data.validation_factor).all())


def group_columns(rates: Floats) -> list[slice | NDArray[np.intp]]:
    """Return the places of columns that are equal, as slices where they are neighbours."""
    count = rates.shape[1]
    if rates.strides[1] == 0 or count == 1:
        return [slice(0, count)]
    starts = np.flatnonzero(np.concatenate([[True], (rates[:, 1:] != rates[:, :-1]).any(axis=0)]))
    stretches: dict[bytes, list[slice]] = {}
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        stretches.setdefault(rates[:, start].tobytes(), []).append(slice(int(start), int(stop)))
    return [
        alike[0] if len(alike) == 1 else np.concatenate([np.arange(one.start, one.stop) for one in alike])
        for alike in stretches.values()
    ]


def _allocate_maps(shape: Shape, optimizer: Optimizer, data: LinearData, hyper: Hyperparameters) -> Maps:
    """Return room for the maps of an epoch."""
    params, size = data.rows.shape[1] - 1, shape.size
    columns = params + 1 if hyper.batch_size == 1 else params * (params + 1)
    batches = -(-data.samples // hyper.batch_size)
    stride = PIECES * columns
    steps = min(-(-batches // PIECES), max(1, MOST_PACKED // stride))
    units = _zeros(2, shape.groups, size + 1 + len(optimizer.clock_start), shape.repeats * PIECES)
    for k in range(size + 1):
        group, column = divmod(k, shape.repeats)
        units[:, group, k, column * PIECES : (column + 1) * PIECES] = 1.0
    added, signs = _zeros(size, shape.columns), _zeros(size, PIECES)
    added[:, size + 2 :] = SIGNS[:size, : shape.columns - size - 2]
    signs[:, 1:] = SIGNS[:size, 1:PIECES]
    slots = 1 if hyper.shuffle else min(MOST_SLOTS, batches, hyper.marks.size)
    return Maps(
        _zeros(stride * (1 + steps)),
        np.full((2, 4), -1),
        np.empty(data.samples if hyper.shuffle else 0, np.int64),
        np.array([STARTS, -1, 0]),
        units,
        _zeros(shape.groups, size, shape.repeats * PIECES),
        _zeros(2, size, shape.columns),
        added,
        np.empty(size),
        signs.ravel(),
        np.array([_largest_curvature(data, hyper.batch_size)]),
        np.empty((slots, size, size + 4)),
        np.empty((slots, 3)),
    )


def _zeros(*shape: int) -> Floats:
    """Return zeros that begin with a cache line: on vectors that lie across two, a quarter of the time is lost."""
    size = math.prod(shape)
    room = np.zeros(size + PIECES)
    first = -room.__array_interface__["data"][0] % (8 * PIECES) // 8
    return room[first : first + size].reshape(shape)


def _largest_curvature(data: LinearData, batch_size: int) -> float:
    """Return the largest trace of mean x x^T over a batch of samples as they stand; shuffled ones are more alike."""
    norms = np.einsum("ij,ij->i", data.rows[:, :-1], data.rows[:, :-1])
    if batch_size == 1:
        return float(norms.max())
    starts = np.arange(0, norms.size, batch_size)
    sizes = np.diff(np.append(starts, norms.size))
    return float((np.add.reduceat(norms, starts) / sizes).max())
