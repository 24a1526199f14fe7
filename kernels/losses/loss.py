"""The definition of a loss, of a residual or of a prediction and its target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.checks import check_finite, describe_row
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.base.spec import spec_text
from sgdbench.kernels.base.weak_scalars import as_scalars
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program

TARGETS_AT_A_TIME = 1_000_000


class Targets(NamedTuple):
    """The targets that a loss is defined for.

    `accepts` returns the mask of accepted targets, shape (n,); `described` names them in words. `classes` may be given
    as labels (`sgdbench.kernels.losses.classes`).
    """

    accepts: Callable[[Floats], NDArray[np.bool_]]
    described: str
    classes: bool = False


class Metric(NamedTuple):
    """A measure of a fit besides its loss; `value` takes predictions and targets, shape (n,)."""

    name: str
    value: Callable[[Floats, Floats], float]


@dataclass(frozen=True)
class Loss:
    """A loss of the residual r = f(x; theta) - y, or of the prediction f(x; theta) and the target y.

    Attributes
    ----------
    name : str
        Its key in `sgdbench.kernels.losses.LOSSES`.
    value, derivative : callable
        ``(residual, options) -> loss`` and its derivative with respect to the residual, elementwise; where
        `of_residual` is False ``(prediction, target, options) -> loss`` and the derivative with respect to the
        prediction. `options` is a tuple of floats.
    options : dict
        From names to values, in the order in which the functions unpack them.
    is_exact : bool
        Whether compiled code matches NumPy bit for bit: it uses only + - * /, square roots and functions such as
        minimum, which are correctly rounded everywhere.
    of_residual : bool
    records : str
        The name of the value that runs record at checkpoints, compare with their target and are ranked by: the mean
        loss, by default called ``"NAME loss"``; for the squared loss the mean squared residual, whose gradient is
        twice that of the loss.
    is_squared : bool
        Whether runs record the mean squared residual; only those of the squared loss do.
    degree : int, optional
        The loss of c times the residual is c**degree times the loss of the residual, for c > 0; None if it is not.
    nonnegative : bool
        Whether the loss is never negative.
    targets : Targets, optional
        By default any finite numbers.
    metric : Metric, optional
    mean : callable, optional
        From predictions to expected targets, such as probabilities; for a loss of the residual, predictions already are
        expected targets.
    by_class : bool
        Whether predictions are scores, one per class.
    call : str
        The text of the call, if a user's function built the loss; its options may differ from `options`.
    """

    name: str
    value: Callable[..., Any]
    derivative: Callable[..., Any]
    options: dict[str, float] = field(default_factory=dict)
    is_exact: bool = True
    of_residual: bool = True
    records: str = ""
    is_squared: bool = False
    degree: int | None = None
    nonnegative: bool = True
    targets: Targets | None = None
    metric: Metric | None = None
    mean: Callable[[Floats], Floats] | None = None
    by_class: bool = False
    call: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", self.records or f"{self.name} loss")
        # As floats, so that 1 and 1.0 give the same text.
        object.__setattr__(self, "options", {name: check_finite(name, value) for name, value in self.options.items()})

    def __repr__(self) -> str:
        return f"<Loss {self.text}>"

    @property
    def text(self) -> str:
        """The text that `sgdbench.kernels.losses.make_loss` parses back, such as ``"huber(delta=1.0)"``."""
        return self.call or spec_text(self.name, self.options)

    def evaluate(
        self, program: Program | Network, theta: Floats, x: Floats, y: Floats
    ) -> tuple[tuple[Any, ...], Sequence[Floats]]:
        """Return the arguments of `value` and `derivative`, and the derivatives of the model, with NumPy.

        See `sgdbench.kernels.model.evaluate.evaluate`. A prediction is computed as the residual for a target of 0, in
        the same order of operations.
        """
        outputs, derivatives = evaluate(program, theta, x, y if self.of_residual else np.zeros(np.shape(y))[()])
        return self.arguments(outputs, y), derivatives

    def arguments(self, found: Floats, y: Floats) -> tuple[Any, ...]:
        """Return the arguments of `value` and `derivative`, from the residual or prediction and the targets."""
        options = as_scalars(self.options.values(), found)
        return (found, options) if self.of_residual else (found, y, options)

    def recorded(self, arguments: tuple[Any, ...]) -> Any:
        """Return the elementwise values whose mean is recorded, from the arguments that `evaluate` returns."""
        return arguments[0] * arguments[0] if self.is_squared else self.value(*arguments)

    @property
    def label(self) -> str:
        """The name of the recorded value in figures and tables: "loss" for the mean squared residual."""
        return "loss" if self.is_squared else self.records

    @property
    def scales_targets(self) -> bool:
        """Whether targets may be shifted and scaled: not classes and counts."""
        return self.of_residual

    @property
    def has_mean(self) -> bool:
        """Whether expected targets can be computed from predictions."""
        return self.of_residual or self.mean is not None

    def mean_of(self, prediction: Floats) -> Floats:
        """Return the expected targets for predictions, shape (n,)."""
        with np.errstate(all="ignore"):
            return prediction if self.mean is None else np.asarray(self.mean(prediction))

    def metrics(self, prediction: Floats, target: Floats) -> dict[str, float]:
        """Return further measures of a fit by name: the metric, if there is one.

        Parameters
        ----------
        prediction, target : array, shape (n,)
        """
        return {self.metric.name: self.metric.value(prediction, target)} if self.metric else {}

    def check_targets(self, y: Floats, what: str = "y", locate: Callable[[int], str] = describe_row) -> None:
        """Refuse targets, shape (n,), that the loss is not defined for; the error gives the first one and its place."""
        if self.targets is None:
            return
        # In pieces, for memory maps of any size.
        for begin in range(0, y.size, TARGETS_AT_A_TIME):
            good = self.targets.accepts(y[begin : begin + TARGETS_AT_A_TIME])
            if not good.all():
                row = begin + int(np.argmin(good))
                raise ValueError(
                    f"{what} must be {self.targets.described} for the loss {self.name!r}, and is {y[row]:.15g} in "
                    f"{locate(row)}"
                )
