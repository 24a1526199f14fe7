"""What the texts of all kernels have in common: the names in them, numbers and lanes, and lines from tapes."""

import re
from collections.abc import Sequence
from typing import Any

from kernels.compile.spec import KernelSpec
from kernels.model.program import Program
from kernels.tape.symbol import Symbol
from kernels.tape.tape import Tape
from kernels.tape.trace import traceable_loss, traceable_optimizer

Numbers = Sequence[Any]


class KernelText:
    """The names in a kernel, and the texts of its numbers.

    Attributes
    ----------
    clock, options, loss_options, settings : list of str
        The names of the numbers of the clock, of the options of the rule and of the loss, and of all settings in the
        order in which a kernel takes them.
    """

    def __init__(self, spec: KernelSpec) -> None:
        self.spec, self.loss, self.rule = spec, traceable_loss(spec.loss), traceable_optimizer(spec.optimizer)
        self.width, self.lanes = spec.width, spec.width > 1
        self.clock = [f"clock_{k}" for k in range(len(self.rule.clock_start))]
        self.loss_options = [f"loss_{name}" for name in self.loss.options]
        self.options = [name.replace(".", "_") for name in self.rule.options]
        self.options = [f"option_{name}" if name in _TAKEN else name for name in self.options]
        self.settings = [*self.loss_options, *self.options, *(["weight_decay"] if self.rule.weight_decay else [])]

    # Numbers on a tape

    def names(self, tape: Tape, names: Sequence[str]) -> list[Symbol]:
        """Return symbols for numbers that come from outside."""
        return [Symbol(tape, tape.given(name)) for name in names]

    def run(self, tape: Tape, program: Program, given: Numbers) -> list[Symbol | float]:
        """Return the values of a program."""
        if self.spec.dtype == "float32":
            # As in the reference, constants and conditions are float32 too.
            constants = [tape.append("as_float32", [value]) for value in program.constants]
            given, program = [*given, *(Symbol(tape, one) for one in constants)], program._replace(constants=())
        values = tape.run(program, [one.number if isinstance(one, Symbol) else float(one) for one in given])
        return [Symbol(tape, value) if isinstance(value, int) else value for value in values]

    # Numbers and lanes

    def read_settings(self) -> list[str]:
        """Return the texts that read the settings; those of the optimizer may differ from run to run."""
        own, width = self.spec.own_options, self.width
        return [
            self.load("settings", str(k * width), width)
            if own and k >= len(self.loss_options)
            else self.scalar(f"settings[{k * width if own else k}]")
            for k in range(len(self.settings))
        ]

    def number(self, text: str) -> str:
        """Return the text of a number of the type that the kernel computes with."""
        return f"as_float32({text})" if self.spec.dtype == "float32" else text

    def scalar(self, text: str) -> str:
        """Return the text of an option or of a part of the clock, which are of double precision."""
        return f"as_scalar({text})" if self.spec.dtype == "float32" else text

    def load(self, cells: str, place: str, width: int) -> str:
        """Return the text that reads a number, or a lane of them, from double precision."""
        return self.number(f"{cells}[{place}]" if width == 1 else f"read_lane({cells}, {place}, {width})")

    def store(self, value: str, cells: str, place: str, width: int) -> str:
        """Return the line that writes a number or a lane."""
        if width == 1 and self.spec.dtype == "float64":
            return f"{cells}[{place}] = {value}"
        return f"write_lane({value}, {cells}, {place})"


_TAKEN = {
    "theta",
    "state",
    "x",
    "y",
    "i",
    "lr",
    "count",
    "first",
    "size",
    "share",
    "order",
    "scratch",
    "options",
    "places",
}
_TAKEN |= {"norm", "residual", "prediction", "slope", "weight_decay", "start", "cells", "settings", "state"}
"""Names in the loops that an option cannot have."""


def label(value: Any, name: str) -> Any:
    """Name a number in the text, unless it has a name; return it."""
    if isinstance(value, Symbol):
        value.tape.names.setdefault(value.number, name)
    return value


def text_of(tape: Tape, outputs: Numbers) -> tuple[list[str], list[str]]:
    """Return the lines that compute some numbers, and the texts of these."""
    return tape.lines([one.number if isinstance(one, Symbol) else float(one) for one in outputs])


def numbered(lines: Sequence[str]) -> list[str]:
    """Return lines whose numbers without a name are counted from 0 on, as they appear."""
    numbers: dict[str, str] = {}
    return [
        re.sub(r"\bv_\d+\b", lambda found: numbers.setdefault(found[0], f"v_{len(numbers)}"), line) for line in lines
    ]


def fixed_numbers(tape: Tape, given: Sequence[str]) -> set[int]:
    """Return the places of given numbers, and of all that is computed from these and constants alone."""
    fixed = {tape.given(name) for name in given}
    for place, (function, operands) in enumerate(tape.operations):
        if function != "given" and all(isinstance(one, float) or one in fixed for one in operands):
            fixed.add(place)
    return fixed


def with_plain_functions(text: str) -> str:
    """Return functions for numbers alone, behind those of `kernels.simd.compiled_functions` that they call."""
    used = [one for name, one in PLAIN.items() if re.search(rf"(?<![.\w]){name}\(", text)]
    return "\n\n".join([*used, text])


PLAIN = {
    name: f"@njit(**INLINED)\ndef {name}({given}):\n    return {text}\n\n"
    for name, given, text in (
        ("less", "u, v", "1.0 if u < v else 0.0"),
        ("less_equal", "u, v", "1.0 if u <= v else 0.0"),
        ("where", "condition, a, b", "a if condition != 0.0 else b"),
        ("maximum", "a, b", "b if b > a or b != b else a"),
        ("minimum", "a, b", "b if b < a or b != b else a"),
        ("erf", "u", "math.erf(u)"),
    )
}
"""The functions of `kernels.simd.compiled_functions` for numbers alone."""
