"""The layout of a network's parameters, inputs and terms, as texts for the functions that are written out."""

from kernels.base.run import ROWS
from kernels.model.network import HIDDEN, Structure

PARAMS, INPUTS, TERMS, FIRST = 0, 1, 2, 3
"""The places of the layout: the parameters, the columns of the inputs, the terms of a sample, and the first layer."""


class Places:
    """A layer, and the texts of its sizes: of the layout in a kernel, in the names that a function gives them.

    Its dots stand behind those of the layer `below` it. Its `program` has each derivative once: symbols that are added
    have the same one, and share a term.
    """

    def __init__(self, number: int, layer: Structure, start: int, below: "Places | None" = None) -> None:
        self.number, self.layer, self.start = number, layer, start
        self.symbols = len(layer.sources)
        self.program = layer.program._replace(derivatives=tuple(dict.fromkeys(layer.program.derivatives)))
        self.parts = len(self.program.derivatives)
        self.units = f"layout[{start}]"
        self.dots_below = f" + {ROWS * len(below.dots)} * {below.units}" if below else ""
        self.stop = start + 1 + 4 * self.symbols + layer.program.inputs

    def begin(self, symbol: int) -> str:
        """Return the first parameter of a symbol."""
        return f"layout[{self.start + 1 + 4 * symbol}]"

    def first(self, symbol: int) -> str:
        """Return the first parameter of a symbol of unit k."""
        return f"{self.begin(symbol)} + k * {self.size(symbol)}"

    def size(self, symbol: int) -> str:
        """Return the length of a symbol."""
        return f"layout[{self.start + 2 + 4 * symbol}]"

    def source(self, symbol: int) -> str:
        """Return the first column of a dot's inputs."""
        return f"layout[{self.start + 3 + 4 * symbol}]"

    def order(self, symbol: int) -> str:
        """Return the place of the order in which a dot is added up."""
        return f"layout[{self.start + 4 + 4 * symbol}]"

    def column(self, number: int) -> str:
        """Return the column of a single input."""
        return f"layout[{self.start + 1 + 4 * self.symbols + number}]"

    @property
    def dots(self) -> list[int]:
        """The symbols that are dots with inputs."""
        return [place for place, source in enumerate(self.layer.sources) if source >= 0]

    @property
    def of_hidden(self) -> list[int]:
        """The symbols that are dots with the hidden units."""
        return [place for place, source in enumerate(self.layer.sources) if source == HIDDEN]

    def dot(self, place: int, row: str = "row") -> str:
        """Return the place of a dot of unit k among those of `ROWS` samples."""
        count = len(self.dots)
        return f"({row} & {ROWS - 1}) * {self.units} * {count} + k * {count} + {place}{self.dots_below}"

    @property
    def by_itself(self) -> bool:
        """Whether it is the only unit, whose dots and derivatives stay in registers."""
        return not self.number and not self.layer.many

    def part(self, symbol: int) -> int:
        """Return which of the derivatives is that by a symbol."""
        return self.program.derivatives.index(self.layer.program.derivatives[symbol])

    def is_one(self, part: int) -> bool:
        """Return whether a derivative is 1 at every sample."""
        return self.program.is_one(self.program.derivatives[part])

    def term(self, part: int, row: str = "row") -> str:
        """Return the place of the term of unit k with a derivative, among those of all samples."""
        return f"{row} * layout[{TERMS}] + base_{self.number} + k * {self.parts} + {part}"


def bases(layers: list[Places]) -> list[str]:
    """Return the lines that name the first term of each layer."""
    lines = ["layout = room.layout", f"params = layout[{PARAMS}]", "base_0 = 0"]
    return lines + [f"base_1 = layout[{FIRST}] * {layers[0].parts}"] * (len(layers) > 1)
