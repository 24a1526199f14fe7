"""The optimizers by name, and how text names one."""

from collections.abc import Callable

from kernels.base.registry import Table
from kernels.base.spec import make_from_spec
from kernels.optimizers.adam_rules import adabelief, adam, adamax, adamw, adan, nadam, radam, yogi
from kernels.optimizers.adaptive_rules import adadelta, adagrad, rmsprop, rprop
from kernels.optimizers.descent_rules import asgd, momentum, nesterov, polyak, sgd
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.schedule_free_rules import schedule_free_adamw, schedule_free_sgd
from kernels.optimizers.sign_rules import lion, signum
from kernels.optimizers.wrappers import averaged, clipped, inverse_scaled, lookahead

_BUILDERS: tuple[Callable[..., Optimizer], ...] = (
    *(sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, adadelta, adamax, nadam, radam, rprop, asgd),
    *(lion, signum, adabelief, yogi, adan, schedule_free_sgd, schedule_free_adamw),
    *(averaged, lookahead, clipped, inverse_scaled, polyak),
)
OPTIMIZERS = {build.__name__: build for build in _BUILDERS}
KNOWN = Table("optimizer", OPTIMIZERS)


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer that the text names, such as ``"momentum(0.9)"``; an Optimizer stays as it is.

    Raises
    ------
    ValueError
        If a name or an option is unknown, or a value is out of its range.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    return make_from_spec(optimizer, KNOWN, "optimizer", inner=make_optimizer)
