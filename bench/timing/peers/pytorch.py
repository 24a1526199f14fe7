"""PyTorch: eager, with gradients computed explicitly; run after run, or many runs as arrays.

Parameters are one tensor, (P,) for one run and (P, R) for many. The residual of a linear model is a product with its
design matrix; any other model is computed step by step, or layer by layer if it has vectors: then there is a tensor per
symbol, (R, units, size).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import fx

from sgdbench.kernels import Model
from sgdbench.kernels.model.network import SCALAR_SOURCE, Network
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.timing.peers.arrays import (
    Loss,
    layered_network,
    network_symbols,
    residual_and_derivatives,
    run_layers,
    share_out,
    split_params,
)
from sgdbench.timing.problem import Problem, Trained

# The number of residuals computed at a time after an epoch, which fit into the processor's cache.
RESIDUALS_AT_A_TIME = 2**15
# Options that torch takes as a pair.
PAIRED_OPTIONS = {"betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"), "step_sizes": ("step_min", "step_max")}
# Optimizers with a fused implementation, which is faster for few parameters.
FUSED_OPTIMIZERS = ("adam", "adamw")

Batch = tuple[Any, ...]


class Form(NamedTuple):
    """One way to compute gradients.

    `batches` are the samples of each update, and `pieces` the data set in parts of a size suitable for arrays.
    ``adding(targets)`` returns ``add``, and ``add(scale, *batch)`` adds `scale` times the sum of the gradients to the
    targets. ``losses(*piece)`` are the recorded losses; their first axis is that of the samples.
    """

    batches: Sequence[Batch]
    adding: Callable[[Any], Callable[..., None]]
    pieces: Sequence[Batch]
    losses: Callable[..., Any]


def _softmax_slope(scores: Any, ones: Any, scale: Any) -> Any:
    """Return the slopes for scores and the one of each sample's class; the classes are the last axis but one."""
    powers = (scores - scores.amax(-2, keepdim=True)).exp_()
    return powers.mul_(scale / powers.sum(-2, keepdim=True)).addcmul_(ones, torch.as_tensor(scale), value=-1)


LOSSES = {
    "squared": Loss(lambda residual, _, scale: residual * scale, lambda residual, _: residual.square()),
    "logistic": Loss(
        lambda found, y, scale: found.sigmoid().sub_(y).mul_(scale),
        lambda found, y: torch.logaddexp(found, torch.zeros_like(found)).sub_(y * found),
    ),
    "softmax": Loss(
        _softmax_slope, lambda scores, ones: scores.logsumexp(-2, keepdim=True) - (scores * ones).sum(-2, keepdim=True)
    ),
}


def prepare(problem: Problem, *, together: bool = False) -> Callable[[], Trained]:
    """Return a call that trains run after run, or all as arrays: plain SGD in place, other optimizers by torch.optim.

    A sample takes 2 microseconds in place and 10 with torch.optim.SGD; autograd in addition would make it 50.
    """
    shares, network = share_out(problem, together=together), layered_network(problem)

    def split(params: Any) -> list[Any]:
        if network is not None:
            return split_params(network, params)
        return [params.T if together else params[0]]

    forms: dict[int, tuple[list[Any], Form]] = {}
    for part in map(problem.inits.__getitem__, shares[-2:]):  # all but the last are of one size
        # torch.tensor keeps the strides of a transposed array, with which products took twice as long.
        theta = [torch.tensor(np.ascontiguousarray(own)) for own in split(part)]
        forms[len(part)] = theta, _form(problem, theta)
    optimizer = make_optimizer(problem.optimizer)

    def run() -> Trained:
        params, losses = np.empty(problem.inits.shape), []
        with _one_thread(), torch.inference_mode():
            for share in shares:
                theta, form = forms[len(problem.inits[share])]
                for own, part in zip(theta, split(problem.inits[share]), strict=True):
                    own.copy_(torch.tensor(part))
                epoch = partial(_descend, form, theta, problem.batch_size)
                if optimizer.text != "sgd":
                    its = _make_torch_optimizer(optimizer, problem.model, theta)
                    epoch = partial(_optimize, form, theta, problem.batch_size, its)
                rates = torch.tensor(problem.rates[:, share]) if together else problem.rates[:, share.start].tolist()
                if together and network is not None:
                    rates = rates[..., None, None]
                losses.append(_losses(form, problem, epoch, rates).reshape(problem.epochs + 1, -1))
                for own, part in zip(split(params[share]), theta, strict=True):
                    own[...] = part
        return Trained(params, torch.cat(losses, 1).numpy())

    return run


def _descend(form: Form, theta: Sequence[Any], size: int, lr: Any) -> None:
    """Train an epoch with plain SGD."""
    add, scale = form.adding(theta), -lr / size
    for batch in form.batches:
        add(scale, *batch)


def _optimize(form: Form, theta: Sequence[Any], size: int, optimizer: Any, lr: float) -> None:
    """Train an epoch with an optimizer of torch.optim."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    gradients = [part.grad for part in theta]
    add, scale = form.adding(gradients), 1 / size
    for batch in form.batches:
        for gradient in gradients:
            gradient.zero_()
        add(scale, *batch)
        optimizer.step()


def _losses(form: Form, problem: Problem, epoch: Callable[[Any], None], rates: Any) -> Any:
    """Train, and return the recorded losses before the first epoch and after each, on the first axis."""

    def mean_loss() -> Any:
        return sum(form.losses(*piece).sum(0) for piece in form.pieces) / problem.y.size

    losses = [mean_loss()]
    for lr in rates:
        epoch(lr)
        losses.append(mean_loss())
    return torch.stack(losses)


def _make_torch_optimizer(optimizer: Optimizer, model: Model, theta: Sequence[Any]) -> Any:
    """Return the optimizer of torch.optim with the same options; scalars of models with vectors do not decay."""
    options: dict[str, Any] = optimizer.options | dict.fromkeys(optimizer.flags, True)
    if optimizer.weight_decay:
        options["weight_decay"] = optimizer.weight_decay
    for name, (first, second) in PAIRED_OPTIONS.items():
        if first in options:
            options[name] = options.pop(first), options.pop(second)
    name = optimizer.name
    if name == "nesterov":
        options["nesterov"] = options["momentum"] > 0
    options |= {"fused": True} if name in FUSED_OPTIMIZERS else {"foreach": False}
    for part in theta:
        part.grad = torch.zeros_like(part)
    groups: list[Any] = [*theta]
    if model.network is not None and options.get("weight_decay"):
        groups = [{"params": []}, {"params": [], "weight_decay": 0.0}]
        for (symbol, _), part in zip(network_symbols(model.network), theta, strict=True):
            groups[symbol.source == SCALAR_SOURCE]["params"].append(part)
    kinds = {name.lower(): kind for name, kind in vars(torch.optim).items()}
    return kinds["sgd" if name in ("momentum", "nesterov") else name](groups, **options)


def _form(problem: Problem, theta: Sequence[Any]) -> Form:
    if (network := layered_network(problem)) is not None:
        return _layered(problem, network, theta)
    return (_linear if problem.model.is_linear and problem.loss == "squared" else _stepwise)(problem, theta[0])


def _layered(problem: Problem, network: Network, theta: Sequence[Any]) -> Form:
    """Return the form of a model with vectors."""
    loss, functions = LOSSES[problem.loss], _Functions()
    rows, y = torch.tensor(np.stack(problem.x, axis=1)), torch.tensor(problem.y)
    if problem.loss == "softmax":
        y = torch.nn.functional.one_hot(y.long(), problem.model.classes).double().mT

    def run(columns: Any, y: Any) -> tuple[Any, Callable[[Any], Any]]:
        return run_layers(network, functions, theta, columns, y if problem.loss == "squared" else 0.0)

    def adding(targets: Sequence[Any]) -> Callable[..., None]:
        def add(scale: Any, columns: Any, y: Any) -> None:
            scores, go_back = run(columns, y)
            terms = go_back(loss.slope(scores, y, scale))
            for target, (slopes, source) in zip(targets, terms, strict=True):
                if source is None:
                    target.add_(slopes.sum(-1, keepdim=True))
                elif source.ndim == 2:
                    target.flatten(0, 1).addmm_(slopes.flatten(0, 1), source.mT)
                else:
                    target.baddbmm_(slopes, source.mT)

        return add

    def losses(columns: Any, y: Any) -> Any:
        return loss.value(run(columns, y)[0], y)[:, 0].mT

    def parts(size: int) -> list[Batch]:
        pairs = zip(rows.split(size), y.split(size, -1), strict=True)
        return [(part.mT, y.contiguous()) for part, y in pairs]

    whole = problem.y.size // problem.batch_size
    most = max(part.shape[0] * part.shape[1] for part in theta)
    return Form(parts(problem.batch_size)[:whole], adding, parts(max(32, RESIDUALS_AT_A_TIME // most)), losses)


def _linear(problem: Problem, theta: Any) -> Form:
    """Return the form with the design matrix."""
    matrix, targets = (torch.tensor(array) for array in problem.linear_system())
    many = theta.ndim == 2
    if many:
        targets = targets[:, None]

    def adding(targets: Sequence[Any]) -> Callable[..., None]:
        (target,) = targets

        def add(scale: float, rows: Any, columns: Any, y: Any) -> None:
            target.addmv_(columns, torch.mv(rows, theta).sub_(y), alpha=scale)

        def add_many(scale: Any, rows: Any, columns: Any, y: Any) -> None:
            target.addmm_(columns, torch.mm(rows, theta).sub_(y).mul_(scale))

        return add_many if many else add

    def parts(size: int) -> list[Batch]:
        return list(zip(matrix.split(size), targets.split(size), strict=True))

    batches = [(rows, rows.T, y) for rows, y in parts(problem.batch_size)]
    whole = problem.y.size // problem.batch_size

    def losses(rows: Any, columns: Any) -> Any:
        return (rows @ theta).sub_(columns).square_()

    return Form(batches[:whole], adding, parts(_chunk_size(theta)), losses)


def _stepwise(problem: Problem, theta: Any) -> Form:
    """Return the form by the model's program."""
    by_hand, parts, loss = _by_hand(problem.model), theta.unbind(), LOSSES[problem.loss]
    many, summed, of_residual = theta.ndim == 2, problem.batch_size > 1, problem.loss == "squared"

    def adding(targets: Sequence[Any]) -> Callable[..., None]:
        rows = targets[0].unbind()

        def add(scale: Any, *columns: Any) -> None:
            *x, y = columns
            values, derivatives = by_hand(parts, x, y if of_residual else 0.0)
            slope = values * scale if of_residual else loss.slope(values, y, scale)
            for row, derivative in zip(rows, derivatives, strict=True):
                if summed:
                    row.add_((slope * derivative).sum(0))
                elif isinstance(derivative, float):
                    row.add_(slope, alpha=derivative)
                else:
                    row.addcmul_(slope, derivative)

        return add

    def losses(*columns: Any) -> Any:
        *x, y = columns
        return loss.value(by_hand(parts, x, y if of_residual else 0.0)[0], y)

    columns = [torch.tensor(column) for column in (*problem.x, problem.y)]
    numbers = [] if summed else list(zip(*columns, strict=True))
    if many:
        columns = [column[:, None] for column in columns]

    def parts_of(size: int) -> list[Batch]:
        return list(zip(*(column.split(size) for column in columns), strict=True))

    batches = numbers or parts_of(problem.batch_size)[: problem.y.size // problem.batch_size]
    return Form(batches, adding, parts_of(_chunk_size(theta)), losses)


def _chunk_size(theta: Any) -> int:
    return max(1, RESIDUALS_AT_A_TIME // int(theta[0].numel()))


class _Functions:
    """The functions of torch, extended to numbers; some of torch's own take tensors only."""

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


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train in one thread, with 64-bit numbers even outside of parameters."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
