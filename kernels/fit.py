"""fit(): one training run with any kernel."""

from __future__ import annotations  # so that `help` shows the names of types, not what they stand for

import time
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import reference
from kernels.agreement import KERNELS, SINGLE, check_dtype, check_kernel
from kernels.block_shuffle import BLOCK, BlockShuffle, describe_order, make_block_shuffle
from kernels.checks import check_bool, check_integer, check_seed, check_target
from kernels.classes import encode_classes, find_classes
from kernels.columns import Inputs
from kernels.fit_result import FitResult, whole_or_fraction
from kernels.loops import samples_per_epoch
from kernels.loss import Loss
from kernels.losses import make_loss
from kernels.marks import count_updates, make_marks, with_marks
from kernels.model import Model
from kernels.models import make_model
from kernels.optimizer import Optimizer
from kernels.optimizers import make_optimizer
from kernels.run import (
    CONVERGED,
    MAX_EPOCHS,
    NO_LOWEST,
    STATUS,
    Data,
    Floats,
    Hyperparameters,
    Record,
    allocate_scratch,
    count_evaluated,
    option_values,
)
from kernels.sample_stream import (
    ArrayStream,
    SampleStream,
    check_stream,
    check_streamed,
)
from kernels.samples import Samples, allocate_data, check_batch_size, check_samples, to_dtype
from kernels.schedules import learning_rates
from kernels.slices import REFERENCE_SLOWDOWN, train_in_slices
from kernels.specialize import ingredients_of, specialize
from kernels.stream_kernel import compile_stream_kernel
from kernels.stream_training import StreamTrainer, TrainPart
from kernels.validation import check_patience, hold_out, hold_out_besides

T = TypeVar("T", bound=np.generic)
Train = Callable[[Data, Hyperparameters, Record, int, int], tuple[int, int]]


def fit(
    model: Model | str,
    x: Inputs | SampleStream,
    y: ArrayLike | None = None,
    *,
    init: ArrayLike | Mapping[str, float] | None = None,
    lr: float = 0.1,
    schedule: str | Callable[[int], float] | ArrayLike | None = None,
    batch_size: int | str = 1,
    epochs: int = 100,
    shuffle: bool | str = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str | Optimizer = "sgd",
    loss: str | Loss = "squared",
    target: float | None = None,
    kernel: str = "fused",
    record: str | int = "epoch",
    validation: float | tuple[Inputs, ArrayLike] | None = None,
    test: float | tuple[Inputs, ArrayLike] | None = None,
    patience: int | None = None,
    dtype: str = "float64",
    callback: Callable[[FitResult], None] | None = None,
) -> FitResult:
    """Fit a model to data with stochastic gradient descent.

    With r = f(x; theta) - y, each update steps against the mean over a batch of dloss/dr * df/dtheta; for the squared
    loss that is the gradient of HALF the mean squared residual. Losses of the prediction f and the target y, such as
    ``"logistic"``, have dloss/df in its place.

    Parameters
    ----------
    model : Model or str
        A model, an expression in x, or the name of a ready-made model such as ``"polynomial(3)"``.
    x : array, shape (n,) or (n, inputs), or a table
        An array is taken by position. Of a table, which is a data frame or a mapping of names to columns, each input is
        the column of its name, whatever their order; other columns are left alone.
        None for a model without inputs, see `minimize`. A stream of samples, as `bench.data.open_table` returns it for
        Parquet and Arrow files, is read anew in each epoch, so that there may be more of them than memory holds; it has
        y too. The results are those of the same samples in arrays, bit for bit, where they are visited as they stand.
    y : array, shape (n,)
        0 and 1, or two labels of any kind, for the losses ``"logistic"`` and ``"hinge"``: of labels, such as texts,
        truth values or -1 and 1, the greater one is class 1, and `FitResult.classes` tells them. Counts for
        ``"poisson"``.
    init : array, shape (P,), or mapping of names to values, optional
        Where to start. Without it, standard normal draws of the seed.
    lr : float
        Learning rate, positive.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch: ``"halve(10)"``, a function of the epoch (from 0), or an array, shape (epochs,).
    batch_size : int or "full"
        Samples per update. 1 is per-sample SGD, "full" gradient descent.
    epochs : int
        How many passes over the data, at most.
    shuffle : bool or str
        Visit the samples in an order drawn anew for each epoch from (seed, epoch); else as they stand. ``"blocks"``
        shuffles the order of blocks of 8,192 samples, and then the samples of as many blocks as a buffer of 262,144
        holds; ``"blocks(size=1000, buffer=50000)"`` has other numbers. It is faster than a full shuffle from a million
        samples on, and needs no second copy of them: see `kernels.block_shuffle` for what it shuffles less well. The
        blocks of a stream are its own, such as the row groups of a file, and it cannot be shuffled in any other way.
        The loss is summed block by block then.
    seed : int
        Of the order, and of the start where `init` is not given.
    drop_last : bool
        Leave out the last batch of an epoch where it would be smaller.
    optimizer : str
        ``"sgd"``, ``"momentum(0.9)"``, ``"adam(beta1=0.9)"``, ...
    loss : str
        Of the residual: ``"squared"``, ``"huber(1.0)"``, ``"logcosh"``, ``"absolute"``, ``"quantile(0.9)"``,
        ``"cauchy(1.0)"``, ``"epsilon_insensitive(0.1)"``. Of prediction and target: ``"logistic"``, ``"hinge"``,
        ``"poisson"``.
    target : float, optional
        Stop at the first mark at which the loss that is recorded, over all samples that are trained on, is at or below
        this. The validation loss has no part in it.
    kernel : str
        ``"reference"``, ``"fused"`` (the same bits, compiled) or ``"fused-fma"`` (last bits differ).
    record : str or int
        The marks at which the loss and the parameters are recorded, 0 and the end of every epoch always among them:
        ``"epoch"``, these alone; ``"log"`` or ``"log:PER_DECADE"``, besides them marks evenly spaced in the logarithm
        of the samples seen, in the first epochs; or a number, besides them a mark after every so many updates. What is
        recorded does not change the parameters, but `target` and `patience` are looked at only at marks.
    validation : float or (x, y), optional
        Samples that are not trained on; the loss over them is recorded at the same marks. Either data
        besides x and y, or the share of x and y to hold out, between 0 and 1: ``round(validation * n)`` samples, which
        are the first of ``numpy.random.default_rng(0).permutation(n)``, after those for the `test`. That split depends
        on neither `seed` nor `kernel`, so that runs can be compared; all parts keep the order of the samples. What is
        fitted is as if the part that is left had been given alone.
    test : float or (x, y), optional
        Samples that have no part in the run, neither in training nor in what is kept: `FitResult.test_loss` is the loss
        on them. Data besides x and y, or a share of them: the first ``round(test * n)`` of that permutation.
    patience : int, optional
        Stop at the first mark that lies so many epochs or more after that of the lowest validation loss; the status is
        ``"stopped"`` then. However the run ends, `params` are those of the mark of the lowest validation loss, and all
        that is said of them (`kept`, `rmse`, `predict`, ...) too.
    dtype : str
        What is computed with: ``"float64"``, or ``"float32"`` with the kernels ``"reference"`` and ``"fused"``, which
        have the same bits there too; for models of + - * / sqrt, abs, max, min, where and whole powers. Samples, start
        and rates are rounded to float32, and all that is computed of them is, losses included; options and clocks of
        optimizers are numbers of double precision that are rounded where they meet the others, as in PyTorch. `params`,
        `loss` and `trajectory` are arrays of float64 that hold numbers of float32.
    callback : callable, optional
        Called with the result so far about twenty times a second. Until the run ends, `loss`, `trajectory` and `rates`
        of that result cannot be written to.

    Returns
    -------
    FitResult
        A run that diverged is a result too.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    """
    model = model if isinstance(model, Model) else make_model(model)
    loss, optimizer = make_loss(loss), make_optimizer(optimizer)
    blocks = make_block_shuffle(shuffle) if isinstance(shuffle, str) else None
    classes = None if isinstance(x, SampleStream) or y is None else find_classes(loss, y)
    y, validation, test = encode_classes(classes, y, validation, test)
    (columns, targets), held_out, for_test, stream = _prepare(model, loss, x, y, validation, test, blocks)
    n = targets.size if stream is None else stream.samples
    epochs = check_integer("epochs", epochs)
    seed = check_seed(seed)
    rates = learning_rates(schedule, lr, epochs)
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    size, drop_last = check_batch_size(batch_size, n), check_bool("drop_last", drop_last)
    if stream is not None:
        check_streamed(kernel, dtype, record, size, shuffle)
    marks = make_marks(record, n, size, epochs, drop_last=drop_last)
    hyper = Hyperparameters(
        rates,
        option_values(loss, optimizer),
        size,
        drop_last,
        not isinstance(shuffle, str) and check_bool("shuffle", shuffle),
        seed,
        check_target(target, nonnegative=loss.nonnegative),
        marks,
        check_patience(patience, validation),
    )
    shape = marks.size, len(model.params)
    start = draw_start(model, seed) if init is None else model.vector(init, "init")
    kept = Record(
        np.empty(shape[0]),
        np.empty(shape),
        optimizer.initial_memory(start),
        np.empty(shape[0] if held_out else 0),
        np.array(NO_LOWEST),
    )
    kept.trajectory[0] = to_dtype("init", start, dtype)
    if stream is not None:
        asked = time.perf_counter()
        train_part = part_trainer(kernel, model, loss, optimizer)
        compile_seconds = time.perf_counter() - asked
        steps = StreamTrainer(train_part, stream, loss, hyper, blocks, held_out, checked=stream is not x).train(kept)
    else:
        data = allocate_data(columns, targets, shuffle=hyper.shuffle, validation=held_out, dtype=dtype)
        asked = time.perf_counter()
        train = trainer(kernel, model, loss, optimizer, dtype)
        compile_seconds = time.perf_counter() - asked
        slowdown = REFERENCE_SLOWDOWN if kernel == "reference" else 1
        legs = partial(train, data, hyper, kept)
        steps = train_in_slices(legs, marks, samples=count_evaluated(data), slowdown=slowdown)

    seconds = 0.0
    keeps_lowest = np.isfinite(hyper.patience)
    updates = count_updates(marks, n, size, drop_last=drop_last)
    per_epoch = samples_per_epoch(n, size, drop_last)
    order = describe_order(blocks or hyper.shuffle, () if stream is None else stream.blocks)
    for status, done, spent in steps:
        seconds += spent
        # The run goes on with these arrays. After millions of epochs a copy would take longer than the training between
        # two callbacks.
        protect = _read_only if status == MAX_EPOCHS and done < marks.size - 1 else np.copy
        seen = int(marks[done])
        mark = int(np.searchsorted(marks, kept.lowest[1])) if keeps_lowest else done
        result = FitResult(
            model=model,
            params=kept.trajectory[mark].copy(),
            loss=protect(kept.losses[: done + 1]),
            trajectory=protect(kept.trajectory[: done + 1]),
            rates=protect(rates[: -(-seen // per_epoch)]),
            status=STATUS[status],
            epochs=seen // per_epoch,
            epochs_to_target=whole_or_fraction(seen, per_epoch) if status == CONVERGED else None,
            seconds=seconds,
            compile_seconds=compile_seconds,
            samples_seen=protect(marks[: done + 1]),
            updates=protect(updates[: done + 1]),
            samples_per_epoch=per_epoch,
            criterion=loss,
            x=columns,
            y=targets,
            validation_loss=protect(kept.validation_losses[: done + 1]) if held_out else None,
            validation=held_out,
            test=for_test,
            memory=kept.memory.copy(),
            dtype=dtype,
            order=order,
            stream=x if isinstance(x, SampleStream) else None,
            kept_mark=mark,
            classes=classes,
        )
        if callback:
            callback(result)
    return result


def _prepare(
    model: Model,
    loss: Loss,
    x: Inputs | SampleStream,
    y: ArrayLike | None,
    validation: float | tuple[Inputs, ArrayLike] | None,
    test: float | tuple[Inputs, ArrayLike] | None,
    blocks: BlockShuffle | None,
) -> tuple[Samples, Samples | None, Samples | None, SampleStream | None]:
    """Return x and y, what is held out, and a stream where the samples do not go into the kernel as they stand."""
    if isinstance(x, SampleStream):
        stream = check_stream(model, x, y, blocks)
        held = hold_out_besides(model, loss, validation), hold_out_besides(model, loss, test, "test")
        return ((), np.empty(0)), *held, stream
    if y is None:
        hint = "; bench.data.open_table makes one of a file" if isinstance(x, str | PathLike) else ""
        raise ValueError(f"y must be given, but with a stream of samples as x, which has it{hint}")
    split = hold_out(model, loss, *check_samples(model, x, y), validation, test)
    return *split, ArrayStream(*split.train, blocks.size or BLOCK) if blocks else None


def _read_only(view: NDArray[T]) -> NDArray[T]:
    """Return the view, closed to writing."""
    view.flags.writeable = False
    return view


def trainer(kernel: str, model: Model, loss: Loss, optimizer: Optimizer, dtype: str = "float64") -> Train:
    """Return the function that trains one run with a kernel, compiled where it has to be.

    Raises
    ------
    ValueError
        For an unknown kernel, one that trains several runs side by side, or one that has no float32 for these.
    """
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    if kernel == "reference":
        return lambda data, hyper, record, first, last: reference.train(
            model.program, loss, optimizer, data, with_marks(hyper, data.y.size), record, first, last
        )
    compiled = specialize(model.program, loss, optimizer, fma=KERNELS[kernel].fma, dtype=dtype).train
    sums = allocate_scratch(len(model.params))
    return lambda data, hyper, record, first, last: compiled(
        data, with_marks(hyper, data.y.size), record, sums, first, last
    )


def part_trainer(kernel: str, model: Model, loss: Loss, optimizer: Optimizer) -> TrainPart:
    """Return the function that trains a part of an epoch with a kernel, compiled where it has to be."""
    if kernel == "reference":
        return partial(reference.train_part, model.program, loss, optimizer)
    compiled = compile_stream_kernel(ingredients_of(model.program, loss, optimizer, fma=KERNELS[kernel].fma)).train
    sums = allocate_scratch(len(model.params))
    return lambda samples, run, work: compiled(samples, run, work, sums)


def draw_start(model: Model, seed: int) -> Floats:
    """Return standard normal draws of the seed, one per parameter."""
    return np.random.default_rng(seed).standard_normal(len(model.params))
