"""Adam and its variants: adam, adamw, adamax, nadam, radam, adabelief, yogi, adan."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from numpy import absolute, maximum, sign, sqrt, where

from sgdbench.kernels.base.checks import check_bool
from sgdbench.kernels.optimizers.optimizer import Optimizer, check_fractions, check_nonnegative

# The lower bound of running powers, at which 1 - power has long been 1.
SMALLEST_POWER = 1e-300


def adam_clock(clock, options):
    """Advance (beta1**t, beta2**t) to the next update t, as running products.

    A product is cheaper than a power and has the same bits everywhere. The lower bound avoids subnormal numbers
    (0.9**t after 6,700 updates), which made every later update 1.4 times as slow.
    """
    power1, power2 = clock
    return maximum(power1 * options[0], SMALLEST_POWER), maximum(power2 * options[1], SMALLEST_POWER)


def corrected_step(mean, square, lr, clock, eps):
    """Return the step of `adam`, with both means corrected for having started at zero.

    Factors that depend on the clock alone are divided out first. This leaves one square root and one division on the
    chain from one update to the next; sqrt(v) / sqrt(1 - beta2**t) would add a division, and 15 % to the time.
    """
    power1, power2 = clock
    step = lr * (1.0 / (1.0 - power1))
    scale = 1.0 / sqrt(1.0 - power2)
    return step * mean / (sqrt(square) * scale + eps)


def adam_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adam`."""
    mean, square = slots
    beta1, beta2, eps = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    return theta - corrected_step(mean, square, lr, clock, eps), (mean, square)


def amsgrad_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adam` with the largest square so far."""
    mean, square, largest = slots
    beta1, beta2, eps = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    largest = maximum(largest, square)
    return theta - corrected_step(mean, largest, lr, clock, eps), (mean, square, largest)


def adamax_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adamax`."""
    mean, size = slots
    beta1, beta2, eps = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    size = maximum(beta2 * size, absolute(gradient) + eps)
    return theta - lr * (1.0 / (1.0 - clock[0])) * mean / size, (mean, size)


def nadam_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `nadam`."""
    mean, square = slots
    power2, product, momentum, following, _, _ = clock
    beta1, beta2, eps, _ = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    now, later = (1.0 - momentum) / (1.0 - product), following / (1.0 - product * following)
    return theta - lr * (now * gradient + later * mean) / (sqrt(square) * (1.0 / sqrt(1.0 - power2)) + eps), (
        mean,
        square,
    )


def nadam_clock(clock, options):
    """Advance beta2**t, the product of momenta, the momenta of this update and the next, and 0.96**(t * decay)."""
    power2, product, _, momentum, decayed, decay = clock
    beta1, beta2 = options[0], options[1]
    decayed = maximum(decayed * decay, SMALLEST_POWER)
    following = beta1 * (1.0 - 0.5 * decayed)
    return (
        maximum(power2 * beta2, SMALLEST_POWER),
        maximum(product * momentum, SMALLEST_POWER),
        momentum,
        following,
        decayed,
        decay,
    )


def radam_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `radam`: the divisor is 1 if `adaptive` is 0, and adam's if it is 1."""
    mean, square = slots
    power1, _, _, factor, adaptive = clock
    beta1, beta2, eps = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    divisor = adaptive * (sqrt(square) + eps) + (1.0 - adaptive)
    return theta - lr * (factor / (1.0 - power1)) * mean / divisor, (mean, square)


def radam_clock(clock, options):
    """Advance beta1**t, beta2**t and t, followed by the rectification factor, and by 1 if it is used, else 0."""
    power1, power2, updates, _, _ = clock
    power1, power2, updates = (
        maximum(power1 * options[0], SMALLEST_POWER),
        maximum(power2 * options[1], SMALLEST_POWER),
        updates + 1.0,
    )
    limit = 2.0 / (1.0 - options[1]) - 1.0
    length = limit - 2.0 * updates * power2 / (1.0 - power2)
    rectified = (length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length)
    factor = where(length > 5.0, sqrt(maximum(rectified, 0.0)) * sqrt(1.0 - power2), 1.0)
    return power1, power2, updates, factor, where(length > 5.0, 1.0, 0.0)


def adabelief_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adabelief`."""
    mean, variance = slots
    beta1, beta2, eps, eps_root = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    surprise = gradient - mean
    variance = beta2 * variance + (1.0 - beta2) * surprise * surprise + eps_root
    return theta - corrected_step(mean, variance, lr, clock, eps), (mean, variance)


def yogi_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `yogi`."""
    mean, square = slots
    beta1, beta2, eps = options
    mean = beta1 * mean + (1.0 - beta1) * gradient
    now = gradient * gradient
    square = square - (1.0 - beta2) * sign(square - now) * now
    return theta - corrected_step(mean, square, lr, clock, eps), (mean, square)


def adan_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adan`."""
    mean, drift, square, before = slots
    power1, power2, power3, first = clock
    beta1, beta2, beta3, eps, eps_root, weight_decay = options
    change = (1.0 - first) * (gradient - before)
    mean = beta1 * mean + (1.0 - beta1) * gradient
    drift = beta2 * drift + (1.0 - beta2) * change
    ahead = gradient + (1.0 - beta2) * change
    square = beta3 * square + (1.0 - beta3) * ahead * ahead
    direction = mean * (1.0 / (1.0 - power1)) + (1.0 - beta2) * (drift * (1.0 / (1.0 - power2)))
    size = sqrt(square * (1.0 / (1.0 - power3)) + eps_root) + eps
    return theta - lr * (direction / size + weight_decay * theta), (mean, drift, square, gradient)


def adan_clock(clock, options):
    """Advance beta1**t, beta2**t and beta3**t, followed by 1 at the first update, else 0."""
    power1, power2, power3, first = clock
    return (
        maximum(power1 * options[0], SMALLEST_POWER),
        maximum(power2 * options[1], SMALLEST_POWER),
        maximum(power3 * options[2], SMALLEST_POWER),
        where(first < 0.0, 1.0, 0.0),
    )


@cache
def decoupled(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule applied after theta <- (1 - lr * weight_decay) * theta; weight_decay is its last option."""

    def decoupled_rule(theta, slots, gradient, lr, clock, options):
        return rule((1.0 - lr * options[-1]) * theta, slots, gradient, lr, clock, options[:-1])

    return decoupled_rule


def adam(
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0, *, amsgrad: bool = False
) -> Optimizer:
    """Adam: momentum and a rate per parameter, both corrected for having started at zero.

    m <- beta1 * m + (1 - beta1) * g;  v <- beta2 * v + (1 - beta2) * g**2;
    theta <- theta - lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps), with t from 1. With amsgrad, the
    largest v so far replaces v.
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization (ICLR 2015); S. J. Reddi, S. Kale, S. Kumar, On the
    convergence of Adam and beyond (ICLR 2018). Same as ``torch.optim.Adam``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps)
    made = Optimizer("adam", adam_rule, options, 2, adam_clock, (1.0, 1.0), weight_decay)
    return replace(made, rule=amsgrad_rule, slots=3, flags=("amsgrad",)) if check_bool("amsgrad", amsgrad) else made


def adamw(
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01, *, amsgrad: bool = False
) -> Optimizer:
    """Adam with weight decay decoupled from the gradient.

    theta <- (1 - lr * weight_decay) * theta, then the step of `adam`.
    I. Loshchilov, F. Hutter, Decoupled weight decay regularization (ICLR 2019). Same as ``torch.optim.AdamW``.
    """
    return replace(_decouple(adam(beta1, beta2, eps, weight_decay, amsgrad=amsgrad)), name="adamw")


def adamax(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0) -> Optimizer:
    """Adam with the largest gradient instead of the mean square.

    m <- beta1 * m + (1 - beta1) * g;  u <- max(beta2 * u, |g| + eps);  theta <- theta - lr / (1 - beta1**t) * m / u.
    D. P. Kingma, J. Ba (ICLR 2015), section 7.1. Same as ``torch.optim.Adamax``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps)
    return Optimizer("adamax", adamax_rule, options, 2, adam_clock, (1.0, 1.0), weight_decay)


def nadam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 0.004,
    *,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam with Nesterov momentum, which increases to beta1.

    mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2), with t from 1; m and v as in `adam`; theta <- theta - lr *
    ((1 - mu_t) / (1 - prod mu) * g + mu_{t+1} / (1 - mu_{t+1} prod mu) * m) / (sqrt(v / (1 - beta2**t)) + eps).
    T. Dozat, Incorporating Nesterov momentum into Adam (2016). Same as ``torch.optim.NAdam``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps, momentum_decay=momentum_decay)
    first = 0.96 ** options["momentum_decay"]
    start = (1.0, 1.0, 0.0, options["beta1"] * (1.0 - 0.5 * first), first, first)
    made = Optimizer("nadam", nadam_rule, options, 2, nadam_clock, start, weight_decay)
    return _decoupled_if(made, decoupled_weight_decay)


def radam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    *,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Rectified Adam: no mean square while it holds few gradients, and scaled-down steps after that.

    With rho = 2 / (1 - beta2) - 1 and rho_t = rho - 2 t beta2**t / (1 - beta2**t), steps are those of momentum while
    rho_t <= 5, then those of adam times sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)), with eps added
    to sqrt(v).
    L. Liu et al., On the variance of the adaptive learning rate and beyond (ICLR 2020). Same as ``torch.optim.RAdam``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps)
    made = Optimizer("radam", radam_rule, options, 2, radam_clock, (1.0, 1.0, 0.0, 1.0, 0.0), weight_decay)
    return _decoupled_if(made, decoupled_weight_decay)


def adabelief(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16) -> Optimizer:
    """Adam with larger steps where the gradient is close to its mean.

    s <- beta2 * s + (1 - beta2) * (g - m)**2 + eps_root replaces v in `adam`.
    J. Zhuang et al., AdaBelief optimizer (NeurIPS 2020). Same as ``optax.adabelief``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps, eps_root=eps_root)
    return Optimizer("adabelief", adabelief_rule, options, 2, adam_clock, (1.0, 1.0))


def yogi(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-3) -> Optimizer:
    """Adam whose mean square changes by at most the newest square.

    v <- v - (1 - beta2) * sign(v - g**2) * g**2; m and v begin at 1e-6.
    M. Zaheer et al., Adaptive methods for nonconvex optimization (NeurIPS 2018). Same as ``optax.yogi``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps)
    return Optimizer("yogi", yogi_rule, options, 2, adam_clock, (1.0, 1.0), slots_start=(1e-6, 1e-6))


def adan(
    beta1: float = 0.98,
    beta2: float = 0.92,
    beta3: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adan: Adam with Nesterov momentum, computed from changes of the gradient.

    m <- beta1 * m + (1 - beta1) * g;  d <- beta2 * d + (1 - beta2) * (g - g_before);
    n <- beta3 * n + (1 - beta3) * (g + (1 - beta2) * (g - g_before))**2; all three corrected for having started at 0;
    theta <- theta - lr * ((m + (1 - beta2) * d) / (sqrt(n + eps_root) + eps) + weight_decay * theta).
    X. Xie et al., Adan: adaptive Nesterov momentum algorithm (2022), arXiv:2208.06677. Same as ``optax.adan``, whose
    betas are 1 minus those of the paper.
    """
    options = check_fractions(beta1=beta1, beta2=beta2, beta3=beta3)
    options |= check_nonnegative(eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    return Optimizer("adan", adan_rule, options, 4, adan_clock, (1.0, 1.0, 1.0, -1.0))


def _decouple(made: Optimizer) -> Optimizer:
    """Return an optimizer whose weight decay shrinks the parameters instead of changing the gradient."""
    options = made.options | {"weight_decay": made.weight_decay}
    return replace(made, rule=decoupled(made.rule), options=options, weight_decay=0.0)


def _decoupled_if(made: Optimizer, requested: bool) -> Optimizer:
    requested = check_bool("decoupled_weight_decay", requested)
    return replace(_decouple(made), flags=("decoupled_weight_decay",)) if requested else made
