"""A model in C: the formula as written, or the kernels' program; no user-given names enter the code."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import sympy
from sympy.printing.c import C99CodePrinter
from sympy.printing.precedence import PRECEDENCE

from sgdbench.kernels import Model
from sgdbench.kernels.model.derive import OWN_FUNCTIONS, SYMPY_FUNCTIONS, to_sympy
from sgdbench.kernels.model.expression import parse

C_NAMES = {"absolute": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "power": "pow"}
INFIX_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
SOURCE_HEAD = """\
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline double sign(double u) { return (u > 0) - (u < 0); }
static inline double less(double u, double v) { return u < v; }
static inline double less_equal(double u, double v) { return u <= v; }
static inline double where(double condition, double a, double b) { return condition != 0 ? a : b; }
static inline double maximum(double a, double b) { return b > a || b != b ? b : a; }
static inline double minimum(double a, double b) { return b < a || b != b ? b : a; }
static inline double by_size(double a, double b, double u, double v) { return a < b ? u : b < a ? v : 0.5*(u + v); }
static inline double relu(double u) { return u <= 0 ? 0 : u; }
static inline double sigmoid(double u) { double e = exp(-fabs(u)); return (u < 0 ? e : 1)/(1 + e); }
static inline double sigmoid_complement(double u) { return sigmoid(-u); }
static inline double softplus(double u) { return (u < 0 ? 0 : u) + log1p(exp(-fabs(u))); }
"""
# Functions that sympy would expand, but that C has or that are defined above.
UNEXPANDED_FUNCTIONS = ("sigmoid", "softplus", "log1p", "expm1")
CALLED_FUNCTIONS = {name: name for name in (*UNEXPANDED_FUNCTIONS, "sigmoid_complement", "relu", "by_size", "sign")}
CALLED_FUNCTIONS |= {name: name for name in ("less", "less_equal", "where", "maximum", "minimum")} | {
    "absolute": "fabs"
}


class Formula(NamedTuple):
    """A model's residual and derivatives as C expressions, and the statements that come before them.

    Attributes
    ----------
    alone, all, descent : sequence of str
        The statements before the residual alone; before it and the derivatives; before it and the steps.
    residual : str
    derivatives, steps : sequence of str
        For each parameter: the derivative of the residual r, and the term that a step with the rate lr subtracts.
    """

    alone: Sequence[str]
    all: Sequence[str]
    descent: Sequence[str]
    residual: str
    derivatives: Sequence[str]
    steps: Sequence[str]


class _Printer(C99CodePrinter):
    """Prints integer powers as multiplications, as in a*x*x."""

    def _print_Pow(self, u: sympy.Pow) -> str:  # noqa: N802 (as sympy calls it)
        if u.exp.is_Number and u.exp.is_negative:
            return f"1.0/({self._print(1 / u)})"
        if u.exp.is_Integer:
            return "*".join([self.parenthesize(u.base, PRECEDENCE["Mul"])] * int(u.exp))
        return str(super()._print_Pow(u))

    def _print_Mul(self, u: sympy.Mul) -> str:  # noqa: N802
        above, below = sympy.fraction(u)
        if below == 1:
            return str(super()._print_Mul(u))
        return f"{self.parenthesize(above, PRECEDENCE['Mul'])}/({self._print(below)})"


def in_c(model: Model, *, tree: bool) -> str:
    """Return the text that `sgd.c` continues.

    With `tree` it is the program of the kernels, otherwise the formula as written, with derivatives by sympy.
    """
    formula = _program_formula(model) if tree else _written_formula(model)
    count, columns = len(model.params), len(model.inputs) + 1
    alone, all_, descent = (
        "".join(f"    double {statement};\n" for statement in part)
        for part in (formula.alone, formula.all, formula.descent)
    )

    def vector(form: str) -> str:
        """Return the form for each parameter, with its number {k}, its derivative {d} and its step {s}."""
        parts = zip(formula.derivatives, formula.steps, strict=True)
        return ", ".join(form.format(k=k, d=d, s=step) for k, (d, step) in enumerate(parts))

    return f"""{SOURCE_HEAD}
enum {{ COLUMNS = {columns} }};
typedef struct {{ double {vector("theta_{k}")}; }} params;
typedef struct {{ double {"".join(f"x_{k}, " for k in range(columns - 1))}y; }} sample;

static inline sample at(const double *const *columns, ptrdiff_t i) {{
    return (sample){{{", ".join(f"columns[{k}][i]" for k in range(columns))}}};
}}

static inline params from(const double *theta, ptrdiff_t stride) {{
    return (params){{{vector("theta[{k} * stride]")}}};
}}

static inline void into(double *theta, ptrdiff_t stride, params p) {{
    {" ".join(f"theta[{k} * stride] = p.theta_{k};" for k in range(count))}
}}

static inline double residual(params p, sample s) {{
{alone}    return {formula.residual};
}}

static inline params descend(params p, sample s, double lr) {{
{descent}    double r = {formula.residual};
    return (params){{{vector("p.theta_{k} - {s}")}}};
}}

static inline params added(params sum, params p, sample s) {{
{all_}    double r = {formula.residual};
    return (params){{{vector("sum.theta_{k} + r*{d}")}}};
}}

static inline params moved(params p, params sum, double lr) {{
    return (params){{{vector("p.theta_{k} - lr*sum.theta_{k}")}}};
}}

"""


def _written_formula(model: Model) -> Formula:
    _, params, inputs = model.sympy()
    f = to_sympy(
        parse(model.expression), SYMPY_FUNCTIONS | {name: OWN_FUNCTIONS[name] for name in UNEXPANDED_FUNCTIONS}
    )
    names = [f"p.theta_{k}" for k in range(len(params))] + [f"s.x_{k}" for k in range(len(inputs))]
    symbols = [sympy.Symbol(name, real=True) for name in names]
    f = f.xreplace(dict(zip((*params, *inputs), symbols, strict=True)))
    derivatives = [sympy.diff(f, symbol) for symbol in symbols[: len(params)]]
    # A compiler does not merge two equal calls of exp, because a call may set errno.
    printer = _Printer({"user_functions": CALLED_FUNCTIONS})
    called: dict[sympy.Expr, sympy.Symbol] = {}
    statements: list[str] = []

    def without_calls(u: sympy.Expr) -> sympy.Expr:
        for call in _calls(u):
            if call not in called:
                inner = call.func(*(argument.xreplace(called) for argument in call.args))
                statements.append(f"call_{len(called)} = {printer.doprint(inner)}")
                called[call] = sympy.Symbol(f"call_{len(called)}", real=True)
        return u.xreplace(called)

    residual = printer.doprint(without_calls(f))
    alone = statements.copy()
    factors = [printer.parenthesize(without_calls(d), PRECEDENCE["Mul"]) for d in derivatives]
    steps = [f"lr*r*{factor}" for factor in factors]
    return Formula(alone, statements, statements, f"{residual} - s.y", factors, steps)


def _calls(u: sympy.Expr) -> Iterator[sympy.Expr]:
    """Yield calls of functions, inner ones before those that contain them."""
    return (v for v in sympy.postorder_traversal(u) if v.is_Function or (v.is_Pow and not v.exp.is_Integer))


def _program_formula(model: Model) -> Formula:
    program = model.formula
    values = [f"p.theta_{k}" for k in range(program.params)] + [f"s.x_{k}" for k in range(program.inputs)] + ["s.y"]
    values += [constant.hex() for constant in program.constants]
    first = len(values)
    dependent = set(values[: program.params])
    statements: list[str] = []
    for function, operands in program.instructions:
        terms = [values[operand] for operand in operands]
        name = f"v_{len(statements)}"
        values.append(name)
        statements.append(f"{name} = {_operation(function, terms)}")
        if dependent.intersection(terms):
            dependent.add(name)
    derivatives = [values[derivative] for derivative in program.derivatives]
    steps = [f"step_{k} = lr*{derivative}" for k, derivative in enumerate(derivatives)]
    # Statements that do not wait for the parameters come first, which avoids register copies on the chain.
    named = list(zip([*values[first:], *derivatives], [*statements, *steps], strict=True))
    descent = [line for late in (False, True) for name, line in named if (name in dependent) is late]
    alone = statements[: program.residual + 1 - first]
    products = [f"r*step_{k}" for k in range(program.params)]
    return Formula(alone, statements, descent, values[program.residual], derivatives, products)


def _operation(function: str, terms: Sequence[str]) -> str:
    if function in INFIX_OPERATORS:
        return f" {INFIX_OPERATORS[function]} ".join(terms)
    return f"{'-' if function == 'negative' else C_NAMES.get(function, function)}({', '.join(terms)})"
