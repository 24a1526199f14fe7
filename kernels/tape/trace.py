"""Tracing of single functions: the straight-line code of a rule or a loss."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.freeze import traceable
from sgdbench.kernels.model.symbol import Symbol
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.tape.tape import Tape

Names = str | tuple[str, ...]
"""A number that a function is given, or a tuple of them."""


class Traced(NamedTuple):
    """A function as straight-line code, with its results in one flat sequence."""

    tape: Tape
    outputs: tuple[int | float, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it has the same bits everywhere."""
        return self.tape.is_exact(self.outputs)

    @property
    def text(self) -> str:
        """The lines, followed by the results."""
        lines, results = self.tape.lines(self.outputs)
        return "\n".join([*lines, ", ".join(results)])

    def evaluate(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the results for numbers or arrays."""
        return self.tape.evaluate(self.outputs, given)


def trace(function: Callable[..., Any], *given: Names) -> Traced:
    """Return the code of a function of numbers or tuples of numbers, which are given by name.

    Raises
    ------
    TraceError
        If the function uses an operation on a number that kernels do not support.
    """
    tape = Tape()

    def symbols(names: Names) -> Any:
        if isinstance(names, str):
            return Symbol(tape, tape.given(names))
        return tuple(map(symbols, names))

    returned = function(*map(symbols, given))
    return Traced(tape, tuple(one.number if isinstance(one, Symbol) else float(one) for one in _flat(returned)))


def traceable_optimizer(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer whose functions can be called with symbols."""
    names = ("rule", "clock", "per_sample", "gradient_at")
    return replace(optimizer, **{name: traceable(getattr(optimizer, name)) for name in names})


def traceable_loss(loss: Loss) -> Loss:
    """Return a loss whose functions can be called with symbols."""
    return replace(loss, value=traceable(loss.value), derivative=traceable(loss.derivative))


def trace_optimizer(optimizer: Optimizer) -> dict[str, Traced]:
    """Return the traced code of each function of an optimizer, by name.

    Numbers are named `theta`, `gradient` and `lr`, and options by their own names; slots and clocks are numbered, such
    as `slot_0`.
    """
    slots = tuple(f"slot_{k}" for k in range(optimizer.slots))
    clock = tuple(f"clock_{k}" for k in range(len(optimizer.clock_start)))
    inputs = (*clock, *(["loss"] if optimizer.needs_loss else []), *(["norm"] if optimizer.needs_norm else []))
    options = tuple(optimizer.options)
    traced = {"rule": trace(optimizer.rule, "theta", slots, "gradient", "lr", inputs, options)}
    if optimizer.clock:
        traced["clock"] = trace(optimizer.clock, clock, options)
    if optimizer.gradient_at:
        traced["gradient_at"] = trace(optimizer.gradient_at, "theta", slots, options)
    if optimizer.per_sample:
        traced["per_sample"] = trace(optimizer.per_sample, "theta", "slope", "derivative", "lr")
    return traced


def trace_loss(loss: Loss) -> dict[str, Traced]:
    """Return the traced code of a loss's value and of its derivative."""
    inputs: tuple[Names, ...] = ("residual",) if loss.of_residual else ("prediction", "target")
    options = tuple(loss.options)
    return {"value": trace(loss.value, *inputs, options), "derivative": trace(loss.derivative, *inputs, options)}


def _flat(returned: Any) -> list[Any]:
    return [part for one in returned for part in _flat(one)] if isinstance(returned, tuple) else [returned]
