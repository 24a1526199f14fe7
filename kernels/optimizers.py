"""Update rules: each one a short elementwise function, with the formulas and the defaults of ``torch.optim``.

Every rule has the same shape::

    theta, slots = rule(theta, slots, gradient, lr, clock, options)

`theta`, `gradient` and each of the `slots` belong to one parameter (or, as arrays, to all of them). `slots`
is the tuple of the state that the rule keeps per parameter; all start at 0. `clock` is a tuple of numbers
that all parameters share, advanced by ``clock = rule_clock(clock, options)`` once per update, before the
rule. `options` is a tuple of floats. L2 weight decay is `add_weight_decay`, called before the rule and only where it
is not zero.

These functions are compiled into the kernels, for floats and for SIMD vectors, and are called as they stand with
NumPy arrays. They therefore compute with operators and NumPy's elementwise functions alone: no branches. Constants
and helper functions of the module may be used.
"""
# ruff: noqa: ANN001, ANN201 - one source for three kinds of number; an annotation would name just one of them

# mypy: allow-untyped-defs

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy import maximum, sqrt

from kernels.checks import check_real
from kernels.spec import make_from_spec, spec_text


@dataclass(frozen=True)
class Optimizer:
    """An update rule with its options.

    Attributes
    ----------
    name : str
        Its key in `OPTIMIZERS`.
    rule : callable
        ``(theta, slots, gradient, lr, clock, options) -> (theta, slots)``, elementwise.
    options : dict
        From name to value, in the order in which `rule` unpacks them.
    slots : int
        How many numbers of state the rule keeps per parameter. They start at 0.
    clock : callable or None
        ``(clock, options) -> clock``, called once per update before the rule; None where there is no clock.
    clock_start : tuple of float
        The clock before the first update.
    weight_decay : float
        L2 penalty: where it is not zero, the caller passes the gradient through `add_weight_decay`. The decoupled
        decay of adamw is one of its `options` instead.
    per_sample : callable or None
        ``(theta, residual, derivative, lr) -> theta``, a shorter form of an update from one sample; None
        where there is none.
    """

    name: str
    rule: Callable[..., Any]
    options: dict[str, float] = field(default_factory=dict)
    slots: int = 0
    clock: Callable[..., Any] | None = None
    clock_start: tuple[float, ...] = ()
    weight_decay: float = 0.0
    per_sample: Callable[..., Any] | None = None

    @property
    def text(self) -> str:
        """The text that `make_optimizer` reads back, such as ``"momentum(momentum=0.9)"`` or ``"sgd"``."""
        l2 = {"weight_decay": self.weight_decay} if self.weight_decay else {}
        return spec_text(self.name, self.options | l2)


def add_weight_decay(theta, gradient, weight_decay):
    """Return g + weight_decay * theta, the gradient with weight_decay * theta**2 / 2 added to the loss."""
    return gradient + weight_decay * theta


def sgd_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `sgd`."""
    return theta - lr * gradient, ()


def sgd_per_sample(theta, residual, derivative, lr):
    """Apply theta <- theta - r * (lr * df/dtheta); r is the derivative of the loss by the residual.

    Where the model is linear in its parameters, lr * df/dtheta does not wait for theta, which takes one
    multiplication off the chain from one update to the next. The result differs in the last bit from
    `sgd_rule` with g = r * df/dtheta; the reference and the kernels agree on this order.
    """
    return theta - residual * (lr * derivative)


def momentum_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `momentum`."""
    (velocity,) = slots
    (momentum,) = options
    velocity = momentum * velocity + gradient
    return theta - lr * velocity, (velocity,)


def nesterov_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `nesterov`."""
    (velocity,) = slots
    (momentum,) = options
    velocity = momentum * velocity + gradient
    return theta - lr * (gradient + momentum * velocity), (velocity,)


def adagrad_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adagrad`."""
    (total,) = slots
    (eps,) = options
    total = total + gradient * gradient
    return theta - lr * gradient / (sqrt(total) + eps), (total,)


def rmsprop_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `rmsprop`."""
    (square,) = slots
    alpha, eps = options
    square = alpha * square + (1.0 - alpha) * gradient * gradient
    return theta - lr * gradient / (sqrt(square) + eps), (square,)


def adam_clock(clock, options):
    """Advance (beta1**t, beta2**t) to the next update t, as running products.

    A product is cheaper than a power and has the same bits everywhere. It stops at 1e-300, where 1 - power
    has long been 1. Left alone it becomes a subnormal number (0.9**t after 6,700 updates) and stays one, and
    multiplying that made every later update 1.4 times as slow.
    """
    power1, power2 = clock
    return maximum(power1 * options[0], 1e-300), maximum(power2 * options[1], 1e-300)


def adam_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adam`.

    What depends on the clock alone is divided out first. That leaves one square root and one division on the
    chain from one update to the next; sqrt(v) / sqrt(1 - beta2**t) would add a division, and 15 % to the
    time.
    """
    mean, square = slots
    power1, power2 = clock
    beta1, beta2, eps = options
    step = lr * (1.0 / (1.0 - power1))
    scale = 1.0 / sqrt(1.0 - power2)
    mean = beta1 * mean + (1.0 - beta1) * gradient
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    return theta - step * mean / (sqrt(square) * scale + eps), (mean, square)


def adamw_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adamw`: theta shrinks, then as `adam_rule`."""
    beta1, beta2, eps, weight_decay = options
    return adam_rule((1.0 - lr * weight_decay) * theta, slots, gradient, lr, clock, (beta1, beta2, eps))


def sgd(weight_decay: float = 0.0) -> Optimizer:
    """Plain stochastic gradient descent: theta <- theta - lr * g.

    Without weight decay it has a per-sample form, `sgd_per_sample`. H. Robbins, S. Monro, A stochastic
    approximation method, Annals of Mathematical Statistics 22 (1951). As ``torch.optim.SGD``.
    """
    weight_decay = _not_negative("weight_decay", weight_decay)
    per_sample = None if weight_decay else sgd_per_sample
    return Optimizer("sgd", sgd_rule, weight_decay=weight_decay, per_sample=per_sample)


def momentum(momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Heavy ball: v <- momentum * v + g;  theta <- theta - lr * v.

    B. T. Polyak, Some methods of speeding up the convergence of iteration methods (1964). The learning rate
    is outside the velocity, as in ``torch.optim.SGD(momentum=...)``.
    """
    options = {"momentum": _fraction("momentum", momentum)}
    weight_decay = _not_negative("weight_decay", weight_decay)
    return Optimizer("momentum", momentum_rule, options, slots=1, weight_decay=weight_decay)


def nesterov(momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Momentum that looks ahead: v <- momentum * v + g;  theta <- theta - lr * (g + momentum * v).

    I. Sutskever et al., On the importance of initialization and momentum in deep learning (ICML 2013). As
    ``torch.optim.SGD(momentum=..., nesterov=True)``.
    """
    options = {"momentum": _fraction("momentum", momentum)}
    weight_decay = _not_negative("weight_decay", weight_decay)
    return Optimizer("nesterov", nesterov_rule, options, slots=1, weight_decay=weight_decay)


def adagrad(eps: float = 1e-10, weight_decay: float = 0.0) -> Optimizer:
    """Adagrad, a rate per parameter that only falls.

    s <- s + g**2;  theta <- theta - lr * g / (sqrt(s) + eps).
    J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods, JMLR 12 (2011). As ``torch.optim.Adagrad``.
    """
    options = {"eps": _not_negative("eps", eps)}
    weight_decay = _not_negative("weight_decay", weight_decay)
    return Optimizer("adagrad", adagrad_rule, options, slots=1, weight_decay=weight_decay)


def rmsprop(alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0) -> Optimizer:
    """RMSprop, an Adagrad that forgets.

    s <- alpha * s + (1 - alpha) * g**2;  theta <- theta - lr * g / (sqrt(s) + eps).
    T. Tieleman, G. Hinton, Lecture 6.5, Coursera (2012). As ``torch.optim.RMSprop``.
    """
    options = {"alpha": _fraction("alpha", alpha), "eps": _not_negative("eps", eps)}
    weight_decay = _not_negative("weight_decay", weight_decay)
    return Optimizer("rmsprop", rmsprop_rule, options, slots=1, weight_decay=weight_decay)


def adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> Optimizer:
    """Adam: momentum and a rate per parameter, both corrected for having started at zero.

    m <- beta1 * m + (1 - beta1) * g;  v <- beta2 * v + (1 - beta2) * g**2;
    theta <- theta - lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps), with t from 1.
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization (ICLR 2015). As ``torch.optim.Adam``.
    """
    options = _adam_options(beta1, beta2, eps)
    weight_decay = _not_negative("weight_decay", weight_decay)
    return Optimizer("adam", adam_rule, options, 2, adam_clock, (1.0, 1.0), weight_decay)


def adamw(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01) -> Optimizer:
    """Adam with the weight decay kept out of the gradient.

    theta <- (1 - lr * weight_decay) * theta, then the step of `adam`.
    I. Loshchilov, F. Hutter, Decoupled weight decay regularization (ICLR 2019). As ``torch.optim.AdamW``.
    """
    options = _adam_options(beta1, beta2, eps)
    options["weight_decay"] = _not_negative("weight_decay", weight_decay)
    return Optimizer("adamw", adamw_rule, options, 2, adam_clock, (1.0, 1.0))


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer that the text names, such as ``"momentum(0.9)"``; an Optimizer stays as it is.

    Raises
    ------
    ValueError
        For an unknown name or option, or a value out of its range.
    """
    return optimizer if isinstance(optimizer, Optimizer) else make_from_spec(optimizer, OPTIMIZERS, "optimizer")


def _adam_options(beta1: float, beta2: float, eps: float) -> dict[str, float]:
    return {
        "beta1": _fraction("beta1", beta1),
        "beta2": _fraction("beta2", beta2),
        "eps": _not_negative("eps", eps),
    }


def _fraction(name: str, value: float) -> float:
    return check_real(name, value, lambda number: 0.0 <= number < 1.0, "a number in [0, 1)")


def _not_negative(name: str, value: float) -> float:
    return check_real(name, value, lambda number: number >= 0.0, "a finite number >= 0")
