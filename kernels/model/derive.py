"""Derivation of a program from an expression: derivatives by sympy, then straight-line code of low latency.

A single training run is bound by latency: each update waits for the one before. Sums therefore become balanced trees
that include -y, factors without parameters are computed separately from those with parameters, and equal subexpressions
are computed once.
"""

import heapq
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import sympy

from sgdbench.kernels.model.expression import Call, Name, Node, Number
from sgdbench.kernels.model.program import OPERATORS, Instruction, Program, numpy_function

# Approximate cycles from operands to result on current processors; everything else is a function call.
LATENCY = {"negative": 1, "add": 3, "subtract": 3, "multiply": 3, "divide": 13, "sqrt": 18}
LATENCY |= {"less": 3, "less_equal": 3, "where": 2, "maximum": 4, "minimum": 4}
CALL_LATENCY = 40
MAX_EXPONENT = 4096
# Sympy computes integers and fractions exactly, which takes hours for a model with 9**9**9**9. Larger numbers therefore
# become floats, and those beyond the range of floats are refused.
MAX_EXACT_INTEGER = 512
SMALLEST_ROOT = 512  # u**(1/512) is nine square roots


class DerivationError(ValueError):
    """An expression is refused; the message is one sentence about it."""


# The functions of programs are opaque to sympy. Its own functions query whether their arguments are complex, in time
# exponential in the depth of a model, and those with a kink are worse: the derivative of sympy.Abs has complex
# arguments, the derivative of sympy.Max at a tie is a Heaviside function, and Piecewise makes many queries.


def _smooth(
    name: str, derivative: Callable[[sympy.Expr, sympy.Expr], sympy.Expr], *, folds: bool = True
) -> type[sympy.Function]:
    """Return the function of a name, with the derivative `derivative(u, f(u))`; `folds`: numbers become their value."""

    def fdiff(self: sympy.Function, argindex: int = 1) -> sympy.Expr:
        return derivative(self.args[0], self)

    def value(_function: type[sympy.Function], u: sympy.Expr) -> sympy.Expr | None:
        with np.errstate(all="ignore"):
            return sympy.Float(float(numpy_function(name)(float(u)))) if u.is_Number else None

    facts: dict[str, Any] = {"is_real": True, "fdiff": fdiff}
    return type(name, (sympy.Function,), facts | ({"eval": classmethod(value)} if folds else {}))


def _choice(
    name: str, operands: int | None, derivative: Callable[..., sympy.Expr], value: Callable[..., Any] | None = None
) -> type[sympy.Function]:
    """Return a function whose derivative is a choice among those of its operands.

    The sum of the chain rule would multiply the derivatives not chosen by 0, and 0 times nan is nan.

    Parameters
    ----------
    name : str
    operands : int, optional
        Their number, by which sympy sorts.
    derivative : callable
        From a function that differentiates an operand, and the operands, to the derivative.
    value : callable, optional
        From the operands to the value if it is known, else None.
    """
    facts: dict[str, Any] = {"is_real": True}
    facts["_eval_derivative"] = lambda self, symbol: derivative(lambda u: u.diff(symbol), *self.args)
    if value is not None:
        facts |= {"nargs": operands, "eval": classmethod(lambda cls, *given: value(*given))}
    return type(name, (sympy.Function,), facts)


def _comparison(name: str, holds: Callable[[float, float], bool]) -> type[sympy.Function]:
    """Return a function that is 1 where a comparison holds, else 0, with the derivative 0."""

    def value(u: sympy.Expr, v: sympy.Expr) -> sympy.Expr | None:
        return sympy.Integer(holds(float(u), float(v))) if u.is_Number and v.is_Number else None

    return _choice(name, 2, lambda diff, u, v: sympy.Integer(0), value)


def _extreme(name: str, beats: Callable[[float, float], bool], derivative: Callable[..., Any]) -> type[sympy.Function]:
    """Return a function that is b where b beats a, else a."""

    def value(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr | None:
        if a.is_Number and b.is_Number:
            return b if beats(float(b), float(a)) else a
        return a if a == b else None

    return _choice(name, 2, derivative, value)


def _branch(condition: sympy.Expr, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr | None:
    """Return the branch of `where`, if it is known which one."""
    if condition.is_Number:
        return b if condition.is_zero else a
    return a if a == b else None


less = _comparison("less", operator.lt)
less_equal = _comparison("less_equal", operator.le)
# where(condition, a, b) is a if the condition is not 0, else b.
where: type[sympy.Function] = _choice(
    "where", 3, lambda diff, condition, a, b: where(condition, diff(a), diff(b)), _branch
)
# by_size(a, b, u, v) is u if a < b, v if a > b, and their mean if a == b. It is one function, in which u and v occur
# once: with nested choices, derivatives of nested maxima would grow exponentially.
by_size: type[sympy.Function] = _choice(
    "by_size",
    4,
    lambda diff, a, b, u, v: by_size(a, b, diff(u), diff(v)),
    lambda a, b, u, v: u if u == v else None,
)
maximum = _extreme("maximum", operator.gt, lambda diff, a, b: by_size(a, b, diff(b), diff(a)))
minimum = _extreme("minimum", operator.lt, lambda diff, a, b: by_size(a, b, diff(a), diff(b)))
# relu(u) is 0 if u <= 0, else u; the derivative at 0 is 0.
relu = _choice("relu", None, lambda diff, u: where(less_equal(u, sympy.Integer(0)), sympy.Integer(0), diff(u)))

sign = _smooth("sign", lambda u, f: sympy.Integer(0))
absolute = _smooth("absolute", lambda u, f: sign(u))
exp = _smooth("exp", lambda u, f: f)
expm1 = _smooth("expm1", lambda u, f: exp(u))
log = _smooth("log", lambda u, f: 1 / u)
log1p = _smooth("log1p", lambda u, f: 1 / (1 + u))
sin = _smooth("sin", lambda u, f: cos(u))
cos: type[sympy.Function] = _smooth("cos", lambda u, f: -sin(u))
tan = _smooth("tan", lambda u, f: 1 + f**2)
sinh = _smooth("sinh", lambda u, f: cosh(u))
cosh: type[sympy.Function] = _smooth("cosh", lambda u, f: sinh(u))
tanh = _smooth("tanh", lambda u, f: 1 - f**2)
arcsin = _smooth("arcsin", lambda u, f: 1 / sympy.sqrt(1 - u**2))
arccos: type[sympy.Function] = _smooth("arccos", lambda u, f: -1 / sympy.sqrt(1 - u**2))
arctan = _smooth("arctan", lambda u, f: 1 / (1 + u**2))
erf = _smooth("erf", lambda u, f: sympy.Float(2 / math.sqrt(math.pi)) * exp(-(u**2)))
# In derivatives, sigmoid_complement(u) is 1 - sigmoid(u) = sigmoid(-u): the difference would cancel where it is small.
sigmoid = _smooth("sigmoid", lambda u, f: f * sigmoid_complement(u), folds=False)
sigmoid_complement: type[sympy.Function] = _smooth("sigmoid_complement", lambda u, f: -f * sigmoid(u), folds=False)
softplus = _smooth("softplus", lambda u, f: sigmoid(u), folds=False)

_ARITHMETIC: dict[str, Callable[..., sympy.Expr]] = {**OPERATORS, "sqrt": sympy.sqrt}
_SMOOTH_FUNCTIONS = (exp, expm1, log, log1p, sin, cos, tan, sinh, cosh, tanh, arcsin, arccos, arctan, erf)
_EXACT_FUNCTIONS = (absolute, less, less_equal, maximum, minimum, where)
OWN_FUNCTIONS: dict[str, Callable[..., sympy.Expr]] = {
    **{f.__name__: f for f in (*_SMOOTH_FUNCTIONS, *_EXACT_FUNCTIONS, sigmoid, softplus, relu)},
    "greater": lambda u, v: less(v, u),
    "greater_equal": lambda u, v: less_equal(v, u),
}
"""From the functions of a tree to those above."""
SYMPY_FUNCTIONS = {
    **_ARITHMETIC,
    **OWN_FUNCTIONS,  # the functions with a kink remain ours
    **{name: getattr(sympy, name) for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf")},
    **{f"arc{name}": getattr(sympy, f"a{name}") for name in ("sin", "cos", "tan")},
    "expm1": lambda u: sympy.exp(u) - 1,
    "log1p": lambda u: sympy.log(1 + u),
    "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
    "softplus": lambda u: sympy.log(1 + sympy.exp(u)),
}
"""From the functions of a tree to sympy's own, where it has them."""
_TO_FUNCTION = {f: f.__name__ for f in (*_SMOOTH_FUNCTIONS, *_EXACT_FUNCTIONS)} | {
    sign: "sign",
    # Sympy introduces these by itself: sqrt(u**2), its derivative, and the derivative of u**v with respect to v.
    sympy.Abs: "absolute",
    sympy.sign: "sign",
    sympy.log: "log",
}


def to_sympy(node: Node, functions: Mapping[str, Callable[..., sympy.Expr]] = SYMPY_FUNCTIONS) -> sympy.Expr:
    """Return the sympy expression of a checked tree, built call by call without parsing text."""
    match node:
        case Number(value):
            return _limit_constants(sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value))
        case Name(name):
            return sympy.Symbol(name, real=True)
        case Call(function, operands):
            return _limit_constants(functions[function](*(to_sympy(operand, functions) for operand in operands)))


def _limit_constants(u: sympy.Expr) -> sympy.Expr:
    large = {n: sympy.Float(n) for n in u.atoms(sympy.Rational) if max(abs(n.p), n.q) > MAX_EXACT_INTEGER}
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
    # Sympy sorts terms by name; neutral names keep the last bits independent of the user's names.
    symbols = [sympy.Symbol(f"u{place:02}", real=True) for place in range(len(names))]
    f = to_sympy(node, _ARITHMETIC | OWN_FUNCTIONS).xreplace(dict(zip(names, symbols, strict=True)))
    builder = _Builder(symbols, len(params))
    residual = builder.sum(f, minus_y=True)
    derivatives = tuple(builder.value(sympy.diff(f, symbol)) for symbol in symbols[: len(params)])
    return builder.finish(len(inputs), residual, derivatives)


class _Builder:
    """Emitter of instructions; equal subexpressions get the same value."""

    def __init__(self, symbols: Sequence[sympy.Symbol], params: int) -> None:
        self.params = params
        self.leaves = {symbol: number for number, symbol in enumerate(symbols)}
        self.y = len(symbols)
        # Constants are numbered from -1 down until their number is known.
        self.constants: dict[float, int] = {}
        self.instructions: dict[Instruction, int] = {}
        self.products: set[int] = set()
        # The cycles from the parameters until a value is ready; None for values that do not depend on them.
        self.ready: dict[int, int | None] = {n: 0 if n < params else None for n in range(len(symbols) + 1)}
        self.known: dict[sympy.Expr, int] = {}
        self.functions: dict[type[sympy.Function], Callable[..., int]] = {
            **{f: partial(self.call, name) for f, name in _TO_FUNCTION.items()},
            relu: self.relu,
            by_size: self.by_size,
            sigmoid: self.sigmoid,
            sigmoid_complement: self.sigmoid_complement,
            softplus: self.softplus,
        }

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
        if function in ("add", "multiply"):  # exactly commutative, so one order serves both
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
        elif u.func in self.functions:
            return self.functions[u.func](*u.args)
        raise DerivationError(f"the expression or a derivative of it contains {u}, which is not a finite real number")

    def sum(self, u: sympy.Expr, *, minus_y: bool = False) -> int:
        """Return a balanced tree; products are paired with other terms, so that an FMA can fuse the two."""
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
        """Return (factors with parameters) * (other factors); the latter are ready before the parameters are."""
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
        """Return integer powers by repeated squaring, halves and quarters by repeated sqrt, others by `power`.

        A negative power is a power of the reciprocal, so that one division serves all powers of a base. The power 0 of
        any base, even nan, is 1, as in IEEE 754 and NumPy; sympy leaves u**0.0 unevaluated.
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

    def call(self, function: str, *operands: sympy.Expr) -> int:
        return self.emit(function, *map(self.value, operands))

    def relu(self, u: sympy.Expr) -> int:
        """Return 0 where u <= 0, else u: nan stays nan, and -0 becomes 0."""
        zero, number = self.constant(0.0), self.value(u)
        return self.emit("where", self.emit("less_equal", number, zero), zero, number)

    def by_size(self, a: sympy.Expr, b: sympy.Expr, u: sympy.Expr, v: sympy.Expr) -> int:
        """Return u where a < b, v where a > b, and their mean where a and b are equal."""
        one, other = self.value(u), self.value(v)
        mean = self.emit("multiply", self.constant(0.5), self.emit("add", one, other))
        return self.emit(
            "where", self.call("less", a, b), one, self.emit("where", self.call("less", b, a), other, mean)
        )

    def sigmoid(self, u: sympy.Expr) -> int:
        """Return 1/(1 + exp(-u)), as 1 or e over 1 + e with e = exp(-|u|), which cannot overflow."""
        below, e, one = self._exp_of_minus_size(u)
        return self.emit("divide", self.emit("where", below, e, one), self.emit("add", one, e))

    def sigmoid_complement(self, u: sympy.Expr) -> int:
        """Return 1 - sigmoid(u), without cancellation."""
        below, e, one = self._exp_of_minus_size(u)
        return self.emit("divide", self.emit("where", below, one, e), self.emit("add", one, e))

    def softplus(self, u: sympy.Expr) -> int:
        """Return log(1 + exp(u)), as max(u, 0) + log1p(exp(-|u|))."""
        below, e, _ = self._exp_of_minus_size(u)
        return self.emit("add", self.emit("where", below, self.constant(0.0), self.value(u)), self.emit("log1p", e))

    def _exp_of_minus_size(self, u: sympy.Expr) -> tuple[int, int, int]:
        """Return whether u < 0, exp(-|u|), and 1.

        -|u| is a choice between u and -u, whose automatic derivative in the peers is correct at 0, unlike that of |u|.
        """
        number = self.value(u)
        below = self.emit("less", number, self.constant(0.0))
        size = self.emit("where", below, number, self.emit("negative", number))
        return below, self.emit("exp", size), self.constant(1.0)

    def _tree(self, terms: list[tuple[int, bool]], join: str, join_negative: str = "") -> tuple[int, bool]:
        """Join the two terms that are ready first until one is left, for minimal latency (Huffman's algorithm)."""
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
