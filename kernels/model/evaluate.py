"""The residual of a model and its derivatives at samples, with NumPy."""

from collections.abc import Sequence

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.network import Derivatives, Network, run_network
from sgdbench.kernels.model.program import Program, run_program


def evaluate(program: Program | Network, theta: Floats, x: Floats, y: Floats) -> tuple[Floats, Sequence[Floats]]:
    """Return the residual and the derivatives with NumPy, in float32 if theta is float32.

    Parameters
    ----------
    theta : array, shape (params,)
    x : array, shape (inputs,) for one sample or (inputs, n) for n samples
    y : scalar or array, shape (n,)

    Returns
    -------
    residual : scalar or array, shape (n,); for a network with many scores (scores, n)
    derivatives : sequence of `params` scalars or arrays; one that does not depend on x stays a scalar
        Empty for a network with many scores.
    """
    if isinstance(program, Program):
        return run_program(program, [*theta, *x, y], single=getattr(theta, "dtype", None) == np.float32)
    one = x.ndim == 1
    rows = x[:, np.newaxis] if one else x
    forward = run_network(program, theta, rows, np.broadcast_to(y, rows.shape[1]))
    residual = forward.values[-1] if program.scores > 1 else forward.values[-1][0]
    derivatives: Sequence[Floats] = Derivatives(forward) if program.scores == 1 else []
    if one:
        return residual[..., 0], [derivative[..., 0] for derivative in derivatives]
    return residual, derivatives
