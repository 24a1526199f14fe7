"""The text of an expression, as a person would write it: `parse` reads it back as the same tree."""

import math

from sgdbench.kernels.model.expression import Call, Name, Node, Number, Product

_INFIX = {"add": " + ", "subtract": " - ", "multiply": "*", "divide": "/", "power": "**"}
_COMPARISONS = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
_SPELLINGS = {"absolute": "abs", "maximum": "max", "minimum": "min"}
# How tightly operators bind; an atom needs no parentheses.
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 6)
_LEVELS = {"add": _SUM, "subtract": _SUM, "multiply": _PRODUCT, "divide": _PRODUCT, "power": _POWER}
MAX_MULTIPLE_OF_PI = 16


def write_expression(node: Node) -> str:
    """Return the text of a tree, with the fewest parentheses that keep the order of operations."""
    return _write(node)[0]


def write_number(value: float) -> str:
    """Return a finite number that is not negative: integers without a decimal point, and small multiples of pi."""
    for count in range(1, MAX_MULTIPLE_OF_PI + 1):
        if value == count * math.pi:
            return "pi" if count == 1 else f"{count}*pi"
        if count > 1 and value == math.pi / count:
            return f"pi/{count}"
    return repr(value).removesuffix(".0")


def _write(node: Node) -> tuple[str, int]:  # noqa: PLR0911 (a case for each node)
    """Return the text of a tree, and how tightly its outermost operator binds."""
    match node:
        case Number(value):
            sign = "-" if math.copysign(1.0, value) < 0 else ""
            text = write_number(abs(value))
            product = "*" in text or "/" in text
            return sign + text, _PRODUCT if product else _SIGN if sign else _ATOM
        case Name(name):
            return name, _ATOM
        case Product(weights, operand):
            text = f"{weights} @ {_in_parentheses(operand, _ATOM)}"
            return text, _PRODUCT
        case Call("negative", (operand,)):
            return f"-{_in_parentheses(operand, _POWER)}", _SIGN
        case Call(function, (left, right)) if function in _INFIX:
            return _write_infix(function, left, right), _LEVELS[function]
        case Call("where", (Call(comparison, (left, right)), a, b)):
            sides = f"{write_expression(left)} {_COMPARISONS[comparison]} {write_expression(right)}"
            return f"where({sides}, {write_expression(a)}, {write_expression(b)})", _ATOM
        case Call(function, operands):
            return f"{_SPELLINGS.get(function, function)}({', '.join(map(write_expression, operands))})", _ATOM
    raise AssertionError(node)


def _write_infix(function: str, left: Node, right: Node) -> str:
    level = _LEVELS[function]
    if function == "power":  # to the right, and a sign in the exponent needs no parentheses
        return f"{_in_parentheses(left, _ATOM)}**{_in_parentheses(right, _SIGN)}"
    # `2*(w @ x)`: that * and @ bind alike is not obvious.
    least = [_ATOM if isinstance(one, Product) and level == _PRODUCT else level for one in (left, right)]
    return _INFIX[function].join((_in_parentheses(left, least[0]), _in_parentheses(right, max(least[1], level + 1))))


def _in_parentheses(node: Node, least: int) -> str:
    """Return the text of an operand, in parentheses unless it binds at least so tightly."""
    text, level = _write(node)
    return text if level >= least else f"({text})"
