"""Training on a stream: each pass evaluates the loss at the last mark and trains the next epoch, so that it reads once.

In memory a run would read its samples twice, for the loss and for the updates. Here the updates of an epoch come before
it is known whether the run was over at the mark before them. Where it was, they are forgotten.

Samples that are visited as they stand give the bits of `kernels.fit` on arrays, whatever the parts that they are read
in: the parts of the sum of losses are those of NumPy's pairwise sum, and batches go on from one part to the next.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain

import numpy as np

from kernels.block_shuffle import FIRST_BUFFER, BlockShuffle, buffers, draw_key
from kernels.checks import describe_row
from kernels.loops import samples_per_epoch, status_by_validation, status_of
from kernels.loss import Loss
from kernels.run import MAX_EPOCHS, Floats, Hyperparameters, Record
from kernels.sample_stream import ArrayStream, SampleStream, checked_parts, read_ahead
from kernels.samples import Samples, find_non_finite
from kernels.slices import SLICE_SECONDS
from kernels.stream_part import AT_MARK, NOW, Part, PartTask, StreamState

# Samples that are evaluated and trained at a time: few enough for the second cache.
WINDOW = 2**16

TrainPart = Callable[[Part, StreamState, PartTask], object]


class StreamTrainer:
    """One run on the samples of a stream.

    Parameters
    ----------
    train_part : callable
        Does a `PartTask` on a part; compiled, or that of the reference.
    stream : SampleStream
    loss : Loss
        It says which targets are accepted.
    hyper : Hyperparameters
        The marks are the ends of epochs.
    shuffle : BlockShuffle or None
        The order, where the samples are not visited as they stand.
    held_out : tuple or None
        Samples that are not trained on.
    checked : bool
        Whether the values of the samples were looked at before.
    first_epoch : int
        The number of the epoch that follows on the first mark.
    """

    def __init__(
        self,
        train_part: TrainPart,
        stream: SampleStream,
        loss: Loss,
        hyper: Hyperparameters,
        shuffle: BlockShuffle | None,
        held_out: Samples | None,
        *,
        checked: bool,
        first_epoch: int = 0,
    ) -> None:
        self.first_epoch = first_epoch
        self.train_part, self.stream, self.loss, self.hyper = train_part, stream, loss, hyper
        self.shuffle, self.checked = shuffle, checked
        # Copies, as a kernel takes arrays that it may shuffle.
        self.held_out = held_out and (tuple(map(np.array, held_out[0])), np.array(held_out[1]))
        largest = WINDOW if shuffle is None else max(shuffle.buffer, *stream.blocks)
        self.begins = np.cumsum(stream.blocks) - stream.blocks
        self.window = _Window(stream.inputs, min(largest, stream.samples) + hyper.batch_size)

    def train(self, record: Record) -> Iterator[tuple[int, int, float]]:
        """Train to the last mark, or until the run is over.

        Yields
        ------
        (status, mark reached, seconds since the last), as `kernels.slices.train_in_slices`
        """
        hyper = self.hyper
        last = hyper.marks.size - 1
        per_epoch = samples_per_epoch(self.stream.samples, hyper.batch_size, hyper.drop_last)
        run = StreamState(np.tile(record.trajectory[0], (2, 1)), record.memory.copy(), np.zeros(1))
        started = time.perf_counter()
        for done in range(last + 1):
            run.params[AT_MARK] = record.trajectory[done] = run.params[NOW]
            record.memory[:] = run.memory
            if self.held_out:
                record.validation_losses[done] = self._evaluate(run, *self.held_out)
            one_pass = self._pass_as_they_stand if self.shuffle is None else self._pass_over_blocks
            record.losses[done] = one_pass(run, self.first_epoch + done, train=done < last) / self.stream.samples
            finite = bool(np.isfinite(record.trajectory[done]).all())
            status = status_of(record.losses[done], finite, hyper.target)
            if self.held_out:
                found = record.validation_losses[done], record.lowest, hyper.marks[done], hyper.patience * per_epoch
                status = status_by_validation(status, *found)
            seconds = time.perf_counter() - started
            if status == MAX_EPOCHS and done < last and seconds < SLICE_SECONDS:
                continue
            yield status, done, seconds
            if status != MAX_EPOCHS:
                return
            started = time.perf_counter()

    def _evaluate(self, run: StreamState, x: tuple[Floats, ...], y: Floats) -> float:
        """Return the mean loss over samples at the last mark."""
        self.train_part(Part(x, y), run, self._task(0, evaluated=y.size))
        return float(run.total[0] / y.size)

    def _pass_as_they_stand(self, run: StreamState, epoch: int, *, train: bool) -> float:
        """Return the sum of the losses at the last mark; train an epoch."""
        window, left = self.window, self.stream.samples
        window.clear()
        sums = []
        # Closed at once, whatever ends it: a traceback that somebody keeps would keep the thread and the file.
        checked = checked_parts(self.stream, self.stream.parts(), self.stream.samples)
        with closing(self._read(checked, epoch)) as parts:
            for pieces in _split(parts, pairwise_parts(self.stream.samples)):
                first = window.filled
                for piece in pieces:
                    window.append(piece)
                left -= window.filled - first
                trained = self._trainable(left) if train else 0
                task = self._task(epoch, first=first, evaluated=window.filled - first, trained=trained)
                self.train_part(window.part(), run, task)
                sums.append(float(run.total[0]))
                window.drop(trained if train else window.filled)
        return add_pairwise(self.stream.samples, iter(sums))

    def _pass_over_blocks(self, run: StreamState, epoch: int, *, train: bool) -> float:
        """Do the same with the blocks in the order of the epoch; their losses are summed block by block."""
        assert self.shuffle is not None  # noqa: S101 (what brought us here)
        window, left, blocks = self.window, self.stream.samples, self.stream.blocks
        window.clear()
        sums = np.zeros(len(blocks))
        groups = buffers(blocks, self.shuffle.buffer, self.hyper.seed, epoch)
        order = list(chain.from_iterable(groups))
        with closing(self._read(self._read_blocks(order), epoch, order)) as parts:
            for number, group in enumerate(groups):
                begin = window.filled
                for block in group:
                    first = window.filled
                    while window.filled < first + blocks[block]:
                        window.append(next(parts))
                    if blocks[block]:
                        self.train_part(window.part(), run, self._task(epoch, first=first, evaluated=blocks[block]))
                        sums[block] = run.total[0]
                count = window.filled - begin
                left -= count
                if not train:
                    window.clear()
                    continue
                trained, key = self._trainable(left), draw_key(epoch, FIRST_BUFFER + number)
                task = self._task(epoch, first=begin, shuffled=count, key=key, trained=trained)
                self.train_part(window.part(), run, task)
                window.drop(trained)
        return float(np.add.reduce(sums))

    def _read_blocks(self, order: Sequence[int]) -> Generator[Samples, None, None]:
        """Yield the parts of blocks."""
        for block in order:
            yield from checked_parts(self.stream, self.stream.read(block), self.stream.blocks[block])

    def _read(
        self, reading: Generator[Samples, None, None], epoch: int, order: Sequence[int] = ()
    ) -> Generator[Samples, None, None]:
        """Yield the parts of a pass, whose values are looked at in the first one.

        They are read ahead where there is anything to wait for: views of arrays are there at once.

        Parameters
        ----------
        reading : generator
            Of the parts, checked.
        epoch : int
        order : sequence of int
            The blocks that they are of; none where the samples stand as they are.
        """
        stream = self.stream
        if not isinstance(stream, ArrayStream):
            reading = read_ahead(reading)
        # The rows in the order in which they are read, to be named.
        begins = [int(self.begins[block]) for block in order] or [0]
        sizes = [stream.blocks[block] for block in order] or [stream.samples]
        place = done = 0
        with closing(reading):
            for x, y in reading:
                while done == sizes[place]:
                    place, done = place + 1, 0
                if epoch == 0 and not self.checked:
                    self._check(x, y, begins[place] + done)
                done += y.size
                yield x, y

    def _check(self, x: tuple[Floats, ...], y: Floats, first: int) -> None:
        """Refuse values that are not finite, and targets that the loss is not defined for, with their row."""
        describe = getattr(self.stream, "describe_row", describe_row)
        for name, column in zip((*(f"input {k}" for k in range(1, len(x) + 1)), "y"), (*x, y), strict=True):
            row = find_non_finite(column)
            if row is not None:
                raise ValueError(f"{name} must be finite, and is {column[row]} in {describe(first + row)}")
        self.loss.check_targets(y, first=first, describe_row=describe)

    def _trainable(self, left: int) -> int:
        """Return how many samples of the window are whole batches, or the end of an epoch that keeps it."""
        filled, size = self.window.filled, self.hyper.batch_size
        return filled if left == 0 and not self.hyper.drop_last else filled - filled % size

    def _task(
        self,
        epoch: int,
        *,
        first: int = 0,
        evaluated: int = 0,
        shuffled: int = 0,
        key: int = 0,
        trained: int = 0,
    ) -> PartTask:
        hyper = self.hyper
        lr = float(hyper.rates[min(epoch, len(hyper.rates) - 1)])
        return PartTask(hyper.settings, lr, hyper.batch_size, first, evaluated, shuffled, hyper.seed, key, trained)


class _Window:
    """The samples that are worked on: what a batch still waits for, and what was read last."""

    def __init__(self, inputs: int, capacity: int) -> None:
        self.columns = [np.empty(capacity) for _ in range(inputs + 1)]
        self.filled = 0

    def clear(self) -> None:
        self.filled = 0

    def append(self, samples: Samples) -> None:
        x, y = samples
        stop = self.filled + y.size
        for column, values in zip(self.columns, (*x, y), strict=True):
            column[self.filled : stop] = values
        self.filled = stop

    def drop(self, count: int) -> None:
        """Forget the first so many samples."""
        for column in self.columns:
            column[: self.filled - count] = column[count : self.filled]
        self.filled -= count

    def part(self) -> Part:
        *x, y = self.columns
        return Part(tuple(x), y)


def pairwise_parts(n: int) -> Iterator[int]:
    """Yield the sizes of parts, in their order, at which NumPy's pairwise sum of n numbers can be cut.

    It halves a sum until 128 numbers are left, the first half rounded down to a multiple of 8. Here it stops at
    `WINDOW` of them.
    """
    if n <= WINDOW:
        yield n
        return
    half = n // 2
    half -= half % 8
    yield from pairwise_parts(half)
    yield from pairwise_parts(n - half)


def add_pairwise(n: int, sums: Iterator[float]) -> float:
    """Return the sum of n numbers from the sums of the parts of `pairwise_parts`."""
    if n <= WINDOW:
        return next(sums)
    half = n // 2
    half -= half % 8
    left = add_pairwise(half, sums)
    return left + add_pairwise(n - half, sums)


def _split(parts: Iterator[Samples], sizes: Iterator[int]) -> Iterator[list[Samples]]:
    """Yield, for each of the sizes, pieces of the parts that are so many samples together."""
    x: tuple[Floats, ...] = ()
    y = np.empty(0)
    place = 0
    for size in sizes:
        pieces: list[Samples] = []
        missing = size
        while missing > 0:
            if place == y.size:
                (x, y), place = next(parts), 0
            stop = min(place + missing, y.size)
            pieces.append((tuple(column[place:stop] for column in x), y[place:stop]))
            missing, place = missing - (stop - place), stop
        yield pieces
    next(parts, None)  # if there are more, that is said
