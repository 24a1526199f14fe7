"""The parameters that give the same curve after inputs and target have been shifted and scaled.

For f(z; theta) with z = (x - x_mean) / x_scale, find theta' such that for all x

    f(x; theta') = y_mean + y_scale * f(z; theta).

No model is recognized by name. Both sides are written as polynomials in x and in the model's own functions of x, such
as exp(-b*x). Their coefficients must agree: these are equations for theta', which are solved one after another.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import sympy
from mpmath.libmp import NoConvergence  # type: ignore[import-untyped]
from sympy.polys.polyerrors import BasePolynomialError

from sgdbench.data.scaling import Scaling
from sgdbench.kernels.model.derive import absolute, less, less_equal, maximum, minimum, relu, where

DIGITS = 50
RELATIVE_ROUNDING = 1e-30  # relative; sums that cancel by algebra leave about 10**-DIGITS
MAX_TERMS = 500  # polynomial(28) has 435; expanding a few thousand takes seconds
MAX_REDUCED_TERMS = 30  # terms of a rational function; a ratio of cubics gives 15
MAX_DEGREE = 30  # of one equation; numerical roots of degree 64 take seconds

# Choices as sums and products with relu or a condition, whose argument may differ by a factor between the two sides.
# The factor must be positive; a final check of the curves ensures it.
_CHOICES_AS_PRODUCTS: dict[type[sympy.Function], Callable[..., sympy.Expr]] = {
    maximum: lambda a, b: a + relu(b - a),
    minimum: lambda a, b: a - relu(a - b),
    where: lambda condition, a, b: b + condition * (a - b),
}

_Values = dict[sympy.Symbol, sympy.Expr]


def undo_scaling(
    f: sympy.Expr,
    params: Sequence[sympy.Symbol],
    inputs: Sequence[sympy.Symbol],
    theta: Sequence[float],
    scaling: Scaling,
) -> list[float] | None:
    """Return theta' in the order of `params`, or None if it is not found (which does not prove there is none).

    If there are several solutions, as with the widths s and -s of a Gaussian peak, it has the signs of theta. If there
    are infinitely many, because the model has more parameters than it needs, some keep their value.
    """
    if _count_terms(f, inputs) > MAX_TERMS:
        return None
    param_values: dict[sympy.Symbol, float] = dict(zip(params, theta, strict=True))

    def symbol(value: float, **assumptions: bool) -> sympy.Symbol:
        dummy = sympy.Dummy(real=True, **assumptions)
        param_values[dummy] = float(value)
        return dummy

    # Inexact numbers are symbols until the end, so that the algebra is exact.
    f = f.xreplace({number: symbol(number) for number in f.atoms(sympy.Float)})
    z = {
        x: (x - symbol(mean)) / symbol(scale, positive=True)
        for x, mean, scale in zip(inputs, scaling.x_mean, scaling.x_scale, strict=True)
    }
    primed = {param: sympy.Dummy(param.name, real=True) for param in params}
    sides = _BothSides(primed, z)
    left, right = sides.rewrite(f)
    sides.equate(left, symbol(scaling.y_mean) + symbol(scaling.y_scale, positive=True) * right)
    start = {primed[param]: value for param, value in zip(params, theta, strict=True)} | sides.slack
    values = _solve(sides.equations, start, {u: sympy.Float(value, DIGITS) for u, value in param_values.items()})
    return None if values is None else [float(values[primed[param]]) for param in params]


class _BothSides:
    """Each part u of the model, written as u(x; theta') and as u(z; theta), and the equations for both to agree.

    A function of x becomes one variable on both sides, so its arguments must agree. If the function has an addition
    theorem, exp(u + shift) = exp(u) * exp(shift), they may differ by a shift or a factor. `equations` are expressions
    that must be 0, and `slack` has the shifts and factors, each with the value that means no difference.
    """

    def __init__(self, primed: _Values, z: _Values) -> None:
        self.primed = primed
        self.z = z
        self.variables = list(z)
        self.reciprocals: dict[sympy.Symbol, sympy.Expr] = {}  # v: base, where v = 1 / base
        self.equations: list[sympy.Expr] = []
        self.slack: dict[sympy.Symbol, float] = {}
        self.pairs: dict[sympy.Expr, tuple[sympy.Expr, sympy.Expr]] = {}

    def rewrite(self, u: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """Return u(x; theta') and u(z; theta)."""
        if u not in self.pairs:
            self.pairs[u] = self._rewrite_anew(u)
        return self.pairs[u]

    def _rewrite_anew(self, u: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """Return u(x; theta') and u(z; theta) for a part that has not been rewritten yet."""
        if not u.has(*self.z):
            return u.xreplace(self.primed), u
        if u in self.z:
            return u, self.z[u]
        if u.is_Add or u.is_Mul or _is_natural_power(u):
            left, right = zip(*map(self.rewrite, u.args), strict=True)
            return u.func(*left), u.func(*right)
        if u.func in _CHOICES_AS_PRODUCTS:
            return self.rewrite(_CHOICES_AS_PRODUCTS[u.func](*u.args))
        return self._rewrite_function(u)

    def _rewrite_function(self, u: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """Return both sides of a function of x, which becomes a variable."""
        v = self._add_variable()
        if isinstance(u, sympy.exp | sympy.Pow) and u.exp.has(*self.z):
            return v, v * sympy.exp(-self._equate_up_to_shift(u.exp * sympy.log(u.base)))
        argument = u.args[0]
        if u.is_Pow:
            self.equate(*self.rewrite(u.exp))
            right = v * self._equate_up_to_factor(argument) ** -u.exp
            base, _ = self.rewrite(argument)
            if u.exp == -1 and not base.has(*self.reciprocals):
                self.reciprocals[v] = base
        elif u.func is sympy.log:
            right = v - sympy.log(self._equate_up_to_factor(argument))
        elif u.func is absolute:
            right = v / sympy.Abs(self._equate_up_to_factor(argument))
        elif u.func is relu:
            right = v / self._equate_up_to_factor(argument)
        elif u.func in (less, less_equal):
            self._equate_up_to_factor(argument - u.args[1])
            right = v
        elif u.func in (sympy.sin, sympy.cos):
            shift, w = self._equate_up_to_shift(argument), self._add_variable()
            other, sign = (sympy.cos, -1) if u.func is sympy.sin else (sympy.sin, 1)
            right = v * sympy.cos(shift) + sign * w * sympy.sin(shift)
            self.pairs[other(argument)] = w, w * sympy.cos(shift) - sign * v * sympy.sin(shift)
        else:
            self.equate(*self.rewrite(argument))
            right = v
        return v, right

    def _add_variable(self) -> sympy.Symbol:
        self.variables.append(sympy.Dummy(real=True))
        return self.variables[-1]

    def _equate_up_to_shift(self, u: sympy.Expr) -> sympy.Symbol:
        """Require u(x; theta') = u(z; theta) + shift."""
        shift = sympy.Dummy("shift", real=True)
        self.slack[shift] = 0.0
        left, right = self.rewrite(u)
        self.equate(left, right + shift)
        return shift

    def _equate_up_to_factor(self, u: sympy.Expr) -> sympy.Symbol:
        """Require u(x; theta') = u(z; theta) * factor."""
        factor = sympy.Dummy("factor", real=True, nonzero=True)
        self.slack[factor] = 1.0
        left, right = self.rewrite(u)
        self.equate(left, right * factor)
        return factor

    def equate(self, left: sympy.Expr, right: sympy.Expr) -> None:
        """Require two polynomials in the variables to have the same coefficients."""
        difference = sympy.expand(left - right)
        if self.reciprocals and len(sympy.Add.make_args(difference)) <= MAX_REDUCED_TERMS:
            relations = [v * base - 1 for v, base in self.reciprocals.items()]
            _, difference = sympy.reduced(difference, relations, *self.variables)
        self.equations += [sympy.Add(*parts) for parts in _coefficients(difference, self.variables).values()]


def _solve(
    equations: Sequence[sympy.Expr], start: Mapping[sympy.Symbol, float], fixed_values: _Values
) -> _Values | None:
    """Return values of the unknowns, the keys of `start`, for which the equations hold, or None.

    One unknown after another is replaced by a root of an equation: a number, or an expression in other unknowns whose
    number is determined at the end. Unknowns that are in no equation keep their value.
    """
    unknown = dict(start)
    solutions: list[tuple[sympy.Symbol, sympy.Expr]] = []
    todo = [_substitute(equation, fixed_values, unknown) for equation in equations]
    while todo := [equation for equation in todo if equation != 0]:
        if not all(equation.free_symbols for equation in todo):
            return None
        u, roots = _isolate(todo, unknown)
        if not roots:
            return None
        root = roots[0]
        if len(roots) > 1:
            root = min(roots, key=lambda root: (bool(root * start[u] < 0), float(abs(root - start[u]))))
        solutions.append((u, root))
        del unknown[u]
        todo = [_substitute(equation, {u: root}, unknown) if equation.has(u) else equation for equation in todo]
    values = {u: sympy.Float(value, DIGITS) for u, value in unknown.items()}
    for u, root in reversed(solutions):
        values[u] = root.xreplace(values).n(DIGITS)
    return values if all(map(_is_real, values.values())) else None


def _substitute(equation: sympy.Expr, values: _Values, unknown: Mapping[sympy.Symbol, float]) -> sympy.Expr:
    """Return the equation with `values` inserted: a sum of number * (product of unknowns), without rounding errors.

    The result is nan if a number is not real and finite, or if there would be too many terms.
    """
    coefficients: dict[sympy.Expr, list[sympy.Expr]] = defaultdict(list)
    for term in sympy.Add.make_args(equation):  # one by one, so that sums of numbers are not formed before comparison
        replaced = term.xreplace(values)
        if _count_terms(replaced, ()) > MAX_TERMS:
            return sympy.nan
        for monomial, parts in _coefficients(replaced, unknown).items():
            coefficients[monomial] += [part.n(DIGITS) for part in parts]
    total = []
    for monomial, parts in coefficients.items():
        if not all(map(_is_real, parts)):
            return sympy.nan
        if abs(sum(parts)) > RELATIVE_ROUNDING * sum(map(abs, parts)):
            total.append(sum(parts) * monomial)
    return sympy.Add(*total)


def _coefficients(u: sympy.Expr, variables: Iterable[sympy.Symbol]) -> dict[sympy.Expr, list[sympy.Expr]]:
    """Return the terms of expanded u: for each product of variables the list of its coefficients."""
    coefficients: dict[sympy.Expr, list[sympy.Expr]] = defaultdict(list)
    for term in sympy.Add.make_args(sympy.expand(u)):
        coefficient, monomial = term.as_independent(*variables, as_Add=False)
        coefficients[monomial].append(coefficient)
    return coefficients


def _isolate(
    equations: Sequence[sympy.Expr], unknown: Mapping[sympy.Symbol, float]
) -> tuple[sympy.Symbol, list[sympy.Expr]]:
    """Return the unknown that is easiest to determine, and its possible values.

    Linear equations come first, as they leave no choice of a sign, and then equations in one unknown.
    """
    nonlinear = None
    by_size = sorted(equations, key=lambda equation: len(equation.free_symbols))
    for equation in by_size:
        candidates = [u for u in unknown if u in equation.free_symbols]
        if nonlinear and len(candidates) > 1:
            break
        for u in candidates:
            slope = equation.diff(u)
            if u not in slope.free_symbols:
                return u, [-equation.xreplace({u: sympy.Integer(0)}) / slope]
        if len(candidates) == 1 and not nonlinear:
            nonlinear = candidates[0], equation
    if nonlinear:
        u, equation = nonlinear
        return u, _roots(equation, u)
    # Each equation relates several unknowns, and none of them linearly: let one keep its value.
    u = next(u for u in unknown if u in by_size[0].free_symbols)
    return u, [sympy.Float(unknown[u], DIGITS)]


def _roots(equation: sympy.Expr, u: sympy.Symbol) -> list[sympy.Expr]:
    """Return numbers u for which a polynomial in u, or in one elementary function of u, is 0.

    sympy.solve can solve many more equations, but may take minutes for one.
    """
    try:
        polynomial = sympy.Poly(sympy.numer(sympy.together(equation)))
        if polynomial.total_degree() > MAX_DEGREE:
            return []
        values = [value for value in polynomial.nroots(n=DIGITS) if value.is_real]
    except (BasePolynomialError, NoConvergence):
        return []
    (g,) = polynomial.gens
    if g == u:
        return values
    if isinstance(g, sympy.exp | sympy.Pow) and g.exp.has(u):
        inner = [g.exp * sympy.log(g.base) - sympy.log(value) for value in values if value > 0]
    elif g.is_Pow:
        inner = [g.base - value ** (1 / g.exp) for value in values if value > 0]
    elif g.func is sympy.log:
        inner = [g.args[0] - sympy.exp(value) for value in values]
    elif g.func is sympy.sin:
        inner = [g.args[0] - sympy.asin(value) for value in values if abs(value) <= 1]
    else:
        return []
    return [root for simpler in inner for root in _roots(simpler, u)]


def _is_real(number: sympy.Expr) -> bool:
    return bool(number.is_real and number.is_finite)


def _is_natural_power(u: sympy.Expr) -> bool:
    """Return whether the exponent is 1, 2, 3, ..."""
    return bool(u.is_Pow and u.exp.is_Integer and u.exp.is_positive)


def _count_terms(u: sympy.Expr, inputs: Sequence[sympy.Symbol]) -> int:
    """Return a bound on the number of terms after expansion, with a difference in place of each input."""
    if u in inputs:
        return 2
    parts = [_count_terms(part, inputs) for part in u.args]
    if u.is_Add:
        return sum(parts)
    if u.is_Mul:
        return math.prod(parts)
    if _is_natural_power(u):
        return math.comb(parts[0] + int(u.exp) - 1, int(u.exp))
    return max(parts, default=1)
