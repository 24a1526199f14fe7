"""Models given as expressions of SymPy: their text."""

from typing import Any

import sympy
from sympy.core import numbers
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanTrue
from sympy.printing.str import StrPrinter

from sgdbench.kernels.model.column_names import is_name

_FUNCTIONS = (
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "asin",
    "acos",
    "atan",
    "erf",
    "Abs",
    "Max",
    "Min",
)
_COMPARISONS = (sympy.StrictLessThan, sympy.LessThan, sympy.StrictGreaterThan, sympy.GreaterThan)
_ACCEPTED: tuple[type, ...] = (
    *(sympy.Symbol, sympy.Add, sympy.Mul, sympy.Pow, *(getattr(sympy, name) for name in _FUNCTIONS)),
    *(sympy.Integer, sympy.Rational, sympy.Float, numbers.Pi, numbers.Exp1),
    *(sympy.Piecewise, ExprCondPair, BooleanTrue, sympy.And, sympy.Or, *_COMPARISONS),
)


def write_sympy(expression: Any) -> str:
    """Return the text of an expression of SymPy.

    Raises
    ------
    ValueError
        If a part of it has no counterpart in expressions, or a symbol cannot be a name in them.
    """
    if not isinstance(expression, sympy.Expr):
        raise ValueError(f"the model must be an expression, not the {type(expression).__name__} {expression} of SymPy")
    for part in sympy.preorder_traversal(expression):
        if not isinstance(part, _ACCEPTED):
            available = f"+ - * / **, Piecewise, {', '.join(_FUNCTIONS)}"
            raise ValueError(f"the SymPy expression has {part} ({type(part).__name__}); models have {available}")
        if isinstance(part, sympy.Symbol) and not is_name(part.name):
            raise ValueError(f"the SymPy expression has the symbol {part.name}, which cannot be a name: rename it")
    text: str = _Printer().doprint(expression)
    return text


class _Printer(StrPrinter):
    """Prints parts as expressions call them; methods are named as SymPy looks for them."""

    def _print_Float(self, expr: Any) -> str:  # noqa: N802
        return repr(float(expr))

    def _print_Exp1(self, expr: Any) -> str:  # noqa: N802
        return "exp(1)"

    def _print_Abs(self, expr: Any) -> str:  # noqa: N802
        return f"abs({self._print(expr.args[0])})"

    def _print_Max(self, expr: Any) -> str:  # noqa: N802
        return self._print_pairs("max", expr.args)

    def _print_Min(self, expr: Any) -> str:  # noqa: N802
        return self._print_pairs("min", expr.args)

    def _print_pairs(self, name: str, parts: Any) -> str:
        """Return the text of a function of several numbers by that of two."""
        text, *others = map(self._print, parts)
        for other in others:
            text = f"{name}({text}, {other})"
        return str(text)

    def _print_Piecewise(self, expr: Any) -> str:  # noqa: N802
        *pieces, (last, condition) = expr.args
        if not isinstance(condition, BooleanTrue):
            raise ValueError(
                f"the SymPy expression has {expr}, which has no value elsewhere: end it with (value, True)"
            )
        text: str = self._print(last)
        for value, condition in reversed(pieces):
            text = self._choose(condition, self._print(value), text)
        return text

    def _choose(self, condition: Any, a: str, b: str) -> str:
        """Return the text of a where a condition holds, else b."""
        for part in condition.args if isinstance(condition, sympy.And) else ():
            a = self._choose(part, a, b)
        for part in condition.args if isinstance(condition, sympy.Or) else ():
            b = self._choose(part, a, b)
        if isinstance(condition, sympy.And | sympy.Or):
            return a if isinstance(condition, sympy.And) else b
        return f"where({self._print(condition.lhs)} {condition.rel_op} {self._print(condition.rhs)}, {a}, {b})"
