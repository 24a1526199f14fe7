"""Models with dot products: layers of units, each unit an expression of dot products and scalars.

``a*tanh(w @ x + b) + c`` is one layer of one unit with the symbols a, w, b and c; the value of the symbol w is the dot
product ``w @ x``. A layer of class scores has a unit per class, each with its own parameters. ``v @ tanh(W @ x + c)``
has a hidden layer, ``tanh(W @ x + c)``, whose units are multiplied with v. The expression of a unit is a `Program` of
its symbols, so that one definition serves the reference and the kernels.

``w @ x`` means ``np.add.reduce(w * x)``, in NumPy's order of addition, at every length. With s, the derivative of a
sample's loss with respect to a symbol, a scalar has the gradient s, and a weight has s times its input.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from sgdbench.kernels.base.run import ADD_TOP_TWO, PAIRWISE_BLOCK, Floats
from sgdbench.kernels.model.program import Instruction, Program, run_program

SCALAR_SOURCE, HIDDEN_UNITS = -2, -1
"""The sources of symbols that are not dot products of inputs: a scalar, and a dot product of the hidden units."""
# The number of products computed at a time.
PRODUCTS_AT_A_TIME = 2**20


class Symbol(NamedTuple):
    """A symbol of a layer: a scalar, or the weights of a dot product; each unit of the layer has its own.

    Attributes
    ----------
    name : str
    first : int
        The first place of its parameters among those of the network; those of a unit are adjacent.
    size : int
        The number of parameters per unit: 1, or the length of the dot product.
    source : int
        The first input column of a dot product, or `HIDDEN_UNITS` or `SCALAR_SOURCE`.
    """

    name: str
    first: int
    size: int
    source: int


class Layer(NamedTuple):
    """A layer of units with one program.

    Attributes
    ----------
    program : Program
    units : int
    symbols : tuple of Symbol
    columns : tuple of int
        The indices of its single inputs.
    expression : str
        The expression of the program, with a name in place of each dot product.
    names : tuple of str
        The names of the symbols and then of the single inputs in that expression.
    """

    program: Program
    units: int
    symbols: tuple[Symbol, ...]
    columns: tuple[int, ...]
    expression: str
    names: tuple[str, ...]


class Structure(NamedTuple):
    """The properties that determine a kernel: a layer without sizes, each symbol's kind, and whether units are many."""

    program: Program
    sources: tuple[int, ...]
    many: bool


class Network(NamedTuple):
    """One layer of scores, or a hidden layer and a layer of scores.

    Attributes
    ----------
    layers : tuple of Layer
    params : int
        The number of parameters of all layers.
    inputs : int
        The number of input columns.
    """

    layers: tuple[Layer, ...]
    params: int
    inputs: int

    @property
    def scores(self) -> int:
        """The number of scores: 1, or one per class."""
        return self.layers[-1].units

    @property
    def dots(self) -> int:
        """The number of dot products with the inputs per sample, over all units."""
        return sum(layer.units for layer in self.layers for symbol in layer.symbols if symbol.source >= 0)

    @property
    def structure(self) -> tuple[Structure, ...]:
        """The structure of all layers without sizes, which determines the kernel."""
        layers = enumerate(self.layers, 1)
        return tuple(
            Structure(
                layer.program,
                tuple(min(symbol.source, 0) for symbol in layer.symbols),
                layer.units > 1 or number < len(self.layers),
            )
            for number, layer in layers
        )

    @property
    def layout(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """The sizes in the form that kernels read: those of the network, then of each layer, symbol by symbol.

        The sizes of the network are the numbers of its parameters, of its inputs, and of the terms of a sample: one for
        each distinct derivative of a unit, and the loss. They are followed by the order of addition for each length of
        a symbol.
        """
        plans: dict[int, int] = {}
        terms = sum(layer.units * len(set(layer.program.derivatives)) for layer in self.layers)
        numbers = [self.params, self.inputs, terms + 1]
        for layer in self.layers:
            numbers.append(layer.units)
            for symbol in layer.symbols:
                numbers += [symbol.first, symbol.size, symbol.source, 0]
                plans[len(numbers) - 1] = symbol.size
            numbers += layer.columns
        places: dict[int, int] = {}
        for place, size in plans.items():
            if size not in places:
                places[size] = len(numbers)
                forwards, backwards = _order_of_sum(size, 0), _order_of_sum(size, 1)
                numbers += [size, len(forwards), *forwards, *backwards]
            numbers[place] = places[size]
        return np.array(numbers)

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The instructions of all layers."""
        return tuple(instruction for layer in self.layers for instruction in layer.program.instructions)

    @property
    def is_exact(self) -> bool:
        """Whether IEEE 754 rounds all operations correctly, so that they have the same bits everywhere."""
        return all(layer.program.is_exact for layer in self.layers)

    @property
    def is_linear(self) -> bool:
        """Whether a score is linear in its parameters."""
        return len(self.layers) == 1 and self.layers[0].program.is_linear

    @property
    def linear_params(self) -> list[int]:
        """Indices of parameters in which the scores are jointly linear, for any values of the others."""
        last = self.layers[-1]
        linear = [last.symbols[place] for place in last.program.linear_params]
        return sorted(place for symbol in linear for place in _places(symbol, last.units))

    @property
    def weights(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether each parameter is a weight, shape (params,); weight decay does not apply to scalars."""
        is_weight = np.zeros(self.params, np.bool_)
        for layer in self.layers:
            for symbol in layer.symbols:
                is_weight[_places(symbol, layer.units)] = symbol.source != SCALAR_SOURCE
        return is_weight

    @property
    def start_scale(self) -> Floats:
        """The factors on normal draws for initial parameters, shape (params,); see `sgdbench.Model.draw_start`."""
        scale = np.zeros(self.params)
        if self.is_linear:
            return scale
        for layer in self.layers:
            for symbol, derivative in zip(layer.symbols, layer.program.derivatives, strict=True):
                size = max(one.size for one in layer.symbols) if len(self.layers) > 1 else symbol.size
                is_zero = symbol.source == SCALAR_SOURCE and layer.program.is_one(derivative)
                scale[_places(symbol, layer.units)] = 0.0 if is_zero else 1.0 / np.sqrt(size)
        return scale


@cache
def _order_of_sum(size: int, backwards: int) -> tuple[int, ...]:
    """Return the order in which NumPy's add.reduce adds `size` terms: block lengths, or `ADD_TOP_TWO`."""
    if size <= PAIRWISE_BLOCK:
        return (size,)
    half = size // 2 - size // 2 % 8
    halves = _order_of_sum(half, backwards), _order_of_sum(size - half, backwards)
    return *halves[backwards], *halves[1 - backwards], ADD_TOP_TWO


def _places(symbol: Symbol, units: int) -> range:
    return range(symbol.first, symbol.first + units * symbol.size)


class Term(NamedTuple):
    """The derivatives at n samples for the parameters of a symbol; for weight f of unit k they are s_k * source_f.

    Attributes
    ----------
    symbol : Symbol
    slope : array, shape (units, n)
        The derivatives s with respect to the symbol of each unit.
    source : array, shape (size, n), or None
        The inputs or the hidden units of a dot product; None for a scalar.
    """

    symbol: Symbol
    slope: Floats
    source: Floats | None

    @property
    def places(self) -> slice:
        """The places of the parameters; those of a unit are adjacent."""
        return slice(self.symbol.first, self.symbol.first + len(self.slope) * self.symbol.size)

    def sums(self) -> Floats:
        """Return the sums over the samples, shape (units * size,), in NumPy's order; a sum of -0.0s is -0.0."""
        if self.source is None:
            return np.asarray(np.add.reduce(np.ascontiguousarray(self.slope), axis=-1, initial=-0.0))
        totals = [np.add.reduce(np.ascontiguousarray(one * self.source), axis=-1, initial=-0.0) for one in self.slope]
        return np.concatenate(totals)


class Forward(NamedTuple):
    """The values of a network at n samples.

    Attributes
    ----------
    values : list of array, shape (units, n)
        The values of each layer; those of the last layer are the scores, or the residual.
    derivatives : list of list of array
        For each layer, the derivatives of the units' values with respect to each symbol, with units and samples as
        axes, or fewer.
    """

    network: Network
    theta: Floats
    x: Floats
    values: list[Floats]
    derivatives: list[list[Floats]]

    def terms(self, slopes: Floats) -> Iterator[Term]:
        """Yield the derivatives of the loss with respect to each symbol, from the last layer to the first.

        Parameters
        ----------
        slopes : array, shape (scores, n)
            The derivatives of the loss with respect to the scores.
        """
        for number in reversed(range(len(self.network.layers))):
            layer, of_hidden = self.network.layers[number], []
            for symbol, derivative in zip(layer.symbols, self.derivatives[number], strict=True):
                source = None if symbol.source == SCALAR_SOURCE else _source(symbol, self.x, self.values)
                term = Term(symbol, _spread(slopes * derivative, slopes.shape), source)
                yield term
                if symbol.source == HIDDEN_UNITS:
                    of_hidden.append(term)
            before: Floats | None = None
            for unit in range(layer.units if of_hidden else 0):
                for term in of_hidden:
                    size = term.symbol.size
                    weights = self.theta[term.symbol.first + unit * size : term.symbol.first + (unit + 1) * size]
                    part = term.slope[unit] * weights[:, np.newaxis]
                    before = part if before is None else before + part
            if before is not None:
                slopes = before


def run_network(network: Network, theta: Floats, x: Floats, y: Floats) -> Forward:
    """Return the values of a network at n samples, in float32 if theta is float32.

    Parameters
    ----------
    theta : array, shape (params,)
    x : array, shape (inputs, n)
    y : array, shape (n,)
        The targets, for a residual, or zeros.
    """
    values: list[Floats] = []
    derivatives: list[list[Floats]] = []
    single = theta.dtype == np.float32
    nothing = np.zeros((), theta.dtype)
    for layer in network.layers:
        target = y if layer is network.layers[-1] else nothing
        symbols = [values_of(symbol, layer.units, theta, x, values) for symbol in layer.symbols]
        outputs, found = run_program(
            layer.program, [*symbols, *(x[column] for column in layer.columns), target], single=single
        )
        values.append(_spread(outputs, (layer.units, y.size)))
        derivatives.append(found)
    return Forward(network, theta, x, values, derivatives)


def _spread(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Return values as an array of this shape, which most already have; broadcasting is as slow as all else."""
    return values if np.shape(values) == shape else np.broadcast_to(values, shape)


def values_of(symbol: Symbol, units: int, theta: Floats, x: Floats, values: list[Floats]) -> Floats:
    """Return the values of a symbol: of a scalar, shape (units, 1), or the dot products of n samples, (units, n)."""
    weights = theta[symbol.first : symbol.first + units * symbol.size].reshape(units, symbol.size)
    return weights if symbol.source == SCALAR_SOURCE else dots(weights, _source(symbol, x, values))


def _source(symbol: Symbol, x: Floats, values: list[Floats]) -> Floats:
    """Return the vector in a dot product, shape (size, n)."""
    return values[0] if symbol.source == HIDDEN_UNITS else x[symbol.source : symbol.source + symbol.size]


def dots(weights: Floats, columns: Floats) -> Floats:
    """Return dot products of weights, shape (units, size), with samples, shape (size, n), in NumPy's order."""
    count = columns.shape[1]
    sums = np.empty((len(weights), count), weights.dtype)
    step = max(1, PRODUCTS_AT_A_TIME // weights.size)
    for first in range(0, count, step):
        # With the products of a sample adjacent, each row is added pairwise.
        rows = np.ascontiguousarray(columns[:, first : first + step].T)
        products = weights[:, np.newaxis, :] * rows
        sums[:, first : first + step] = np.add.reduce(products, axis=-1, initial=-0.0)
    return sums


class Derivatives(Sequence[Floats]):
    """The derivatives of the only score of a network with respect to its parameters, each computed on access."""

    def __init__(self, values: Forward) -> None:
        ones = np.ones((1, values.x.shape[1]), values.theta.dtype)
        self._count = values.network.params
        self._terms = {term.places.start: term for term in values.terms(ones)}
        self._starts = sorted(self._terms)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Floats:  # type: ignore[override]  # slices are not supported
        """Return the derivative with respect to a parameter, shape (n,)."""
        place = range(self._count)[place]  # raises IndexError beyond the end
        term = self._terms[self._starts[bisect_right(self._starts, place) - 1]]
        unit, weight = divmod(place - term.symbol.first, term.symbol.size)
        slope: Floats = term.slope[unit]
        return slope if term.source is None else slope * term.source[weight]
