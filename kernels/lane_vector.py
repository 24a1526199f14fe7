"""LLVM vectors with operators, so that what is emitted for a formula reads as the formula."""

from collections.abc import Iterable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

INDEX = ir.IntType(32)


class Vector:
    """An LLVM vector with operators; numbers take part in them.

    A multiplication and an addition may become one FMA in any kernel, since the result is an approximation in any case.
    (To ask for one with llvm.fma is to call a slow function where the processor has none.)
    """

    def __init__(self, builder: Any, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector | float") -> "Vector":
        return self._combine("fadd", other)

    def __sub__(self, other: "Vector | float") -> "Vector":
        return self._combine("fsub", other)

    def __mul__(self, other: "Vector | float") -> "Vector":
        return self._combine("fmul", other)

    def __truediv__(self, other: "Vector | float") -> "Vector":
        return self._combine("fdiv", other)

    def _combine(self, instruction: str, other: "Vector | float") -> "Vector":
        operand = other.value if isinstance(other, Vector) else constant(self.value.type, other)
        return Vector(self.builder, getattr(self.builder, instruction)(self.value, operand, flags=("contract",)))

    def replace(self, new: float, relation: str, limit: float) -> "Vector":
        """Return `new` in place of the elements that are "<" or ">" than a limit; nan is neither."""
        beyond = self.builder.fcmp_ordered(relation, self.value, constant(self.value.type, limit))
        return Vector(self.builder, self.builder.select(beyond, constant(self.value.type, new), self.value))

    def fma(self, factor: "Vector | float", term: "Vector | float") -> "Vector":
        """Return self * factor + term, rounded once; only where the processor has an instruction for it."""
        return self.call("llvm.fma", factor, term)

    def call(self, name: str, *others: "Vector | float") -> "Vector":
        """Return what LLVM's own function of that name gives for this vector and others."""
        args = [other.value if isinstance(other, Vector) else constant(self.value.type, other) for other in others]
        return Vector(self.builder, llvm_function(self.builder, name, self.value, *args))


def call(builder: Any, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """Emit a call of LLVM's own function of that full name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def llvm_function(builder: Any, name: str, *args: ir.Value) -> ir.Value:
    """Emit a call of LLVM's own function of that name on vectors of doubles."""
    return call(builder, f"{name}.v{args[0].type.count}f64", args[0].type, *args)


def constant(kind: ir.VectorType, number: float) -> ir.Constant:
    """Return a vector of one number."""
    return ir.Constant(kind, [number] * kind.count)


def features_of(context: Any) -> list[str]:
    """Return what the processor has that code is emitted for, as LLVM writes it: "+avx2"."""
    features: list[str] = context.codegen().magic_tuple()[2].split(",")
    return features


def split(builder: Any, vector: ir.Value, width: int) -> list[ir.Value]:
    """Return the parts of a vector, of that width each."""
    return [
        shuffle(builder, vector, vector, range(first, first + width)) for first in range(0, vector.type.count, width)
    ]


def concatenate(builder: Any, parts: Sequence[ir.Value]) -> ir.Value:
    """Return one vector of two, four, eight, ... parts."""
    while len(parts) > 1:
        places = range(2 * parts[0].type.count)
        parts = [shuffle(builder, low, high, places) for low, high in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def shuffle(builder: Any, low: ir.Value, high: ir.Value, places: Iterable[int]) -> ir.Value:
    """Emit the vector of the elements at `places`, counted through two vectors."""
    mask = [ir.Constant(INDEX, place) for place in places]
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(INDEX, len(mask)), mask))
