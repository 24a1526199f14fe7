"""The parser of expressions: `a*x**2 + b` becomes a checked tree of numbers, names and calls.

Python's own parser reads the text; its tree is converted node by node, and only the nodes listed here have a
conversion. Nothing is ever evaluated as Python code. Length, depth and exponents are bounded, so that a study file from
someone else can neither run anything nor keep the machine busy.
"""

import ast
import keyword
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from inspect import signature
from typing import NamedTuple

from sgdbench.kernels.base.checks import did_you_mean, list_names
from sgdbench.kernels.base.registry import Listing


class Number(NamedTuple):
    """A constant."""

    value: float


class Name(NamedTuple):
    """A parameter or an input."""

    name: str


class Call(NamedTuple):
    """A function applied to its operands; a NumPy function has NumPy's name."""

    function: str
    operands: "tuple[Node, ...]"


class Product(NamedTuple):
    """The dot products of weights with a vector: a group of inputs, or the units of a hidden layer."""

    weights: str
    operand: "Node"


Node = Number | Name | Call | Product

MAX_LENGTH = 1000  # characters of text
MAX_NAME = 64  # characters of a name
MAX_DEPTH = 100  # operations inside operations; a plain sum of n terms is n - 1 deep
MAX_EXPONENT = 64  # size of a constant exponent

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}


def _log(u: float) -> float:
    """Return the natural logarithm of u; also ln."""
    return math.log(u)


def _sigmoid(u: float) -> float:
    """Return 1/(1 + exp(-u))."""
    power = math.exp(-abs(u))
    return (power if u < 0 else 1.0) / (1.0 + power)


def _softplus(u: float) -> float:
    """Return log(1 + exp(u))."""
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


def _relu(u: float) -> float:
    """Return u where it is positive, else 0."""
    return max(0.0, u)


def _absolute(u: float) -> float:
    """Return u without its sign; also abs."""
    return abs(u)


def _maximum(a: float, b: float) -> float:
    """Return the larger one; also max."""
    return max(a, b)


def _minimum(a: float, b: float) -> float:
    """Return the smaller one; also min."""
    return min(a, b)


def _where(condition: float, a: float, b: float) -> float:
    """Return a where the condition holds, such as u < v, else b."""
    return a if condition else b


FUNCTIONS: Listing[float] = Listing(
    {
        **{name: getattr(math, name) for name in ("exp", "expm1")},
        "log": _log,
        **{name: getattr(math, name) for name in ("log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
        **{f"arc{name}": getattr(math, f"a{name}") for name in ("sin", "cos", "tan")},
        "erf": math.erf,
        "sigmoid": _sigmoid,
        "softplus": _softplus,
        "relu": _relu,
        "absolute": _absolute,
        "maximum": _maximum,
        "minimum": _minimum,
        "where": _where,
    }
)
"""The functions of expressions, of numbers."""
# From spellings of functions in texts to the names of their ufuncs.
_SPELLINGS = {name: name for name in FUNCTIONS} | {
    "ln": "log",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "abs": "absolute",
    "max": "maximum",
    "min": "minimum",
}
# Functions of numeric operands. math.pow instead of **, because (-1)**0.5 would be complex.
_FOLDING_FUNCTIONS: dict[str, Callable[..., float]] = {
    **FUNCTIONS,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": math.pow,
    "negative": operator.neg,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}

_TOKEN = re.compile(
    r"(?P<number>\.?[0-9](?:[eE][+-]|[A-Za-z0-9_.])*)"
    r"|(?P<word>(?!\d)\w[\w.]*)"
    r"|(?P<close>\))"
    r"|\*\*|/(?!/)|[<>](?![<>])=?|[-+*(,]"
    r"|(?P<other>//|<<|>>|[=!:]=|[^ \t])"
)
_NUMBER = re.compile(r"(?:\d+\.\d*|\.\d+|0|[1-9]\d*)(?:[eE][+-]?\d+)?", re.ASCII)
_ALLOWED_SYNTAX = "an expression has numbers, names, + - * / **, parentheses and functions"
_HINTS = {"^": "a power is written **", "=": "give only the right-hand side, as in a*x + b"}
_HINTS["@"] = "it is accepted only in models, as in w @ x"
_ACCEPTED_PRODUCTS = "a name @ x, as in 2*(w @ x) + b, or a name @ a hidden layer, as in v @ tanh(W @ x + c)"


class _PlaceError(Exception):
    """`(start, end, reason)`: text[start:end] is refused; `{}` in the reason stands for that piece."""


def parse(text: str, *, products: bool = False) -> Node:
    """Parse an expression such as `a*exp(-b*x) + c`.

    Accepted are decimal numbers, `pi`, names (a letter of any script, then letters, digits and `_`; not nan or inf,
    which read as numbers), `+ - * / **`, signs and parentheses; of one argument: exp, expm1, log (ln), log1p, sqrt,
    sin, cos, tan, sinh, cosh, tanh, arcsin (asin), arccos (acos), arctan (atan), erf, sigmoid, softplus, relu, absolute
    (abs); of two: maximum (max), minimum (min); and `where(condition, a, b)`, whose condition compares two expressions
    with `<`, `<=`, `>` or `>=`. Precedence is Python's: `-x**2` is `-(x**2)`, `a**b**c` is `a**(b**c)`.

    Parameters
    ----------
    text : str
        One line of at most 1,000 characters, at most 100 operations deep; a constant exponent lies between
        -64 and 64.
    products : bool
        Whether dot products are allowed, such as ``w @ x``, or ``v @ tanh(W @ x + c)`` of a hidden layer.

    Returns
    -------
    Number, Name, Call or Product
        The tree. A part made of numbers only becomes one float64 `Number`; nothing else is simplified.

    Raises
    ------
    ValueError
        If the text is anything else, or a constant part of it is not a finite real number (`1/0`, `log(-1)`).
        The message is one line with the column, counted from 1, and the piece of text that stands there.
    """
    if not isinstance(text, str):
        raise ValueError(f"expression must be text such as 'a*x + b', not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expression must have at most {MAX_LENGTH} characters, not {len(text)}")
    code = text.strip(" \t")  # Python would treat a leading blank as indentation
    if not code:
        raise ValueError("expression is empty; write one such as a*x + b")
    try:
        _check_tokens(code, products=products)
        return _convert(_python_tree(code), 0)
    except _PlaceError as error:
        start, end, reason = error.args
    except (RecursionError, MemoryError):
        start, end, reason = 0, len(code), "{} is nested too deeply"
    piece = code[start:end]
    shown = repr(piece if len(piece) <= 40 else piece[:37] + "...") if piece else "the end"
    column = text.index(code) + start + 1
    raise ValueError(f"expression, column {column}: {reason.replace('{}', shown)}")


class Piece(NamedTuple):
    """A product in the text of an expression: its begin and end, the name of its weights, and its right operand."""

    start: int
    stop: int
    weights: str
    operand: str


def find_products(text: str) -> list[Piece]:
    """Return the outermost products in an expression, in order.

    Parameters
    ----------
    text : str
        An expression that `parse` accepts, without surrounding blanks.
    """

    def find(node: ast.AST) -> list[Piece]:
        match node:
            case ast.BinOp(left=ast.Name(id=weights), op=ast.MatMult(), right=right):
                operand = text[right.col_offset : right.end_col_offset]
                return [Piece(node.col_offset, node.end_col_offset or 0, weights, operand)]
        return [piece for child in ast.iter_child_nodes(node) for piece in find(child)]

    return sorted(find(_python_tree(text)))


def names(node: Node) -> tuple[str, ...]:
    """Return the names in an expression, each once, in order of appearance."""
    match node:
        case Name(name):
            return (name,)
        case Call(_, operands):
            return tuple(dict.fromkeys(name for operand in operands for name in names(operand)))
        case Product(weights, operand):
            return tuple(dict.fromkeys((weights, *names(operand))))
    return ()


def reads_as_number(word: str) -> bool:
    """Return whether Python's `float` parses a word: nan, inf and infinity, in upper or lower case."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_tokens(code: str, *, products: bool) -> None:
    """Refuse every character, word and number that is not allowed in an expression.

    This runs before Python parses the text, so that the error has the column of the first offender, and strings,
    keywords, attributes, and letters that Python would normalize never reach its parser.
    """
    before = None
    for token in _TOKEN.finditer(code):
        piece, kind, reason = token[0], token.lastgroup, ""
        if kind == "word" and not piece.isascii():
            _check_letters(piece, token.start())
        match kind:
            case "number" if not _NUMBER.fullmatch(piece):
                reason = "{} is not a number; a product needs its sign, as in 2*x"
            case "word" if "." in piece:
                reason = "{} has a dot; write functions without a prefix, as in exp(x)"
            case "word" if keyword.iskeyword(piece):
                reason = "{} is a Python keyword and cannot be a name"
            case "word" if piece.startswith("_"):
                reason = "{} cannot be a name; names start with a letter"
            case "word" if reads_as_number(piece):
                reason = "{} reads as a number and cannot be a name; numbers are finite, such as 2.5e-3"
            case "word" if len(piece) > MAX_NAME:
                reason = f"{{}} is too long; a name has at most {MAX_NAME} characters"
            case "number" | "word" if before in ("number", "word", "close"):
                reason = "an operator is missing before {}"
            case "other" if not (products and piece == "@"):
                reason = "{} is not allowed; " + _HINTS.get(piece, _ALLOWED_SYNTAX)
        if reason:
            raise _PlaceError(*token.span(), reason)
        before = kind


def _check_letters(word: str, start: int) -> None:
    """Refuse characters that are not letters, and letters that Python normalizes, such as a full-width x."""
    for place, character in enumerate(word, start):
        plain = character.isascii() or (character.isalpha() and unicodedata.normalize("NFKC", character) == character)
        if not plain:
            raise _PlaceError(place, place + 1, "{} is not allowed; " + _ALLOWED_SYNTAX)
    if not word.replace(".", "").isidentifier() or unicodedata.normalize("NFKC", word) != word:
        raise _PlaceError(start, start + len(word), "{} is not allowed; " + _ALLOWED_SYNTAX)


def _python_tree(code: str) -> ast.expr:
    try:
        tree = ast.parse(code, mode="eval").body
    except SyntaxError as error:
        # Python reports an unexpected end of the text at offset 0.
        start = error.offset - 1 if error.offset else len(code)
        vague = error.msg.startswith("invalid syntax")
        reason = "a number or a name is missing at {}" if vague else error.msg
        raise _PlaceError(start, len(code), reason) from None
    if not code.isascii():  # Python's offset counts bytes, the message counts characters
        encoded = code.encode()
        for node in ast.walk(tree):
            if isinstance(node, ast.expr):
                node.col_offset = len(encoded[: node.col_offset].decode())
                node.end_col_offset = len(encoded[: node.end_col_offset].decode())
    return tree


def _convert(node: ast.expr, depth: int) -> Node:  # noqa: PLR0911, PLR0912 (a case for each node)
    if depth > MAX_DEPTH:
        raise _error_at(node, f"more than {MAX_DEPTH} operations deep at {{}}")
    operands: list[ast.expr]
    match node:
        case ast.Constant(value=int() | float() as value):
            return _fold(node, float, value)
        case ast.Name(id="pi"):
            return Number(math.pi)
        case ast.Name(id=name) if name not in _SPELLINGS:
            return Name(name)
        case ast.Name():
            raise _error_at(node, "{} is a function and needs its argument, as in exp(x)")
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _convert(operand, depth + 1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            function, operands = "negative", [operand]
        case ast.BinOp(op=ast.MatMult()):
            return _product(node, depth)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            function, operands = _OPERATORS[type(op)], [left, right]
        case ast.Call():
            function, operands = _function_name(node), node.args
            if function == "where":
                return _choice(node, depth)
        case ast.Compare():
            raise _error_at(node, "{} is a comparison, which is accepted only in where(condition, a, b)")
        case _:
            raise _error_at(node, "{} is not allowed; " + _ALLOWED_SYNTAX)
    return _call(node, function, operands, tuple(_convert(operand, depth + 1) for operand in operands))


def _product(node: ast.BinOp, depth: int) -> Node:
    """Return the dot product of weights with a group of inputs, or with the units of a hidden layer."""
    match node.left, node.right:
        case ast.Name(id=weights), ast.Name(id=group) if not {weights, group} & _SPELLINGS.keys():
            return Product(weights, Name(group))
        case ast.Name(id=weights), right if weights not in _SPELLINGS and _has_product(right):
            return Product(weights, _convert(right, depth + 1))
    raise _error_at(node, f"{{}} must be {_ACCEPTED_PRODUCTS}")


def _has_product(node: ast.AST) -> bool:
    return any(isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult) for part in ast.walk(node))


def _choice(node: ast.Call, depth: int) -> Node:
    """Return the tree of `where(condition, a, b)`."""
    condition, *branches = node.args
    match condition:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            sides = tuple(_convert(side, depth + 2) for side in (left, right))
            chosen = _call(condition, _COMPARISONS[type(op)], [left, right], sides)
        case ast.Compare():
            raise _error_at(condition, "{} must compare two expressions, as in x < a")
        case _:
            raise _error_at(condition, "{} must be a comparison such as x < a")
    return _call(node, "where", node.args, (chosen, *(_convert(branch, depth + 1) for branch in branches)))


def _call(node: ast.expr, function: str, operands: Sequence[ast.expr], converted: tuple[Node, ...]) -> Node:
    """Return the call of a function, or its value if all operands are numbers."""
    if function == "power" and isinstance(converted[1], Number) and abs(converted[1].value) > MAX_EXPONENT:
        raise _error_at(operands[1], f"exponent {{}} must be from -{MAX_EXPONENT} to {MAX_EXPONENT}")
    values = [operand.value for operand in converted if isinstance(operand, Number)]
    if len(values) == len(converted):
        return _fold(node, _FOLDING_FUNCTIONS[function], *values)
    return Call(function, converted)


def _function_name(node: ast.Call) -> str:
    """Return the name of the called function, after checking the call."""
    if not isinstance(node.func, ast.Name):
        raise _error_at(node.func, "{} is not a function; a product needs its sign, as in 2*(x + 1)")
    if node.func.id not in _SPELLINGS:
        close = did_you_mean(node.func.id, _SPELLINGS)
        raise _error_at(node.func, f"unknown function {{}}{close}; available: {list_names(_SPELLINGS)}")
    function = _SPELLINGS[node.func.id]
    count = len(signature(FUNCTIONS[function]).parameters)
    if len(node.args) != count or node.keywords:
        plenty = {1: "one argument", 2: "two arguments", 3: "three arguments: a condition and two values"}[count]
        raise _error_at(node, f"{{}} must give {node.func.id} exactly {plenty}")
    return function


def _fold(node: ast.expr, function: Callable[..., float], *values: float) -> Number:
    try:
        value = float(function(*values))
    except (ArithmeticError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise _error_at(node, "the value of {} is not a finite real number")
    return Number(value)


def _error_at(node: ast.expr, reason: str) -> _PlaceError:
    return _PlaceError(node.col_offset, node.end_col_offset, reason)
