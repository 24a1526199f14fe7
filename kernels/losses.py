"""Losses of one residual r = f(x; theta) - y, and their derivatives.

The gradient of a batch is the mean over its samples of loss'(r) * df/dtheta. For ``squared``, r**2 / 2, that
is the gradient of HALF the mean squared error, as in scikit-learn.

The ``*_derivative`` functions are compiled into the kernels, for floats and for SIMD vectors, and are called as they
stand with NumPy arrays. They therefore compute with operators and NumPy's elementwise functions alone: no branches.
"""
# ruff: noqa: ANN001, ANN201 - one source for three kinds of number; an annotation would name just one of them
# mypy: allow-untyped-defs

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy import absolute, log1p, maximum, minimum, sinh, tanh

from kernels.checks import check_real
from kernels.spec import make_from_spec, spec_text


@dataclass(frozen=True)
class Loss:
    """A loss of the residual.

    Attributes
    ----------
    name : str
        Its key in `LOSSES`.
    value, derivative : callable
        ``(residual, options) -> loss`` and its derivative with respect to the residual, elementwise; here
        `options` is a tuple of floats.
    options : dict
        From name to value, in the order in which the functions unpack them.
    """

    name: str
    value: Callable[..., Any]
    derivative: Callable[..., Any]
    options: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text that `make_loss` reads back, such as ``"huber(delta=1.0)"``."""
        return spec_text(self.name, self.options)


def squared_value(residual, options):
    """Return r**2 / 2."""
    return 0.5 * residual * residual


def squared_derivative(residual, options):
    """Return r."""
    return residual


def huber_value(residual, options):
    """Return r**2 / 2 where |r| <= delta, delta * (|r| - delta / 2) beyond."""
    (delta,) = options
    size = absolute(residual)
    clipped = minimum(size, delta)
    return clipped * (size - 0.5 * clipped)


def huber_derivative(residual, options):
    """Return r, clipped to [-delta, delta]."""
    (delta,) = options
    return minimum(maximum(residual, -delta), delta)


def logcosh_value(residual, options):
    """Return log(cosh(r)), as log1p(2 sinh(r/2)**2) up to |r| = 20 and along its slope of 1 beyond.

    cosh itself overflows beyond 710. The usual |r| + log1p(exp(-2|r|)) - log(2) cancels to noise below
    |r| = 1e-8, where the loss is r**2 / 2; this form is accurate there. At 20 the slope is 1 to within 1e-16.
    """
    size = absolute(residual)
    near = minimum(size, 20.0)
    root = sinh(0.5 * near)
    return log1p(2.0 * root * root) + (size - near)


def logcosh_derivative(residual, options):
    """Return tanh(r)."""
    return tanh(residual)


def squared() -> Loss:
    """Least squares: r**2 / 2."""
    return Loss("squared", squared_value, squared_derivative)


def huber(delta: float = 1.0) -> Loss:
    """Quadratic up to |r| = delta, linear beyond, so that an outlier pulls no harder than delta.

    r**2 / 2 where |r| <= delta, else delta * (|r| - delta / 2). P. J. Huber, Robust estimation of a location
    parameter, Annals of Mathematical Statistics 35 (1964). As ``torch.nn.HuberLoss``.
    """
    delta = check_real("delta", delta, lambda value: value > 0, "a positive finite number")
    return Loss("huber", huber_value, huber_derivative, {"delta": delta})


def logcosh() -> Loss:
    """Smooth between r**2 / 2 near zero and |r| - log(2) far away: log(cosh(r))."""
    return Loss("logcosh", logcosh_value, logcosh_derivative)


LOSSES: dict[str, Callable[..., Loss]] = {"squared": squared, "huber": huber, "logcosh": logcosh}


def make_loss(loss: str | Loss) -> Loss:
    """Return the loss that the text names, such as ``"huber(1.5)"``; a Loss stays as it is.

    Raises
    ------
    ValueError
        For an unknown name, an unknown option, or a delta that is not positive and finite.
    """
    return loss if isinstance(loss, Loss) else make_from_spec(loss, LOSSES, "loss")
