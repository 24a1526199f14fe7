"""Elements common to all kernel texts: names, numbers and lanes, and the lines that a tape leaves."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.model.program import Program
from sgdbench.kernels.model.symbol import Symbol
from sgdbench.kernels.tape.tape import Tape
from sgdbench.kernels.tape.trace import traceable_loss, traceable_optimizer

Numbers = Sequence[Any]


class KernelParts:
    """The parts of a kernel, the names in its text, and the texts of its numbers. Instances are immutable.

    Attributes
    ----------
    loss, rule : Loss, Optimizer
        The loss and the optimizer, whose functions can be called with symbols.
    width : int
        The number of runs side by side.
    by_eight : bool
        Whether a single run computes with vectors of eight samples or weights; a `standalone` module never does.
    clock, options, loss_options, settings : list of str
        The names of the numbers of the clock, of the options of the rule and of the loss, and of all settings in the
        order in which a kernel takes them.
    """

    def __init__(self, spec: KernelSpec, *, standalone: bool = False) -> None:
        self.spec, self.loss, self.rule = spec, traceable_loss(spec.loss), traceable_optimizer(spec.optimizer)
        self.width, self.by_eight = spec.width, spec.width == 1 and not standalone
        self.clock = indexed_names("clock", len(self.rule.clock_start))
        self.loss_options = [f"loss_{name}" for name in self.loss.options]
        names = [name.replace(".", "_") for name in self.rule.options]
        self.options = [f"option_{name}" if name in _TAKEN else name for name in names]
        self.settings = [*self.loss_options, *self.options, *(["weight_decay"] if self.rule.weight_decay else [])]

    # Numbers on a tape

    def option_symbols(self, tape: Tape) -> tuple[Any, ...]:
        """Return the options of the rule as symbols."""
        return tuple(input_symbols(tape, self.options))

    def run(self, tape: Tape, program: Program, numbers: Numbers) -> list[Symbol | float]:
        """Return the values of a program."""
        if self.spec.dtype == "float32":
            # As in the reference, constants and conditions are float32 too.
            constants = [tape.append("as_float32", [value]) for value in program.constants]
            numbers = [*numbers, *(Symbol(tape, one) for one in constants)]
            program = program._replace(constants=())
        values = tape.run(program, operand_places(numbers))
        return [Symbol(tape, value) if isinstance(value, int) else value for value in values]

    def loss_arguments(self, tape: Tape, value: Any, target: Any) -> tuple[Any, ...]:
        """Return the arguments of the loss, and name the residual or the prediction accordingly."""
        options = tuple(input_symbols(tape, self.loss_options))
        if self.loss.of_residual:
            return name_number(value, "residual"), options
        return name_number(value, "prediction"), target, options

    # Numbers and lanes

    def read_settings(self) -> list[str]:
        """Return the texts that read the settings; the optimizer's may differ between runs."""
        own, width = self.spec.own_options, self.width
        return [
            self.load("settings", str(k * width), width)
            if own and k >= len(self.loss_options)
            else self.scalar(f"settings[{k * width if own else k}]")
            for k in range(len(self.settings))
        ]

    def read_clock(self, place: str) -> str:
        """Return the text that reads a number of the clock, which all runs share unless their options differ."""
        shared = self.width == 1 or not self.spec.own_options
        return self.scalar(f"cells[{place}]") if shared else self.load("cells", place, self.width)

    def clock_lane(self, name: str) -> str:
        """Return the text of a number of the clock as it is written for all runs."""
        return name if self.width == 1 or self.spec.own_options else f"broadcast({name}, {self.width})"

    def number(self, text: str) -> str:
        """Return the text of a number in the kernel's type."""
        return f"as_float32({text})" if self.spec.dtype == "float32" else text

    def scalar(self, text: str) -> str:
        """Return the text of an option or of a part of the clock, which have double precision."""
        return f"as_scalar({text})" if self.spec.dtype == "float32" else text

    def zero(self, width: int) -> str:
        """Return the text of -0.0, the start of every sum, for each run."""
        return self.number("-0.0") if width == 1 else f"broadcast({self.number('-0.0')}, {width})"

    def load(self, cells: str, place: str, width: int) -> str:
        """Return the text that reads a number, or a lane of numbers, in double precision."""
        return self.number(f"{cells}[{place}]" if width == 1 else f"read_lane({cells}, {place}, {width})")

    def store(self, value: str, cells: str, place: str, width: int) -> str:
        """Return the line that writes a number or a lane."""
        if width == 1 and self.spec.dtype == "float64":
            return f"{cells}[{place}] = {value}"
        return f"write_lane({value}, {cells}, {place})"


_TAKEN = {
    "theta", "state", "x", "y", "i", "lr", "count", "first", "size", "share", "order", "scratch", "options", "places",
    "norm", "residual", "prediction", "slope", "weight_decay", "start", "cells", "settings",
}  # fmt: skip
"""Names in the loops that an option cannot have."""


def input_symbols(tape: Tape, names: Iterable[str]) -> list[Symbol]:
    """Return symbols for numbers that come from outside the tape."""
    return [Symbol(tape, tape.given(name)) for name in names]


def name_number(value: Any, name: str) -> Any:
    """Name a number in the text, unless it already has a name; return it."""
    if isinstance(value, Symbol):
        value.tape.names.setdefault(value.number, name)
    return value


def operand_places(numbers: Numbers) -> list[int | float]:
    """Return the places of symbols on their tape, and constants."""
    return [one.number if isinstance(one, Symbol) else float(one) for one in numbers]


def text_of(tape: Tape, outputs: Numbers) -> tuple[list[str], list[str]]:
    """Return the lines that compute `outputs`, and the texts of the outputs."""
    return tape.lines(operand_places(outputs))


def text_of_loop(tape: Tape, outputs: Numbers, fixed: set[int]) -> tuple[list[str], list[str], list[str]]:
    """Return the loop-invariant lines before a loop, the lines in it, and the texts of the outputs."""
    places = operand_places(outputs)
    used = {one for place in tape.needed(places) if place not in fixed for one in tape.operations[place].operands}
    used |= set(places)
    before = frozenset(one for one in used & fixed if isinstance(one, int) and tape.operations[one].function != "given")
    hoisted, _ = tape.lines(sorted(before))
    return hoisted, *tape.lines(places, before)


def fixed_numbers(tape: Tape, names: Iterable[str]) -> set[int]:
    """Return the places of the given numbers, and of everything computed from these and constants alone."""
    fixed = {tape.given(name) for name in names}
    for place, (function, operands) in enumerate(tape.operations):
        if function != "given" and all(isinstance(one, float) or one in fixed for one in operands):
            fixed.add(place)
    return fixed


def number_lines(lines: Iterable[str]) -> list[str]:
    """Return lines whose unnamed numbers are counted from 0 in order of appearance."""
    numbers: dict[str, str] = {}
    return [
        re.sub(r"\bv_\d+\b", lambda match: numbers.setdefault(match[0], f"v_{len(numbers)}"), line) for line in lines
    ]


def assignment(name: str, text: str) -> list[str]:
    """Return the line that gives a number this name; no line if it already has it."""
    return [] if text == name else [f"{name} = {text}"]


def indexed_names(name: str, count: int) -> list[str]:
    """Return a name with each index, such as total_0 and total_1."""
    return [f"{name}_{k}" for k in range(count)]
