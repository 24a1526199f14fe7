"""The layers of a network in its kernel's text: where sizes, parameters, dot products and terms are stored.

The numbers of a run are in flat arrays, and sizes are read from the layout of the network, so that one kernel serves
vectors of any length.
"""

import re
from collections.abc import Iterable, Sequence

from sgdbench.kernels.base.run import BUFFERS
from sgdbench.kernels.compile.names import KernelParts, indexed_names
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.compile.templates import indented
from sgdbench.kernels.model.network import SCALAR_SOURCE, Network, Structure
from sgdbench.kernels.model.program import check_program


class Layer:
    """A layer, and the texts of its sizes and places.

    Attributes
    ----------
    many : bool
        Whether it has many units.
    sources : tuple of int
        What each symbol is: a scalar, or a dot product with the inputs or with hidden units.
    prefix : str
        The start of the names of its sizes.
    program : Program
        Has each derivative once: symbols that are added have the same derivative and share a term.
    dots, symbols : list of int
        The symbols that are dot products with inputs, and all symbols in the order of updates.
    sizes : dict
        The texts of its sizes by name, from `start` to `stop` of the layout.
    """

    def __init__(self, structure: Structure, start: int, prefix: str) -> None:
        self.many, self.sources, self.prefix = structure.many, structure.sources, prefix
        program = check_program(structure.program)
        self.derivatives = program.derivatives
        self.program = program._replace(derivatives=tuple(dict.fromkeys(program.derivatives)))
        self.parts, symbols = len(self.program.derivatives), range(len(self.sources))
        self.dots = [symbol for symbol in symbols if self.sources[symbol] >= 0]
        # Dot products come last, so that the next sample finds them in registers.
        self.symbols = sorted(symbols, key=lambda symbol: self.sources[symbol])
        names = [f"{prefix}units"]
        names += [self.name(size, symbol) for symbol in symbols for size in ("first", "size", "source", "order")]
        names += [f"{prefix}column_{number}" for number in range(program.inputs)]
        self.sizes = {name: f"counts[LAYOUT + {place}]" for place, name in enumerate(names, start)}
        orders = [self.name("order", symbol) for symbol in symbols]
        self.sizes |= {name: f"LAYOUT + {self.sizes[name]}" for name in orders}
        self.stop = start + len(names)

    def name(self, size: str, symbol: int) -> str:
        """Return the name of a size of a symbol."""
        return f"{self.prefix}{size}_{symbol}"

    def first(self, symbol: int) -> str:
        """Return the first parameter of a symbol of unit k."""
        step = "k" if self.sources[symbol] == SCALAR_SOURCE else f"k * {self.name('size', symbol)}"
        return self.name("first", symbol) + (f" + {step}" if self.many else "")

    def part(self, symbol: int) -> int:
        """Return the index of the derivative with respect to a symbol."""
        return self.program.derivatives.index(self.derivatives[symbol])

    def is_one(self, part: int) -> bool:
        """Return whether a derivative is 1 at every sample."""
        return self.program.is_one(self.program.derivatives[part])

    def loop(self, lines: Sequence[str]) -> list[str]:
        """Return lines for all units."""
        return [f"for k in range({self.prefix}units):", *indented(lines)] if self.many else list(lines)


class NetworkParts(KernelParts):
    """The parts of the kernel of a model with vectors.

    Attributes
    ----------
    layers : list of Layer
        The hidden layer, if `has_hidden`, and the `last` one.
    one_unit : bool
        Whether there is a single unit, whose dot products and derivatives stay in variables.
    decays : bool
        Whether weights decay; scalars never do.
    slots : list of str
        The names of the slots of a parameter.
    """

    def __init__(self, spec: KernelSpec, *, standalone: bool = False) -> None:
        super().__init__(spec, standalone=standalone)
        assert isinstance(spec.model.program, Network)  # noqa: S101 (for the type)
        self.network, self.layers, start = spec.model.program, list[Layer](), 3
        *hidden, last = self.network.structure
        for structure, prefix in [*((one, "hidden_") for one in hidden), (last, "")]:
            self.layers.append(Layer(structure, start, prefix))
            start = self.layers[-1].stop
        self.last, self.has_hidden = self.layers[-1], len(self.layers) > 1
        self.one_unit = not self.has_hidden and not self.last.many
        self.decays = bool(self.rule.weight_decay or self.rule.decay_options)
        self.slots = indexed_names("slot", self.rule.slots)

    # Numbers in flat arrays

    def get(self, cells: str, place: str, wide: int = 0) -> str:
        """Return the text that reads a number of each run, or with `wide` 8 of eight weights of one run."""
        if wide:
            return f"read_lane({cells}, {place}, {wide})"
        return self.load(cells, times(place, self.width), self.width)

    def put(self, value: str, cells: str, place: str, *, same: bool = False, wide: int = 0) -> str:
        """Return the line that writes a number; `same`: one number may be repeated for all runs or weights."""
        size = wide or self.width
        value = f"broadcast({value}, {size})" if same and size > 1 else value
        return self.store(value, cells, place if wide else times(place, self.width), size)

    def slot(self, place: str, slot: int) -> str:
        """Return the place of a slot of a parameter; one run stores slot after slot, each for all parameters."""
        if not self.by_eight:
            return f"params + {times(place, self.rule.slots)}" + (f" + {slot}" if slot else "")
        return f"{place} + params" if slot == 0 else f"{place} + {slot + 1} * params"

    def dot_column(self, layer: Layer, symbol: int) -> str:
        """Return the first place of the dot products of a symbol; those of `ROWS` samples of a unit are adjacent."""
        below = [] if layer is self.layers[0] else [(len(self.layers[0].dots), "hidden_units")]
        below.append((layer.dots.index(symbol), f"{layer.prefix}units"))
        counts = [(f"{count} * " if count > 1 else "") + f"ROWS * {units}" for count, units in below if count]
        return " + ".join(counts) or "0"

    def dot_at(self, layer: Layer, symbol: int, row: str) -> str:
        """Return the place of a dot product of unit k with a sample."""
        return total(self.dot_column(layer, symbol), "k * ROWS" if layer.many else "0", row)

    def term(self, layer: Layer, part: int, row: str) -> str:
        """Return the place of the term of unit k with a derivative, among those of all samples."""
        below = "0" if layer is self.layers[0] else times("hidden_units", self.layers[0].parts)
        unit = times("k", layer.parts) if layer.many else "0"
        return total("0" if row == "0" else f"{row} * sample_terms", below, unit, str(part))

    def at_point(self, function: str, *, point: bool) -> str:
        """Return the name of a function that computes with theta, or at the point where the gradient is taken."""
        return f"{function}_at_point" if point and self.rule.gradient_at else function


def total(*texts: str) -> str:
    """Return the text of a sum, omitting zeros."""
    return " + ".join(text for text in texts if text != "0") or "0"


def times(text: str, factor: int) -> str:
    """Return the text of a product."""
    if factor == 1 or text == "0":
        return text
    alone = re.fullmatch(r"\w+|\([^()]*\)", text)
    return f"{text} * {factor}" if alone else f"({text}) * {factor}"


def call(name: str, *arguments: str) -> str:
    """Return the text of a call, whose remaining arguments `link` adds."""
    return f"{name}({', '.join(arguments)}, {{{name}}})"


def link(parts: NetworkParts, functions: Iterable[str]) -> list[str]:
    """Return functions with all their arguments and the sizes that they use, each after the functions it calls.

    A function name in braces, in its head or in calls, stands for the arguments that it takes from the surrounding
    loop. `{sizes}` stands for the lines that read sizes, `@cells[place]` for a number of each run, and `number(text)`
    for a number of the kernel's type.
    """
    sizes = {"params": "counts[LAYOUT]", "inputs": "counts[LAYOUT + 1]", "sample_terms": "counts[LAYOUT + 2]"}
    for layer in parts.layers:
        sizes |= layer.sizes
    sizes |= {name: f"buffers[{place}]" for place, name in enumerate(BUFFERS)}
    around = ["lr", *parts.clock, "loss", "norm", *parts.settings]
    arguments, linked = dict[str, str](), list[str]()
    for function in functions:
        text = re.sub(r"\{(\w+)\}", lambda found: arguments.get(found[1], found[0]), _numbers(parts, function))
        head, _, body = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL).partition("):\n")
        used = set(re.findall(r"[A-Za-z_]\w*", body)) - set(re.findall(r"\w+", head))
        used -= {name for name in ("loss", "norm") if f" {name} = " in body}
        (name,) = re.findall(r"^def (\w+)", head, re.MULTILINE)
        arguments[name] = ", ".join([*(one for one in around if one in used), "counts", "buffers"])
        lines = "".join(f"    {one} = {value}\n" for one, value in sizes.items() if one in used)
        linked.append(text.replace(f"{{{name}}}", arguments[name]).replace("    {sizes}\n", lines))
    return linked


def _numbers(parts: NetworkParts, text: str) -> str:
    """Return a text in which the accesses to numbers are expanded."""
    text = text.replace("@zeros_of_eight", parts.zero(8)).replace("@zero", parts.zero(parts.width))
    place = r"@(\w+)\[((?:[^][]|\[[^][]*\])*)\]"
    text = re.sub(rf"(?m)^( *){place} = (.*)", lambda match: match[1] + parts.put(match[4], match[2], match[3]), text)
    text = re.sub(place, lambda match: parts.get(match[1], match[2]), text)
    return re.sub(r"\bnumber\(((?:[^()]|\([^()]*\))*)\)", lambda match: parts.number(match[1]), text)
