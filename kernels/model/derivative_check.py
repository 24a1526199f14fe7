"""A check of a model's program against the model's expression, by an independent computation.

The reference and the kernels all run the program, so a wrong program would look the same in all of them. Here the
parser's tree is evaluated directly, with complex numbers: the imaginary part of f(theta + ih) gives the derivative
without the cancellation of a finite difference (the complex-step method).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.columns import Inputs, stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.expression import Call, Name, Node, Number, parse
from sgdbench.kernels.model.functions import erf
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network, run_network, values_of
from sgdbench.kernels.model.program import Program, numpy_function

Flags = NDArray[np.bool_]

# Relative to the scale of errors, rounding causes 1e-15 or less, a kink 1e-10, and a wrong program about 1.
TOLERANCE = 1e-8
COMPLEX_STEP = 1e-50
# The smallest scale of errors: below it, intermediate squares may have overflowed or underflowed.
SMALLEST_SCALE = 1e-90
# The relative size of the perturbations of inputs, parameters and intermediate values that show how much the result
# moves. At a kink, such as abs at 0, the whole result moves: the scale there is 1/PERTURBATION, and any difference is
# below the tolerance. If rounding decides a comparison, every second perturbation shows it.
PERTURBATION, PERTURBATIONS, PERTURBATIONS_WITH_BRANCHES = 1e-10, 3, 12
BRANCHING_FUNCTIONS = {"where", "maximum", "minimum", "relu"}
COMPARISONS = {"less", "less_equal", "greater", "greater_equal"}
# A wrong program may be right by chance where parameters are 0 or equal, so points around the given ones are tried too.
TRIED_OFFSETS = (0.0, 0.1, 1.0)
CHECKED_SAMPLES = 40


class Comparison(NamedTuple):
    """The residual and each derivative at one point, as arrays of shape (1 + params,).

    `errors` are the largest among the samples. `lost` tells whether the expression is finite at a sample where the
    program is not, and `found` whether both are finite at some sample.
    """

    errors: Floats
    lost: Flags
    found: Flags


class WrongProgramError(ValueError):
    """The program of a model does not compute the model's expression or its derivatives."""


def check_derivatives(model: Model, x: Inputs, theta: ArrayLike) -> float:
    """Compare a model's program with the model's expression at some of the samples.

    Points at which one of the two is not finite (such as a logarithm outside its domain) are ignored, and so are points
    where rounding decides, as at a kink. A value or derivative that is finite somewhere must be so in the program.

    Parameters
    ----------
    x : array, shape (n,) or (n, inputs)
    theta : array, shape (params,) or (points, params)
        Points at which to compare; points around these are added.

    Returns
    -------
    float
        The largest error of the value and the derivatives, relative to their size plus their relative change when
        everything that they are computed from is perturbed.

    Raises
    ------
    WrongProgramError
        If the error is more than rounding explains.
    """
    columns = model.columns(x)
    if model.network is not None:
        return _check_layers(model.network, np.atleast_2d(np.asarray(theta, np.float64)), columns)
    n = columns[0].size if columns else 1
    chosen = np.linspace(0, n - 1, min(CHECKED_SAMPLES, n)).astype(int)
    samples = stack_columns([column[chosen] for column in columns], chosen.size)
    rng = np.random.default_rng(0)
    tree, given = parse(model.expression), np.atleast_2d(np.asarray(theta, np.float64))
    with np.errstate(all="ignore"):
        compared = [
            _compare(model, tree, point + offset * size * rng.standard_normal(point.size), samples, rng)
            for point, size in zip(given, np.maximum(np.abs(given), 1), strict=True)
            for offset in TRIED_OFFSETS
        ]
    errors = np.max([one.errors for one in compared], axis=0)
    nowhere = np.any([one.lost for one in compared], axis=0) & ~np.any([one.found for one in compared], axis=0)
    names = ("value", *(f"derivative by {name}" for name in model.params))
    for name, error, is_lost in zip(names, errors, nowhere, strict=True):
        if error > TOLERANCE or is_lost:
            how = "in being nowhere finite" if is_lost else f"by {error:.1g} of its size"
            raise WrongProgramError(
                f"the trained program is not the model {model.expression!r}: "
                f"the {name} differs from that of the expression {how}"
            )
    return float(errors.max())


def _check_layers(network: Network, theta: Floats, columns: tuple[Floats, ...]) -> float:
    """Compare the program of each layer with its expression, at the values of the layer's first unit at a sample."""
    x = np.stack([column[:1] for column in columns])
    errors = []
    for number, layer in enumerate(network.layers):
        count = len(layer.symbols)
        unit = Model(layer.expression, layer.names[count:], layer.names[:count])
        points = []
        for point in theta:
            with np.errstate(all="ignore"):
                before = run_network(network, point, x, np.zeros(1)).values[:number]
            points.append([float(np.ravel(values_of(symbol, 1, point, x, before))[0]) for symbol in layer.symbols])
        own = np.stack([columns[place] for place in layer.columns], axis=1) if layer.columns else None
        errors.append(check_derivatives(unit, own, points))
    return max(errors)


def _compare(model: Model, tree: Node, theta: Floats, x: Floats, rng: np.random.Generator) -> Comparison:
    """Compare at one point, with targets as large as the values, so that a program without targets is detected."""
    expected = _from_tree(model, tree, theta, x, _stay)
    size = np.max(np.abs(expected[0]), where=np.isfinite(expected[0]), initial=1)
    y = np.multiply(rng.standard_normal(x.shape[1]), size)
    ours = _from_program(model.formula, theta, x, y, _stay)
    finite = np.isfinite(ours)
    expected_moves, our_moves = np.zeros_like(expected), np.zeros_like(ours)
    steps = [PERTURBATION * np.where(size, size, 1) for size in (np.abs(theta), np.abs(x).max(axis=1, keepdims=True))]
    for _ in range(PERTURBATIONS_WITH_BRANCHES if _functions(tree) & BRANCHING_FUNCTIONS else PERTURBATIONS):
        theta_near, x_near = (u + step * rng.uniform(-1, 1, u.shape) for u, step in zip((theta, x), steps, strict=True))
        move = partial(_move, rng)
        expected_near = _from_tree(model, tree, theta_near, x_near, move)
        ours_near = _from_program(model.formula, theta_near, x_near, y, move)
        expected_moves = np.maximum(expected_moves, np.abs(expected_near - expected))
        our_moves = np.maximum(our_moves, np.abs(ours_near - ours))
        finite |= np.isfinite(ours_near)  # at a single point it may be infinite, like the derivative of arcsin at 1
    expected[0] -= y
    comparable = np.isfinite(expected) & np.isfinite(expected_moves)
    both = comparable & np.isfinite(ours) & np.isfinite(our_moves)
    scale = SMALLEST_SCALE + np.abs(expected) + (expected_moves + our_moves) / PERTURBATION
    errors = np.where(both, np.abs(ours - expected) / scale, 0.0)
    return Comparison(errors.max(axis=1), np.any(comparable & ~finite, axis=1), np.any(both, axis=1))


def _move(rng: np.random.Generator, values: Any) -> Any:
    """Return values perturbed by more than rounding."""
    if np.iscomplexobj(values):  # a value and its derivative are rounded separately
        return _move(rng, values.real) + 1j * _move(rng, values.imag)
    return values * (1 + PERTURBATION * rng.uniform(-1, 1, np.shape(values)))


def _stay(values: Any) -> Any:
    return values


def _from_tree(model: Model, tree: Node, theta: Floats, x: Floats, move: Callable[[Any], Any]) -> Floats:
    """Return the value of the expression and its derivatives, shape (1 + params, n)."""
    steps = 1j * COMPLEX_STEP * np.eye(theta.size + 1, theta.size, -1)  # the first row has no step
    params = np.asarray(theta + steps, np.clongdouble).T[:, :, np.newaxis]
    names = model.params + model.inputs
    f = _evaluate(tree, dict(zip(names, [*params, *x.astype(np.clongdouble)], strict=True)), move)
    f = np.broadcast_to(f, (theta.size + 1, x.shape[1]))
    # Outside a domain, complex functions still return values where real ones do not.
    real = _evaluate(tree, dict(zip(names, [*theta, *x], strict=True)), _stay)
    return np.where(np.isfinite(real), np.concatenate([f[:1].real, f[1:].imag / COMPLEX_STEP]), np.nan)


def _functions(node: Node) -> set[str]:
    return {node.function}.union(*map(_functions, node.operands)) if isinstance(node, Call) else set()


def _along(value: Callable[[Any], Any], slope: Callable[[Any], Any], u: Any) -> Any:
    """Return f(u) for a complex u close to the real axis, from the value and the slope of f on the axis.

    This replaces complex functions that NumPy lacks, or that lose digits.
    """
    return value(u.real) + 1j * (u.imag * slope(u.real)) if np.iscomplexobj(u) else value(u)


def _sigmoid(u: Any) -> Any:
    """Return 1 / (1 + exp(-u)) without overflow."""
    power = np.exp(-np.abs(u))
    return np.where(u < 0, power, 1) / (1 + power)


def _larger(u: Any, v: Any) -> Any:
    """Return the number with the larger real part, or the mean of both at a tie or if either is nan."""
    return np.where(u.real > v.real, u, np.where(v.real > u.real, v, (u + v) / 2))


# These functions jump or bend depending on the real part.
_BY_REAL_PART: dict[str, Callable[..., Any]] = {
    # The complex absolute value has no derivative; this is |u| for real u and its analytic continuation.
    "absolute": lambda u: np.where(u.real < 0, -u, u),
    "relu": lambda u: np.where(u.real <= 0, 0, u),
    "maximum": _larger,
    "minimum": lambda u, v: -_larger(-u, -v),
    "less": lambda u, v: u.real < v.real,
    "less_equal": lambda u, v: u.real <= v.real,
    "greater": lambda u, v: u.real > v.real,
    "greater_equal": lambda u, v: u.real >= v.real,
    "where": np.where,
    # A negative number has integer powers, without a derivative with respect to the exponent.
    "power": lambda u, v: np.where((u.real < 0) & (v.imag != 0), np.nan, np.power(u, v)),
    "log1p": partial(_along, np.log1p, lambda u: 1 / (1 + u)),
    "sigmoid": partial(_along, _sigmoid, lambda u: _sigmoid(u) * _sigmoid(-u)),
    "softplus": partial(_along, lambda u: np.logaddexp(0, u), _sigmoid),
    "erf": partial(_along, erf, lambda u: 2 / np.sqrt(np.pi) * np.exp(-u * u)),
}


def _evaluate(node: Node, values: dict[str, Any], move: Callable[[Any], Any]) -> Any:
    match node:
        case Number(value):
            return np.longdouble(value)
        case Name(name):
            return values[name]
        case Call(function, operands):
            compute = _BY_REAL_PART.get(function) or getattr(np, function)
            value = compute(*(_evaluate(operand, values, move) for operand in operands))
            return value if function in COMPARISONS else move(value)


def _from_program(program: Program, theta: Floats, x: Floats, y: Floats, move: Callable[[Any], Any]) -> Floats:
    """Return the residual of the program and its derivatives, shape (1 + params, n)."""
    values: list[Any] = [np.asarray(value, np.longdouble) for value in (*theta, *x, y, *program.constants)]
    for function, operands in program.instructions:
        values.append(move(numpy_function(function)(*(values[operand] for operand in operands))))
    results = [values[number] for number in (program.residual, *program.derivatives)]
    return np.stack([np.broadcast_to(result, y.shape) for result in results])
