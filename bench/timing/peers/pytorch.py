"""PyTorch: eager, with gradients by hand; run after run, or many runs as arrays.

Parameters are one tensor, (P,) for one run and (P, R) for many. The residual of a linear model is a product with its
design matrix; that of any other model is computed step by step.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import fx

from bench.timing.peers.arrays import residual_and_derivatives
from bench.timing.problem import Problem, Trained
from kernels import Model
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer

# Residuals that are computed at a time after an epoch: as many as the processor's cache holds.
PIECE = 2**15
# Options that torch takes as a pair.
PAIRS = {"betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"), "step_sizes": ("step_min", "step_max")}
# Faster for few parameters.
FUSED = ("adam", "adamw")

Batch = tuple[Any, ...]


class Form(NamedTuple):
    """One way to compute gradients.

    Attributes
    ----------
    batches : sequence of tuple
        The samples of each update.
    adding : callable
        ``(target) -> add``, and ``add(scale, *batch)`` adds to the target `scale` times the sum of the gradients.
    pieces : sequence of tuple
        The data set in parts of a size that is good for arrays.
    residuals : callable
        ``(*piece) -> residuals``, whose first axis is that of the samples.
    """

    batches: Sequence[Batch]
    adding: Callable[[Any], Callable[..., None]]
    pieces: Sequence[Batch]
    residuals: Callable[..., Any]


def prepare(problem: Problem) -> Callable[[], Trained]:
    """Return a call that trains run after run: plain SGD in place, any other optimizer by torch.optim.

    A sample takes 2 microseconds in place and 10 with torch.optim.SGD; autograd on top of that makes it 50.
    """
    theta = torch.empty(len(problem.model.params), dtype=torch.float64)
    form = _form(problem, theta)
    optimizer = make_optimizer(problem.optimizer)

    def run() -> Trained:
        params, losses = [], []
        with _one_thread(), torch.inference_mode():
            for init, rates in zip(problem.inits, problem.rates.T, strict=True):
                theta.copy_(torch.from_numpy(init))
                epoch = partial(_descend, form, theta, problem.batch_size)
                if optimizer.text != "sgd":
                    epoch = partial(_optimize, form, theta, problem.batch_size, _make_torch_optimizer(optimizer, theta))
                losses.append(_losses(form, problem, epoch, rates.tolist()))
                params.append(theta.numpy().copy())
            return Trained(np.array(params), torch.tensor(losses).T.numpy())

    return run


def prepare_many(problem: Problem) -> Callable[[], Trained]:
    """Return a call that trains all runs as arrays, with gradients by hand."""
    start, rates = torch.tensor(problem.inits.T.copy()), torch.tensor(problem.rates)
    theta = torch.empty_like(start)
    form = _form(problem, theta)
    epoch = partial(_descend, form, theta, problem.batch_size)

    def run() -> Trained:
        with _one_thread(), torch.inference_mode():
            theta.copy_(start)
            losses = _losses(form, problem, epoch, rates)
            return Trained(theta.T.numpy(), torch.stack(losses).numpy())

    return run


def _descend(form: Form, theta: Any, size: int, lr: Any) -> None:
    """Train an epoch with plain SGD."""
    add, scale = form.adding(theta), -lr / size
    for batch in form.batches:
        add(scale, *batch)


def _optimize(form: Form, theta: Any, size: int, optimizer: Any, lr: float) -> None:
    """Train an epoch with an optimizer of torch.optim."""
    optimizer.param_groups[0]["lr"] = lr
    add, scale = form.adding(theta.grad), 1 / size
    for batch in form.batches:
        theta.grad.zero_()
        add(scale, *batch)
        optimizer.step()


def _losses(form: Form, problem: Problem, epoch: Callable[[Any], None], rates: Any) -> list[Any]:
    """Train, and return the mean squared residuals before the first epoch and after each."""

    def mean_square() -> Any:
        return sum(form.residuals(*piece).square_().sum(0) for piece in form.pieces) / problem.y.size

    losses = [mean_square()]
    for lr in rates:
        epoch(lr)
        losses.append(mean_square())
    return losses


def _make_torch_optimizer(optimizer: Optimizer, theta: Any) -> Any:
    """Return the optimizer of torch.optim with the same options."""
    given: dict[str, Any] = optimizer.options | dict.fromkeys(optimizer.flags, True)
    if optimizer.weight_decay:
        given["weight_decay"] = optimizer.weight_decay
    for name, (first, second) in PAIRS.items():
        if first in given:
            given[name] = given.pop(first), given.pop(second)
    name = optimizer.name
    if name == "nesterov":
        given["nesterov"] = given["momentum"] > 0
    given |= {"fused": True} if name in FUSED else {"foreach": False}
    theta.grad = torch.zeros_like(theta)
    kinds = {name.lower(): kind for name, kind in vars(torch.optim).items()}
    return kinds["sgd" if name in ("momentum", "nesterov") else name]([theta], **given)


def _form(problem: Problem, theta: Any) -> Form:
    return (_linear if problem.model.is_linear else _stepwise)(problem, theta)


def _linear(problem: Problem, theta: Any) -> Form:
    """Return the form with the design matrix."""
    matrix, targets = (torch.tensor(array) for array in problem.linear_system())
    many = theta.ndim == 2
    if many:
        targets = targets[:, None]

    def adding(target: Any) -> Callable[..., None]:
        def add(scale: float, rows: Any, columns: Any, wanted: Any) -> None:
            target.addmv_(columns, torch.mv(rows, theta).sub_(wanted), alpha=scale)

        def add_many(scale: Any, rows: Any, columns: Any, wanted: Any) -> None:
            target.addmm_(columns, torch.mm(rows, theta).sub_(wanted).mul_(scale))

        return add_many if many else add

    def parts(size: int) -> list[Batch]:
        return list(zip(matrix.split(size), targets.split(size), strict=True))

    batches = [(rows, rows.T, wanted) for rows, wanted in parts(problem.batch_size)]
    whole = problem.y.size // problem.batch_size
    return Form(batches[:whole], adding, parts(_chunk_size(theta)), lambda rows, wanted: (rows @ theta).sub_(wanted))


def _stepwise(problem: Problem, theta: Any) -> Form:
    """Return the form by the model's program."""
    by_hand, parts = _by_hand(problem.model), theta.unbind()
    many, summed = theta.ndim == 2, problem.batch_size > 1

    def adding(target: Any) -> Callable[..., None]:
        rows = target.unbind()

        def add(scale: Any, *columns: Any) -> None:
            *x, y = columns
            residual, derivatives = by_hand(parts, x, y)
            slope = residual * scale
            for row, derivative in zip(rows, derivatives, strict=True):
                if summed:
                    row.add_((slope * derivative).sum(0))
                elif isinstance(derivative, float):
                    row.add_(slope, alpha=derivative)
                else:
                    row.addcmul_(slope, derivative)

        return add

    def residuals(*columns: Any) -> Any:
        *x, y = columns
        return by_hand(parts, x, y)[0]

    return Form(_batches(problem, many=many), adding, list(_columns(problem, _chunk_size(theta), many=many)), residuals)


def _chunk_size(theta: Any) -> int:
    """Return how many samples make a piece of the data."""
    return max(1, PIECE // int(theta[0].numel()))


class _Functions:
    """The functions of torch, which take numbers too; some of torch's own take tensors only."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(torch, name)

        def call(*operands: Any) -> Any:
            return function(
                *(torch.tensor(one, dtype=torch.float64) if isinstance(one, float) else one for one in operands)
            )

        return call


def _by_hand(model: Model) -> Callable[..., tuple[Any, Sequence[Any]]]:
    """Return `residual_and_derivatives` as a function of parameters, inputs and y, written out by torch.fx."""

    def walk(theta: Any, x: Any, y: Any) -> Any:
        parts, inputs = (
            [many[k] for k in range(len(names))] for many, names in ((theta, model.params), (x, model.inputs))
        )
        return residual_and_derivatives(model.formula, _Functions(), parts, inputs, y)

    return fx.symbolic_trace(walk).forward  # type: ignore[no-any-return]


def _batches(problem: Problem, *, many: bool = False) -> list[Batch]:
    """Return the columns of each update's samples: scalars, or vectors, with a further axis for many runs."""
    if problem.batch_size == 1:
        return [tuple(column[0] for column in sample) for sample in _columns(problem, 1)]
    return list(_columns(problem, problem.batch_size, many=many))[: problem.y.size // problem.batch_size]


def _columns(problem: Problem, size: int, *, many: bool = False) -> Iterator[Batch]:
    """Return the inputs and y, that many samples at a time."""
    columns = [torch.tensor(column) for column in (*problem.x, problem.y)]
    if many:
        columns = [column[:, None] for column in columns]
    return zip(*(column.split(size) for column in columns), strict=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train in one thread, where the numbers that belong to no parameter are of 64 bits too."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
