"""The layers of a network in the text of its kernel: where sizes, parameters, dots and terms are.

Numbers of a run lie in flat arrays, and sizes are read from the layout of the network, so that one kernel serves
vectors of any length.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from kernels.base.run import BUFFERS
from kernels.compile.names import KernelParts
from kernels.compile.templates import indented
from kernels.model.network import SCALAR, Network, Structure
from kernels.model.program import Program, check_program


@dataclass(frozen=True)
class Layer:
    """A layer, and the texts of its sizes and places.

    Attributes
    ----------
    structure : Structure
    start : int
        The place of its sizes in the layout.
    prefix : str
        What the names of its sizes begin with.
    """

    structure: Structure
    start: int
    prefix: str = ""

    @property
    def many(self) -> bool:
        """Whether it has many units."""
        return self.structure.many

    @property
    def sources(self) -> tuple[int, ...]:
        """What each symbol is: a scalar, or a dot of the inputs or of hidden units."""
        return self.structure.sources

    @cached_property
    def program(self) -> Program:
        """Its program, which has each derivative once: symbols that are added have the same one, and share a term."""
        program = check_program(self.structure.program)
        return program._replace(derivatives=tuple(dict.fromkeys(program.derivatives)))

    @property
    def parts(self) -> int:
        """The number of different derivatives."""
        return len(self.program.derivatives)

    @property
    def dots(self) -> list[int]:
        """The symbols that are dots of the inputs."""
        return [symbol for symbol, source in enumerate(self.sources) if source >= 0]

    @property
    def symbols(self) -> list[int]:
        """All symbols, dots last: the next sample finds them in registers."""
        return sorted(range(len(self.sources)), key=lambda symbol: self.sources[symbol])

    @property
    def stop(self) -> int:
        """The place behind its sizes in the layout."""
        return self.start + 1 + 4 * len(self.sources) + self.program.inputs

    @property
    def sizes(self) -> dict[str, str]:
        """The texts of its sizes, by their names."""
        sizes, at = {f"{self.prefix}units": f"counts[LAYOUT + {self.start}]"}, self.start + 1
        for symbol in range(len(self.sources)):
            for name in ("first", "size", "source"):
                sizes[self.name(name, symbol)] = f"counts[LAYOUT + {at}]"
                at += 1
            sizes[self.name("order", symbol)] = f"LAYOUT + counts[LAYOUT + {at}]"
            at += 1
        return sizes | {
            f"{self.prefix}column_{number}": f"counts[LAYOUT + {at + number}]" for number in range(self.program.inputs)
        }

    def name(self, size: str, symbol: int) -> str:
        """Return the name of a size of a symbol."""
        return f"{self.prefix}{size}_{symbol}"

    def first(self, symbol: int) -> str:
        """Return the first parameter of a symbol of unit k."""
        step = "k" if self.sources[symbol] == SCALAR else f"k * {self.name('size', symbol)}"
        return self.name("first", symbol) + (f" + {step}" if self.many else "")

    def part(self, symbol: int) -> int:
        """Return which of the derivatives is that by a symbol."""
        return self.program.derivatives.index(self.structure.program.derivatives[symbol])

    def is_one(self, part: int) -> bool:
        """Return whether a derivative is 1 at every sample."""
        return self.program.is_one(self.program.derivatives[part])

    def loop(self, lines: Sequence[str]) -> list[str]:
        """Return lines for all units."""
        return [f"for k in range({self.prefix}units):", *indented(lines)] if self.many else list(lines)


@dataclass(frozen=True)
class NetworkParts(KernelParts):
    """The parts of the kernel of a model with vectors."""

    @cached_property
    def layers(self) -> list[Layer]:
        """One layer, or the hidden one and the last."""
        layers, start = list[Layer](), 3
        *hidden, last = self.network.structure
        for structure, prefix in [*((one, "hidden_") for one in hidden), (last, "")]:
            layers.append(Layer(structure, start, prefix))
            start = layers[-1].stop
        return layers

    @property
    def network(self) -> Network:
        """The model's network."""
        network = self.spec.model.program
        assert isinstance(network, Network)  # noqa: S101 (for the type)
        return network

    @property
    def last(self) -> Layer:
        """The layer of the scores."""
        return self.layers[-1]

    @property
    def has_hidden(self) -> bool:
        """Whether there is a hidden layer."""
        return len(self.layers) > 1

    @property
    def one_unit(self) -> bool:
        """Whether there is a single unit, whose dots and derivatives stay in variables."""
        return not self.has_hidden and not self.last.many

    @property
    def decays(self) -> bool:
        """Whether weights decay, and scalars do not."""
        return bool(self.rule.weight_decay or self.rule.decay_options)

    @cached_property
    def slots(self) -> list[str]:
        """The names of the slots of a parameter."""
        return [f"slot_{s}" for s in range(self.rule.slots)]

    # Numbers in flat arrays

    def get(self, cells: str, place: str, wide: int = 0) -> str:
        """Return the text that reads a number of each run, or with `wide` 8 of eight weights of one run."""
        if wide:
            return f"read_lane({cells}, {place}, {wide})"
        return self.load(cells, times(place, self.width), self.width)

    def put(self, value: str, cells: str, place: str, *, same: bool = False, wide: int = 0) -> str:
        """Return the line that writes a number; one that may be the `same` for all runs or weights is repeated."""
        size = wide or self.width
        value = f"broadcast({value}, {size})" if same and size > 1 else value
        return self.store(value, cells, place if wide else times(place, self.width), size)

    def slot(self, place: str, slot: int) -> str:
        """Return where a slot of a parameter is: of one run, those of all parameters lie one after the other."""
        if not self.by_eight:
            return f"params + {times(place, self.rule.slots)}" + (f" + {slot}" if slot else "")
        return f"{place} + params" if slot == 0 else f"{place} + {slot + 1} * params"

    def input(self, place: str) -> str:
        """Return the text that reads an input."""
        return self.number(f"x[{place}]")

    def dot_column(self, layer: Layer, symbol: int) -> str:
        """Return the first place of the dots of a symbol: those of `ROWS` samples of each unit lie side by side."""
        below = [] if layer is self.layers[0] else [(len(self.layers[0].dots), "hidden_units")]
        below.append((layer.dots.index(symbol), f"{layer.prefix}units"))
        counts = [(f"{count} * " if count > 1 else "") + f"ROWS * {units}" for count, units in below if count]
        return " + ".join(counts) or "0"

    def dot_at(self, layer: Layer, symbol: int, row: str) -> str:
        """Return the place of a dot of unit k with a sample."""
        return total(self.dot_column(layer, symbol), "k * ROWS" if layer.many else "0", row)

    def term(self, layer: Layer, part: int, row: str) -> str:
        """Return the place of the term of unit k with a derivative, among those of all samples."""
        below = "0" if layer is self.layers[0] else times("hidden_units", self.layers[0].parts)
        unit = times("k", layer.parts) if layer.many else "0"
        return total("0" if row == "0" else f"{row} * sample_terms", below, unit, str(part))

    def at_point(self, function: str, *, point: bool) -> str:
        """Return the name of a function that computes where the gradient is taken, or with theta."""
        return f"{function}_at_point" if point and self.rule.gradient_at else function


def total(*texts: str) -> str:
    """Return the text of a sum without its zeros."""
    return " + ".join(text for text in texts if text != "0") or "0"


def times(text: str, factor: int) -> str:
    """Return the text of a product."""
    if factor == 1 or text == "0":
        return text
    alone = re.fullmatch(r"\w+|\([^()]*\)", text)
    return f"{text} * {factor}" if alone else f"({text}) * {factor}"


def call(name: str, *arguments: str) -> str:
    """Return the text of a call, whose last arguments `link` writes."""
    return f"{name}({', '.join(arguments)}, {{{name}}})"


def link(parts: NetworkParts, functions: Iterable[str]) -> list[str]:
    """Return functions with all their arguments and with the sizes that they use, each behind those that it calls.

    In braces, the name of a function stands for the arguments that it takes from the loop around it, in its head and in
    calls. `{sizes}` stands for the lines that read sizes.
    """
    sizes = {"params": "counts[LAYOUT]", "inputs": "counts[LAYOUT + 1]", "sample_terms": "counts[LAYOUT + 2]"}
    for layer in parts.layers:
        sizes |= layer.sizes
    sizes |= {name: f"buffers[{place}]" for place, name in enumerate(BUFFERS)}
    around = ["lr", *parts.clock, "loss", "norm", *parts.settings]
    arguments, linked = dict[str, str](), list[str]()
    for function in functions:
        text = re.sub(r"\{(\w+)\}", lambda found: arguments.get(found[1], found[0]), function)
        head, _, body = re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL).partition("):\n")
        used = set(re.findall(r"[A-Za-z_]\w*", body)) - set(re.findall(r"\w+", head))
        used -= {name for name in ("loss", "norm") if f" {name} = " in body}
        (name,) = re.findall(r"^def (\w+)", head, re.MULTILINE)
        arguments[name] = ", ".join([*(one for one in around if one in used), "counts", "buffers"])
        lines = "".join(f"    {one} = {value}\n" for one, value in sizes.items() if one in used)
        linked.append(text.replace(f"{{{name}}}", arguments[name]).replace("    {sizes}\n", lines))
    return linked
