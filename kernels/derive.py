"""From an expression to its program: derivatives by sympy, then straight-line code that is short on latency.

A single training run is bound by latency: each update waits for the one before. So sums become balanced trees that
include -y, what does not depend on the parameters is computed apart from them, and whole subexpressions that
coincide are computed once.
"""

import heapq
import math
from collections.abc import Sequence

import sympy

from kernels.expression import Call, Name, Node, Number
from kernels.program import Instruction, Program

# Cycles from operands to result, roughly, on current processors; everything else is a function call.
LATENCY = {"negative": 1, "add": 3, "subtract": 3, "multiply": 3, "divide": 13, "sqrt": 18}
CALL_LATENCY = 40
MAX_EXPONENT = 4096
# Sympy computes with whole numbers and fractions exactly, for hours where a model says 9**9**9**9. So what is larger
# than this becomes a float, and what is too large for a float is refused.
MAX_EXACT = 512


class absolute(sympy.Function):  # noqa: N801 (named like the ufunc it stands for)
    """|u|, kept apart from sympy.Abs, whose derivative brings in complex arguments."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """Derivative: the sign of u (0 at 0, as NumPy has it)."""
        return sign(self.args[0])


class sign(sympy.Function):  # noqa: N801
    """The sign of u, constant wherever it has a derivative."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        """Derivative: zero."""
        return sympy.Integer(0)


_FROM_CALL = {
    "add": lambda u, v: u + v,
    "subtract": lambda u, v: u - v,
    "multiply": lambda u, v: u * v,
    "divide": lambda u, v: u / v,
    "negative": lambda u: -u,
    "power": lambda u, v: u**v,
    "exp": sympy.exp,
    "log": sympy.log,
    "sqrt": sympy.sqrt,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "tanh": sympy.tanh,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "absolute": absolute,
}
_TO_UFUNC = {
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.tanh: "tanh",
    sympy.asin: "arcsin",
    sympy.acos: "arccos",
    sympy.atan: "arctan",
    sympy.Abs: "absolute",
    sympy.sign: "sign",
    absolute: "absolute",
    sign: "sign",
}


def to_sympy(node: Node) -> sympy.Expr:
    """The sympy expression of a checked tree; built call by call, no text is parsed.

    Raises
    ------
    ValueError
        If a constant in it grows too large for a float.
    """
    match node:
        case Number(value):
            return _bounded(sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value))
        case Name(name):
            return sympy.Symbol(name, real=True)
        case Call(function, operands):
            return _bounded(_FROM_CALL[function](*map(to_sympy, operands)))


def _bounded(u: sympy.Expr) -> sympy.Expr:
    large = {n: sympy.Float(n) for n in u.atoms(sympy.Rational) if max(abs(n.p), n.q) > MAX_EXACT}
    u = u.xreplace(large)
    if not all(math.isfinite(n) for n in u.atoms(sympy.Float)):
        raise ValueError("the expression contains a constant that is too large for a float")
    return u


def derive(node: Node, inputs: Sequence[str], params: Sequence[str]) -> Program:
    """The program for the residual f - y and its derivatives with respect to `params`.

    Raises
    ------
    ValueError
        If the expression simplifies to something that is not real and finite, or an exponent grows too large.
    """
    symbols = [sympy.Symbol(name, real=True) for name in (*params, *inputs)]
    f = to_sympy(node)
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
        raise ValueError(f"the expression or a derivative of it contains {u}, which is not a finite real number")

    def sum(self, u: sympy.Expr, *, minus_y: bool = False) -> int:
        """A balanced tree; each product is paired with something that is not one, which an FMA can then fuse."""
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
        """Integer powers by repeated squaring, half-integer ones through sqrt, the rest with the power function.

        A negative power is a power of the reciprocal, so that one division serves all powers of the same base.
        """
        if not exponent.is_Number or float(2 * exponent) % 1 != 0:
            return self.emit("power", self.value(base), self.value(exponent))
        whole, half = divmod(int(2 * abs(exponent)), 2)
        if whole > MAX_EXPONENT:
            raise ValueError(f"an exponent grows to {float(exponent):g}; at most {MAX_EXPONENT} is accepted")
        number = self.value(base)
        if exponent.is_negative:
            number = self.emit("divide", self.constant(1.0), number)
        factors = [self.emit("sqrt", number)] if half else []
        while whole:
            if whole % 2:
                factors.append(number)
            whole //= 2
            if whole:
                number = self.emit("multiply", number, number)
        return self._tree([(factor, False) for factor in factors], "multiply")[0]

    def _tree(self, terms: list[tuple[int, bool]], join: str, join_negative: str = "") -> tuple[int, bool]:
        """Joins the two that are ready first until one is left: the least latency (Huffman's algorithm)."""
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
