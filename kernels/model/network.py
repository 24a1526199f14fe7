"""Models with scalar products: layers of units, each unit an expression of dots and scalars.

``a*tanh(w @ x + b) + c`` is one layer of one unit, whose symbols are a, w, b and c; the value of w is the dot
``w @ x``. With scores of classes a layer has a unit for each class, with parameters of its own. ``v @ tanh(W @ x + c)``
has a hidden layer, ``tanh(W @ x + c)``, whose units the dot of v is taken with. The expression of a unit is a `Program`
of its symbols, so that one definition gives the reference and the kernels.

The meaning of ``w @ x`` is ``np.add.reduce(w * x)``, in NumPy's order of addition, at every length. With s, the
derivative of the loss of a sample by a symbol, the gradient of a scalar is s, and that of a weight s times its input.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from kernels.base.run import ADD_TOP_TWO, PAIRWISE_BLOCK, Floats
from kernels.model.program import Instruction, Program, run_program

SCALAR, HIDDEN = -2, -1
"""The sources of symbols that are no dot of inputs: a scalar, and a dot of the hidden units."""
# Numbers of products that are made at a time.
PRODUCTS = 2**20


class Symbol(NamedTuple):
    """A symbol of a layer: a scalar, or the weights of a dot; each unit of the layer has its own.

    Attributes
    ----------
    name : str
    first : int
        The place of its parameters among those of the network; those of a unit stand together.
    size : int
        The parameters of each unit: 1, or the length of the dot.
    source : int
        The first column of the inputs that a dot is taken of, or `HIDDEN` or `SCALAR`.
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
        The places of its single inputs.
    expression : str
        That of the program, with a name in place of each dot.
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
    """What a kernel is made of: a layer without its sizes, the kind of each symbol, and whether it has many units."""

    program: Program
    sources: tuple[int, ...]
    many: bool


class Network(NamedTuple):
    """One layer, or a hidden one and the layer of the scores.

    Attributes
    ----------
    layers : tuple of Layer
    params : int
        The parameters of all layers.
    inputs : int
        The columns of the inputs.
    """

    layers: tuple[Layer, ...]
    params: int
    inputs: int

    @property
    def scores(self) -> int:
        """The number of scores: 1, or one for each class."""
        return self.layers[-1].units

    @property
    def dots(self) -> int:
        """The dots with the inputs at a sample, of all units."""
        return sum(layer.units for layer in self.layers for symbol in layer.symbols if symbol.source >= 0)

    @property
    def structure(self) -> tuple[Structure, ...]:
        """All but the sizes, from which a kernel is compiled."""
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
        """The sizes, as kernels read them: those of the network, and of each layer, one symbol after another.

        Those of the network are its parameters, its inputs, and the terms of a sample: one for each derivative of a
        unit that differs from the others, and the loss. After these come the orders in which sums of the lengths of
        symbols are added.
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
        """Whether IEEE 754 rounds all its operations correctly, so that they have the same bits everywhere."""
        return all(layer.program.is_exact for layer in self.layers)

    @property
    def is_linear(self) -> bool:
        """Whether a score is linear in its parameters."""
        return len(self.layers) == 1 and self.layers[0].program.is_linear

    @property
    def linear_params(self) -> list[int]:
        """Parameters that the scores are jointly linear in, whatever the others are."""
        last = self.layers[-1]
        linear = [last.symbols[place] for place in last.program.linear_params]
        return sorted(place for symbol in linear for place in _places(symbol, last.units))

    @property
    def weights(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether each parameter is a weight of a dot, shape (params,): weight decay leaves scalars as they are."""
        found = np.zeros(self.params, np.bool_)
        for layer in self.layers:
            for symbol in layer.symbols:
                found[_places(symbol, layer.units)] = symbol.source != SCALAR
        return found

    @property
    def start_scale(self) -> Floats:
        """What normal draws are multiplied by to start from, shape (params,); see `kernels.Model.draw_start`."""
        scale = np.zeros(self.params)
        if self.is_linear:
            return scale
        for layer in self.layers:
            for symbol, derivative in zip(layer.symbols, layer.program.derivatives, strict=True):
                size = max(one.size for one in layer.symbols) if len(self.layers) > 1 else symbol.size
                is_zero = symbol.source == SCALAR and layer.program.is_one(derivative)
                scale[_places(symbol, layer.units)] = 0.0 if is_zero else 1.0 / np.sqrt(size)
        return scale


@cache
def _order_of_sum(size: int, backwards: int) -> tuple[int, ...]:
    """Return the order in which NumPy's add.reduce adds `size` terms: how many at a time, or `ADD_TOP_TWO`."""
    if size <= PAIRWISE_BLOCK:
        return (size,)
    half = size // 2 - size // 2 % 8
    halves = _order_of_sum(half, backwards), _order_of_sum(size - half, backwards)
    return *halves[backwards], *halves[1 - backwards], ADD_TOP_TWO


def _places(symbol: Symbol, units: int) -> range:
    return range(symbol.first, symbol.first + units * symbol.size)


class Term(NamedTuple):
    """The derivatives of n samples by the parameters of a symbol: that of unit k by its weight f is s_k * source_f.

    Attributes
    ----------
    symbol : Symbol
    slope : array, shape (units, n)
        The derivatives s by the symbol of each unit.
    source : array, shape (size, n), or None
        The inputs or the hidden units of a dot; None for a scalar.
    """

    symbol: Symbol
    slope: Floats
    source: Floats | None

    @property
    def places(self) -> slice:
        """The places of the parameters, those of a unit side by side."""
        return slice(self.symbol.first, self.symbol.first + len(self.slope) * self.symbol.size)

    def sums(self) -> Floats:
        """Return the sums over the samples, shape (units * size,), in NumPy's order; that of -0.0s is -0.0."""
        if self.source is None:
            return np.asarray(np.add.reduce(np.ascontiguousarray(self.slope), axis=-1, initial=-0.0))
        found = [np.add.reduce(np.ascontiguousarray(one * self.source), axis=-1, initial=-0.0) for one in self.slope]
        return np.concatenate(found)


class Forward(NamedTuple):
    """The values of a network at n samples.

    Attributes
    ----------
    values : list of array, shape (units, n)
        Of each layer; those of the last are the scores, or the residual.
    derivatives : list of list of array
        Those of the units' values by each symbol, of each layer: with units and samples as axes, or fewer.
    """

    network: Network
    theta: Floats
    x: Floats
    values: list[Floats]
    derivatives: list[list[Floats]]

    def terms(self, slopes: Floats) -> Iterator[Term]:
        """Yield the derivatives of the loss by each symbol, those of the last layer first.

        Parameters
        ----------
        slopes : array, shape (scores, n)
            The derivatives of the loss by the scores.
        """
        for number in reversed(range(len(self.network.layers))):
            layer, of_hidden = self.network.layers[number], []
            for symbol, derivative in zip(layer.symbols, self.derivatives[number], strict=True):
                source = None if symbol.source == SCALAR else _source(symbol, self.x, self.values)
                term = Term(symbol, _spread(slopes * derivative, slopes.shape), source)
                yield term
                if symbol.source == HIDDEN:
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
    """Return the values of a network at n samples, in float32 if theta is.

    Parameters
    ----------
    theta : array, shape (params,)
    x : array, shape (inputs, n)
    y : array, shape (n,)
        The targets of a residual, or zeros.
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
    """Return values as an array of this shape, which most have; broadcasting takes as long as the rest of a sample."""
    return values if np.shape(values) == shape else np.broadcast_to(values, shape)


def values_of(symbol: Symbol, units: int, theta: Floats, x: Floats, values: list[Floats]) -> Floats:
    """Return the values of a symbol: of a scalar, shape (units, 1), or dots of n samples, shape (units, n)."""
    weights = theta[symbol.first : symbol.first + units * symbol.size].reshape(units, symbol.size)
    return weights if symbol.source == SCALAR else dots(weights, _source(symbol, x, values))


def _source(symbol: Symbol, x: Floats, values: list[Floats]) -> Floats:
    """Return the vector that a dot is taken of, shape (size, n)."""
    return values[0] if symbol.source == HIDDEN else x[symbol.source : symbol.source + symbol.size]


def dots(weights: Floats, columns: Floats) -> Floats:
    """Return the sums of products of weights, shape (units, size), with samples, shape (size, n), in NumPy's order."""
    count = columns.shape[1]
    found = np.empty((len(weights), count), weights.dtype)
    step = max(1, PRODUCTS // weights.size)
    for first in range(0, count, step):
        # With the products of a sample side by side, each row is added pairwise.
        rows = np.ascontiguousarray(columns[:, first : first + step].T)
        products = weights[:, np.newaxis, :] * rows
        found[:, first : first + step] = np.add.reduce(products, axis=-1, initial=-0.0)
    return found


class Derivatives(Sequence[Floats]):
    """The derivatives of the only score of a network by its parameters, each computed when it is asked for."""

    def __init__(self, values: Forward) -> None:
        ones = np.ones((1, values.x.shape[1]), values.theta.dtype)
        self._count = values.network.params
        self._terms = {term.places.start: term for term in values.terms(ones)}
        self._starts = sorted(self._terms)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Floats:  # type: ignore[override]  # it has no slices
        """Return the derivative by a parameter, shape (n,)."""
        place = range(self._count)[place]  # which refuses a place beyond the last
        term = self._terms[self._starts[bisect_right(self._starts, place) - 1]]
        unit, weight = divmod(place - term.symbol.first, term.symbol.size)
        slope: Floats = term.slope[unit]
        return slope if term.source is None else slope * term.source[weight]
