"""minimize(): minimization of a function of parameters, without data."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from sgdbench.kernels.base.arguments import suggest_arguments
from sgdbench.kernels.base.checks import check_integer
from sgdbench.kernels.base.columns import Params
from sgdbench.kernels.base.memory import check_room
from sgdbench.kernels.model.model import Model, ModelLike
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.train.fit import fit
from sgdbench.kernels.train.fit_result import FitResult

NO_DATA = (0.0,)
"""The target of the one sample, which no objective looks at."""


@suggest_arguments
def minimize(
    objective: ModelLike,
    init: Params | None = None,
    *,
    lr: float = 0.001,
    schedule: str | Callable[[int], float] | ArrayLike | None = None,
    steps: int = 1000,
    seed: int = 0,
    optimizer: str | Optimizer = "sgd",
    target: float | None = None,
    kernel: str = "fused",
    params: Sequence[str] | None = None,
    callback: Callable[[FitResult], None] | None = None,
) -> FitResult:
    """Minimize an expression in its parameters, with the optimizers and kernels of `fit`.

    A step is an update by the gradient of the whole expression: one epoch over one sample without inputs.

    Parameters
    ----------
    objective : str, Model, callable or SymPy expression
        An expression such as ``"(1 - a)**2 + 100*(b - a**2)**2"``, all of whose names are parameters; a function of the
        parameters, such as ``lambda a, b: (1 - a)**2 + 100*(b - a**2)**2``; the name of a ready-made model,
        ``"rosenbrock"``, ``"rastrigin(3)"``, ``"beale"`` or ``"himmelblau"``; or a model without inputs.
    init : array, shape (P,), or mapping of names to values, optional
        Initial parameters; by default standard normal draws of the seed.
    steps : int
        The maximum number of steps.
    target : float, optional
        Stop after the first step at which the objective is at most this.
    params : sequence of str, optional
        The order of the parameters; by default their order of appearance.
    lr, schedule, seed, optimizer, kernel, callback
        As for `fit`, with a step in place of an epoch.

    Returns
    -------
    FitResult
        ``loss`` is the objective and ``trajectory`` the parameters, before the first step and after each.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.

    Examples
    --------
    >>> result = minimize("rosenbrock", [-1.5, 2.0], lr=0.02, optimizer="adam", steps=5000)
    >>> result.params.round(3)
    array([1., 1.])
    """
    model = objective if isinstance(objective, Model) else make_model(objective, ())
    if model.inputs:
        raise ValueError(f"objective must have no inputs, and {model.expression!r} has {', '.join(model.inputs)}")
    if params is not None:
        model = Model(model.expression, (), params)
    options: dict[str, Any] = {"lr": lr, "schedule": schedule, "optimizer": optimizer, "kernel": kernel}
    epochs = check_integer("steps", steps)
    check_room(epochs, epochs + 1, len(model.params), "steps")
    return fit(
        model, None, NO_DATA, init=init, epochs=epochs, seed=seed, target=target, loss="objective", callback=callback,
        **options,
    )  # fmt: skip
