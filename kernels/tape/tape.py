"""A tape: straight-line code recorded from symbols, like a `sgdbench.kernels.model.program`, and its text.

Functions without a prefix are those of programs (`sgdbench.kernels.model.functions`); ``np.maximum`` and similar names
are NumPy's, and ``pow`` is Python's operator.
"""

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.model.functions import FUNCTIONS
from sgdbench.kernels.model.program import EXACT_FUNCTIONS, OPERATORS, Program

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "pow": "**"}
LEVELS = {"add": 1, "subtract": 1, "multiply": 2, "divide": 2, "negative": 3, "pow": 4}
ATOM = 9
"""The level of a text that needs no parentheses."""
LONGEST = 70
"""The characters of an expression that still stands inside another one."""
GIVEN = "given"
EXACT_ON_TAPE = (
    EXACT_FUNCTIONS | {f"np.{name}" for name in ("sqrt", "absolute", "sign", "minimum", "maximum")} | {GIVEN}
)


class Operation(NamedTuple):
    """A function of earlier numbers, given by their places, and of constants, which are floats."""

    function: str
    operands: tuple[int | float, ...]


class Tape:
    """Operations in the order in which they are computed, each recorded once."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.names: dict[int, str] = {}
        self._known: dict[tuple[object, ...], int] = {}

    def append(self, function: str, operands: Sequence[int | float]) -> int:
        """Return the place of an operation, which is appended if it is new."""
        # The key distinguishes -0.0 from 0.0 and 1 from 1.0, which are equal but different operands.
        key = (function, *((type(one), repr(one)) for one in operands))
        if key not in self._known:
            self._known[key] = len(self.operations)
            self.operations.append(Operation(function, tuple(operands)))
        return self._known[key]

    def given(self, name: str) -> int:
        """Return the place of a number that comes from outside."""
        place = len(self.operations)
        first_place = self._known.setdefault((GIVEN, name), place)
        if first_place == place:
            self.operations.append(Operation(GIVEN, ()))
            self.names[place] = name
        return first_place

    def run(self, program: Program, given: Sequence[int | float]) -> list[int | float]:
        """Append a model's program applied to given numbers; return the places of all its values."""
        values: list[int | float] = [*given, *program.constants]
        for function, operands in program.instructions:
            name = (
                function if function in INFIX or function in FUNCTIONS or function == "negative" else f"np.{function}"
            )
            place = self.append(name, [values[operand] for operand in operands])
            values.append(self.append("add", [place, 0.0]) if function == "sign" else place)
        return values

    def evaluate(self, outputs: Sequence[int | float], given: Mapping[str, Any]) -> list[Any]:
        """Return the values of the outputs for given numbers or arrays, with NumPy."""
        values: dict[int, Any] = {place: given[name] for place, name in self.names.items() if name in given}
        for place in self.needed(outputs):
            function, operands = self.operations[place]
            values[place] = _function(function)(*(values[one] if isinstance(one, int) else one for one in operands))
        return [values[one] if isinstance(one, int) else one for one in outputs]

    def needed(self, outputs: Iterable[int | float], known: frozenset[int] = frozenset()) -> list[int]:
        """Return, in order, the places of the operations that the outputs depend on, except known ones."""
        places, waiting = set[int](), [one for one in outputs if isinstance(one, int)]
        while waiting:
            place = waiting.pop()
            if place not in places and place not in known and self.operations[place].function != GIVEN:
                places.add(place)
                waiting += [one for one in self.operations[place].operands if isinstance(one, int)]
        return sorted(places)

    def is_exact(self, outputs: Iterable[int | float]) -> bool:
        """Return whether IEEE 754 rounds all operations of the outputs correctly, with the same bits everywhere."""
        return all(self.operations[place].function in EXACT_ON_TAPE for place in self.needed(outputs))

    def depends(self, places: Iterable[int]) -> set[int]:
        """Return these places and those of all numbers that depend on them."""
        dependent = set(places)
        for place, (_, operands) in enumerate(self.operations):
            if any(isinstance(one, int) and one in dependent for one in operands):
                dependent.add(place)
        return dependent

    def lines(self, outputs: Sequence[int | float], known: frozenset[int] = frozenset()) -> tuple[list[str], list[str]]:
        """Return the lines that compute the outputs, and the texts of the outputs.

        A number that is used once is inlined, unless it has a name. Numbers in `known` are computed by earlier lines.
        """
        places = self.needed(outputs, known)
        uses = Counter(one for place in places for one in self.operations[place].operands if isinstance(one, int))
        ends = {one for one in outputs if isinstance(one, int)}
        texts: dict[int, tuple[str, int]] = {}
        lines = []
        for place in places:
            text, level = self._text(place, texts)
            if place in ends or uses[place] > 1 or len(text) > LONGEST or place in self.names:
                lines.append(f"{self.name(place)} = {text}")
            else:
                texts[place] = text, level
        return lines, [self._operand(one, texts)[0] for one in outputs]

    def name(self, place: int) -> str:
        """Return the name of a number."""
        return self.names.get(place, f"v_{place}")

    def _operand(self, one: int | float, texts: dict[int, tuple[str, int]]) -> tuple[str, int]:
        if isinstance(one, float):
            text = repr(one) if math.isfinite(one) else f"np.{one!r}".replace("np.-", "-np.")
            return text, LEVELS["negative"] if text.startswith("-") else ATOM
        return texts.get(one, (self.name(one), ATOM))

    def _text(self, place: int, texts: dict[int, tuple[str, int]]) -> tuple[str, int]:
        """Return the text of an operation, which is never regrouped, and its precedence level."""
        function, operands = self.operations[place]
        parts = [self._operand(one, texts) for one in operands]
        level = LEVELS.get(function, ATOM)
        if function in INFIX:
            (left, left_level), (right, right_level) = parts
            binds = function != "pow"
            left = left if left_level == ATOM or (binds and left_level >= level) else f"({left})"
            right = right if right_level == ATOM or (binds and right_level > level) else f"({right})"
            return f"{left} {INFIX[function]} {right}", level
        if function == "negative":
            text, inner = parts[0]
            return f"-{text if inner == ATOM else f'({text})'}", level
        return f"{function}({', '.join(text for text, _ in parts)})", ATOM


def _function(name: str) -> Callable[..., Any]:
    """Return the function of a tape operation for NumPy scalars and arrays."""
    if name.startswith("np."):
        function: Callable[..., Any] = getattr(np, name.removeprefix("np."))
        return function
    return operator.pow if name == "pow" else OPERATORS.get(name) or FUNCTIONS[name]
