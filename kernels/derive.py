"""From an expression to its program: derivatives by sympy, then straight-line code that is short on latency.

A single training run is bound by latency: each update waits for the one before. So sums become balanced trees that
include -y, what does not depend on the parameters is computed apart from them, and whole subexpressions that
coincide are computed once.
"""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import sympy

from kernels.expression import Call, Name, Node, Number
from kernels.program import OPERATORS, Instruction, Program

# Cycles from operands to result, roughly, on current processors; everything else is a function call.
LATENCY = {"negative": 1, "add": 3, "subtract": 3, "multiply": 3, "divide": 13, "sqrt": 18}
CALL_LATENCY = 40
MAX_EXPONENT = 4096
# Sympy computes with whole numbers and fractions exactly, for hours where a model says 9**9**9**9. So what is larger
# than this becomes a float, and what is too large for a float is refused.
MAX_EXACT = 512
SMALLEST_ROOT = 512  # u**(1/512) is nine square roots


class DerivationError(ValueError):
    """An expression is refused; the message is one sentence about it."""


def _real_function(name: str, derivative: Callable[[sympy.Expr, sympy.Expr], sympy.Expr]) -> type[sympy.Function]:
    """Return the ufunc of that name, with the derivative `derivative(u, f(u))`, as a function opaque to sympy.

    Sympy's own functions ask whether their arguments are complex, which takes time exponential in the depth of a model.
    """

    def fdiff(self: sympy.Function, argindex: int = 1) -> sympy.Expr:
        return derivative(self.args[0], self)

    def value(_function: type[sympy.Function], u: sympy.Expr) -> sympy.Expr | None:
        with np.errstate(all="ignore"):
            return sympy.Float(float(getattr(np, name)(float(u)))) if u.is_Number else None

    return type(name, (sympy.Function,), {"is_real": True, "fdiff": fdiff, "eval": classmethod(value)})


sign = _real_function("sign", lambda u, f: sympy.Integer(0))
absolute = _real_function("absolute", lambda u, f: sign(u))
exp = _real_function("exp", lambda u, f: f)
log = _real_function("log", lambda u, f: 1 / u)
sin = _real_function("sin", lambda u, f: cos(u))
cos: type[sympy.Function] = _real_function("cos", lambda u, f: -sin(u))
tan = _real_function("tan", lambda u, f: 1 + f**2)
tanh = _real_function("tanh", lambda u, f: 1 - f**2)
arcsin = _real_function("arcsin", lambda u, f: 1 / sympy.sqrt(1 - u**2))
arccos: type[sympy.Function] = _real_function("arccos", lambda u, f: -1 / sympy.sqrt(1 - u**2))
arctan = _real_function("arctan", lambda u, f: 1 / (1 + u**2))

_ARITHMETIC: dict[str, Callable[..., sympy.Expr]] = {**OPERATORS, "sqrt": sympy.sqrt}
_OURS = {f.__name__: f for f in (absolute, exp, log, sin, cos, tan, tanh, arcsin, arccos, arctan)}
_OF_SYMPY = _ARITHMETIC | {
    "exp": sympy.exp,
    "log": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "absolute": absolute,  # sympy.Abs has a derivative with complex arguments
}
_TO_UFUNC = {f: name for name, f in _OURS.items()} | {
    sign: "sign",
    # What sympy brings in by itself: sqrt(u**2), its derivative, and the derivative of u**v by v.
    sympy.Abs: "absolute",
    sympy.sign: "sign",
    sympy.log: "log",
}


def to_sympy(node: Node, functions: Mapping[str, Callable[..., sympy.Expr]] = _OF_SYMPY) -> sympy.Expr:
    """Return the sympy expression of a checked tree; built call by call, no text is parsed.

    Raises
    ------
    DerivationError
        If a constant in it grows too large for a float.
    """
    match node:
        case Number(value):
            return _limit_constants(sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value))
        case Name(name):
            return sympy.Symbol(name, real=True)
        case Call(function, operands):
            return _limit_constants(functions[function](*(to_sympy(operand, functions) for operand in operands)))


def _limit_constants(u: sympy.Expr) -> sympy.Expr:
    large = {n: sympy.Float(n) for n in u.atoms(sympy.Rational) if max(abs(n.p), n.q) > MAX_EXACT}
    u = u.xreplace(large)
    if not all(math.isfinite(n) for n in u.atoms(sympy.Float)):
        raise DerivationError("the expression contains a constant that is too large for a float")
    return u


def derive(node: Node, inputs: Sequence[str], params: Sequence[str]) -> Program:
    """Return the program for the residual f - y and its derivatives with respect to `params`.

    Raises
    ------
    DerivationError
        If the expression simplifies to something that is not real and finite, or an exponent grows too large.
    """
    names = [sympy.Symbol(name, real=True) for name in (*params, *inputs)]
    # Sympy sorts terms by name, and other names for the same thing should not change the last bits.
    symbols = [sympy.Symbol(f"u{place:02}", real=True) for place in range(len(names))]
    f = to_sympy(node, _ARITHMETIC | _OURS).xreplace(dict(zip(names, symbols, strict=True)))
    builder = _Builder(symbols, len(params))
    residual = builder.sum(f, minus_y=True)
    derivatives = tuple(builder.value(sympy.diff(f, symbol)) for symbol in symbols[: len(params)])
    return builder.finish(len(inputs), residual, derivatives)


class _Builder:
    """Emits instructions; equal subexpressions get the same value."""

    def __init__(self, symbols: Sequence[sympy.Symbol], params: int) -> None:
        self.params = params
        self.leaves = {symbol: number for number, symbol in enumerate(symbols)}
        self.y = len(symbols)
        # Constants and instructions are numbered apart (constants from -1 down) until it is known how many there are.
        self.constants: dict[float, int] = {}
        self.instructions: dict[Instruction, int] = {}
        self.products: set[int] = set()
        # When a value is ready, in cycles after the parameters are; None for what does not depend on them.
        self.ready: dict[int, int | None] = {n: 0 if n < params else None for n in range(len(symbols) + 1)}
        self.known: dict[sympy.Expr, int] = {}

    def finish(self, inputs: int, residual: int, derivatives: tuple[int, ...]) -> Program:
        first, shift = self.y + 1, len(self.constants)

        def final(number: int) -> int:
            if number < 0:
                return first - 1 - number
            return number if number < first else number + shift

        code = tuple(Instruction(i.function, tuple(map(final, i.operands))) for i in self.instructions)
        return Program(
            self.params, inputs, tuple(self.constants), code, final(residual), tuple(map(final, derivatives))
        )

    def emit(self, function: str, *operands: int) -> int:
        if function in ("add", "multiply"):  # one spelling of what commutes exactly
            operands = tuple(sorted(operands))
        instruction = Instruction(function, operands)
        if instruction not in self.instructions:
            number = self.y + 1 + len(self.instructions)
            times = [ready for operand in operands if (ready := self.ready[operand]) is not None]
            self.instructions[instruction] = number
            self.ready[number] = max(times) + LATENCY.get(function, CALL_LATENCY) if times else None
            if function == "multiply" and times:
                self.products.add(number)
        return self.instructions[instruction]

    def constant(self, value: float) -> int:
        number = self.constants.setdefault(value, -1 - len(self.constants))
        self.ready[number] = None
        return number

    def value(self, u: sympy.Expr) -> int:
        if u not in self.known:
            self.known[u] = self._value(u)
        return self.known[u]

    def _value(self, u: sympy.Expr) -> int:
        if u in self.leaves:
            return self.leaves[u]
        if u.is_Number or u.is_NumberSymbol:
            value = float(u) if u.is_extended_real else math.nan
            if math.isfinite(value):
                return self.constant(value)
        elif u.is_Add:
            return self.sum(u)
        elif u.is_Mul:
            return self.product(u)
        elif u.is_Pow:
            return self.power(u.base, u.exp)
        elif u.func in _TO_UFUNC:
            return self.emit(_TO_UFUNC[u.func], self.value(u.args[0]))
        raise DerivationError(f"the expression or a derivative of it contains {u}, which is not a finite real number")

    def sum(self, u: sympy.Expr, *, minus_y: bool = False) -> int:
        """Return a balanced tree; each product is paired with something that is not one, which an FMA can then fuse."""
        terms = []
        for term in sympy.Add.make_args(u):
            negative = bool(term.as_coeff_Mul()[0].is_negative)
            terms.append((self.value(-term if negative else term), negative))
        if minus_y:
            terms.append((self.y, True))
        free = [term for term in terms if self.ready[term[0]] is None]
        if len(free) > 1:
            terms = [term for term in terms if term not in free] + [self._tree(free, "add", "subtract")]
        products = [term for term in terms if term[0] in self.products]
        others = [term for term in terms if term not in products]
        while products and len(others) > len(products):
            others = [self._join(others[0], others[1], "add", "subtract"), *others[2:]]
        pairs = [
            self._join(product, other, "add", "subtract") for product, other in zip(products, others, strict=False)
        ]
        number, negative = self._tree([*pairs, *products[len(pairs) :], *others[len(pairs) :]], "add", "subtract")
        return self.emit("negative", number) if negative else number

    def product(self, u: sympy.Expr) -> int:
        """(parameters' part) * (free part): the free part is ready before the parameters are."""
        coefficient, rest = u.as_coeff_Mul()
        factors = [self.value(factor) for factor in sympy.Mul.make_args(rest)]
        if float(abs(coefficient)) != 1.0:
            factors.append(self.value(abs(coefficient)))
        free = [(number, False) for number in factors if self.ready[number] is None]
        dependent = [(number, False) for number in factors if self.ready[number] is not None]
        parts = [self._tree(part, "multiply") for part in (dependent, free) if part]
        number = self._tree(parts, "multiply")[0]
        return self.emit("negative", number) if coefficient.is_negative else number

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> int:
        """Whole powers by repeated squaring, halves and quarters by repeated sqrt, the rest with the power function.

        A negative power is a power of the reciprocal, so that one division serves all powers of the same base. Whatever
        the base, nan too, its power 0 is 1, as in IEEE 754 and NumPy; sympy leaves u**0.0 as it is.
        """
        if exponent.is_zero:
            return self.constant(1.0)
        if not exponent.is_Number or float(SMALLEST_ROOT * exponent) % 1 != 0:
            return self.emit("power", self.value(base), self.value(exponent))
        fraction, whole = math.modf(abs(float(exponent)))
        if whole > MAX_EXPONENT:
            raise DerivationError(f"an exponent grows to {float(exponent):g}; at most {MAX_EXPONENT} is accepted")
        number = self.value(base)
        if exponent.is_negative:
            number = self.emit("divide", self.constant(1.0), number)
        factors = []
        root = number
        while fraction:
            root = self.emit("sqrt", root)
            digit, fraction = divmod(2 * fraction, 1)
            if digit:
                factors.append(root)
        left = int(whole)
        while left:
            if left % 2:
                factors.append(number)
            left //= 2
            if left:
                number = self.emit("multiply", number, number)
        return self._tree([(factor, False) for factor in factors], "multiply")[0]

    def _tree(self, terms: list[tuple[int, bool]], join: str, join_negative: str = "") -> tuple[int, bool]:
        """Join the two that are ready first until one is left: the least latency (Huffman's algorithm)."""
        heap = [(self.ready[n] or 0, place, (n, negative)) for place, (n, negative) in enumerate(terms)]
        heapq.heapify(heap)
        place = len(heap)
        while len(heap) > 1:
            first, second = heapq.heappop(heap)[2], heapq.heappop(heap)[2]
            joined = self._join(first, second, join, join_negative)
            heapq.heappush(heap, (self.ready[joined[0]] or 0, place, joined))
            place += 1
        return heap[0][2]

    def _join(
        self, first: tuple[int, bool], second: tuple[int, bool], join: str, join_negative: str
    ) -> tuple[int, bool]:
        (u, u_negative), (v, v_negative) = first, second
        if u_negative == v_negative:
            return self.emit(join, u, v), u_negative
        return (self.emit(join_negative, v, u) if u_negative else self.emit(join_negative, u, v)), False
