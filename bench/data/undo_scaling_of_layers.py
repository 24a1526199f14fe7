"""The parameters of a model with vectors that give the same predictions after inputs and target have been scaled.

A dot product of standardized inputs is a dot product of the inputs themselves plus a constant: with
z = (x - x_mean) / x_scale,

    w @ z = (w / x_scale) @ x + s,    s = -w @ (x_mean / x_scale).

This leaves, for each unit of a layer, an expression of dot products shifted by s, which `undo_scaling` solves for its
scalars and for a factor on each dot product.
"""

from collections.abc import Mapping

import numpy as np
import sympy

from sgdbench.data.scaling import Scaling
from sgdbench.data.undo_scaling import undo_scaling
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.derive import to_sympy
from sgdbench.kernels.model.expression import Name, parse
from sgdbench.kernels.model.network import HIDDEN_UNITS, SCALAR_SOURCE, Layer, Network


def undo_scaling_of_layers(network: Network, theta: Floats, scaling: Scaling) -> Floats | None:
    """Return the parameters for the unscaled data, shape (P,), or None if they are not found."""
    unscaled = theta.copy()
    for number, layer in enumerate(network.layers, 1):
        expression = to_sympy(parse(layer.expression))
        is_last = number == len(network.layers)
        target = (scaling.y_mean, scaling.y_scale) if is_last else (0.0, 1.0)
        for unit in range(layer.units):
            values = _undo_of_unit(expression, layer, unit, theta, scaling, target)
            if values is None:
                return None
            for first, parameters in values.items():
                unscaled[first : first + parameters.size] = parameters
    return unscaled


def _undo_of_unit(
    expression: sympy.Expr,
    layer: Layer,
    unit: int,
    theta: Floats,
    scaling: Scaling,
    target: tuple[float, float],
) -> Mapping[int, Floats] | None:
    """Return the parameters of a unit, an array per symbol by its first index; None if they are not found.

    `target` has the shift and the factor of the unit's values.
    """
    named = [to_sympy(Name(name)) for name in layer.names]
    inputs = list(named[len(layer.symbols) :])
    means = [scaling.x_mean[column] for column in layer.columns]
    scales = [scaling.x_scale[column] for column in layer.columns]
    params, values, weights = [], [], []
    for symbol, name in zip(layer.symbols, named, strict=False):
        first = symbol.first + unit * symbol.size
        own = theta[first : first + symbol.size]
        if symbol.source == SCALAR_SOURCE:
            params.append(name)
            values.append(float(own[0]))
            weights.append((first, np.ones(1)))
            continue
        shift = 0.0
        if symbol.source != HIDDEN_UNITS:
            columns = slice(symbol.source, symbol.source + symbol.size)
            own = own / scaling.x_scale[columns]
            shift = -float(own @ scaling.x_mean[columns])
        factor = sympy.Dummy(f"factor_{name.name}", real=True)
        expression = expression.xreplace({name: factor * name})
        params.append(factor)
        values.append(1.0)
        weights.append((first, own))
        inputs.append(name)
        means.append(-shift)
        scales.append(1.0)
    around = Scaling(np.array(means), np.array(scales), *target)
    solved = undo_scaling(expression, params, inputs, values, around)
    if solved is None:
        return None
    return {first: own * value for (first, own), value in zip(weights, solved, strict=True)}
