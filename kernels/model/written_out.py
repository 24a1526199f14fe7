"""Short vectors written out: ``w @ x + b`` of few inputs as the program of a model without vectors.

Its kernels keep all parameters in registers, and compile faster than kernels with loops over weights. The products are
added in NumPy's order, and gradients are products of the same two factors, so results have the same bits.
"""

from typing import NamedTuple

from sgdbench.kernels.model.network import SCALAR_SOURCE, Network
from sgdbench.kernels.model.program import Instruction, Program

MAX_PARAMS = 12
"""The parameters of the largest model that is written out: adam in lanes takes as long to compile with loops."""


def write_out(network: Network) -> Program | None:
    """Return the program of a network, or None if it is not written out.

    A network is written out if it has a single unit and few parameters, and each product is a term of the score,
    ``w @ x`` but not ``2*(w @ x)``: then the derivative of the score with respect to a weight is an unscaled input.
    """
    layer = network.layers[-1]
    if len(network.layers) > 1 or layer.units > 1 or network.params > MAX_PARAMS:
        return None
    unit, params, inputs = layer.program, network.params, network.inputs
    code = _Code(params + inputs + 1 + len(unit.constants), [])
    symbols, derivatives = [], [0] * params
    first_constant = unit.params + unit.inputs + 1
    for symbol, derivative in zip(layer.symbols, unit.derivatives, strict=True):
        if symbol.source == SCALAR_SOURCE:
            symbols.append(symbol.first)
            continue
        constant = derivative - first_constant
        if not (0 <= constant < len(unit.constants) and unit.constants[constant] == 1.0):
            return None
        terms = []
        for place in range(symbol.size):
            weight, source = symbol.first + place, params + symbol.source + place
            terms.append(code.add("multiply", weight, source))
            derivatives[weight] = source
        symbols.append(code.sum(terms))
    # The values of the unit's program: symbols, inputs, y and constants, then instructions.
    values = [*symbols, *(params + column for column in layer.columns)]
    values += range(params + inputs, params + inputs + 1 + len(unit.constants))
    for function, operands in unit.instructions:
        values.append(code.add(function, *(values[operand] for operand in operands)))
    for symbol, derivative in zip(layer.symbols, unit.derivatives, strict=True):
        if symbol.source == SCALAR_SOURCE:
            derivatives[symbol.first] = values[derivative]
    return Program(
        params,
        inputs,
        unit.constants,
        tuple(code.instructions),
        values[unit.residual],
        tuple(derivatives),
        tuple(place for place in range(params) if network.weights[place]),
    )


class _Code(NamedTuple):
    """Instructions whose values are numbered from `first` on."""

    first: int
    instructions: list[Instruction]

    def add(self, function: str, *operands: int) -> int:
        """Add an instruction, and return the number of its value."""
        self.instructions.append(Instruction(function, operands))
        return self.first + len(self.instructions) - 1

    def sum(self, terms: list[int]) -> int:
        """Return the number of the sum of up to 15 terms, in the order of `np.add.reduce`: eight terms pairwise."""
        sums, rest = (terms[:8], terms[8:]) if len(terms) >= 8 else (terms[:1], terms[1:])
        while len(sums) > 1:
            sums = [self.add("add", *sums[place : place + 2]) for place in range(0, len(sums), 2)]
        (total,) = sums
        for term in rest:
            total = self.add("add", total, term)
        return total
