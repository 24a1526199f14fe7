"""Expressions: those with every function of ours, and any that may be written."""

import numpy as np
from hypothesis import strategies as st
from scipy import special

from kernels import models
from kernels.model.models import MODELS

MORE = [
    "a*exp(b*x) + log(c + x)*a",
    "a*sin(b*x) + b*cos(a*x) + tan(c*x)",
    "a*tanh(b*x + c)",
    "arcsin(a*x/3) + arccos(b*x/3) + arctan(c*x)",
    "sqrt(a + b*x**2) + a**-1.5*x**2.5",
    "(a*x)**0.25 + (b + x)**-0.75",
    "x**a + a**x + a**b + (a*x)**(b*c)",
    "(a*x**2 + b)/(c*x**3 - 7) - 1/(a + x)**3",
    "abs(a*x - 1) + abs(b)*x + sqrt(c**2 + (a*x)**2)",
    "sqrt((a - x)**2)*b",
    "exp(exp(a*x)/(1 + b))*exp(c*x)*exp(a)",
    "a - (b - (c - x))*2.5 - -x",
    "a*x + a*x**2 + a*1e-3 + 0.1",
    "a*log1p(b*x) + b*expm1(a*x) + sinh(c*x) - cosh(a + x)/c",
    "a*erf((x - b)/c)",
    "L*sigmoid(k*(x - m)) + softplus(-b*x)",
    "relu(a*x - 1)*b + c",
    "max(a*x, b) - min(c*x, a)**2*b",
    "where(x < b, a*x + c, a*b + c*log(x))",
    "where(a*x >= b**2, where(x <= 1, a, b*x), max(a, x - c))*sqrt(x)",
]

OF_X = sorted(name for name, build in MODELS.items() if name not in ("polynomial", "mlp") and build().inputs == ("x",))
TEXTS = [*(m.expression for m in map(models.make_model, OF_X)), *MORE]
TEXTS += [models.polynomial(5).expression]

UFUNCS = "exp expm1 log log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan abs"
# Of complex numbers, too.
ONE_ARGUMENT = {name: getattr(np, name) for name in UFUNCS.split()} | {
    "erf": special.erf,
    "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "softplus": lambda u: np.log(1 + np.exp(u)),
    "relu": lambda u: np.where(np.real(u) > 0, u, 0),
}
COMPARISONS = st.sampled_from(["<", "<=", ">", ">="])


def grown(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
        st.tuples(inner, st.sampled_from(["2", "3", "-1", "0.5", "-1.5", "1.3", "a"])).map("{0[0]}**{0[1]}".format),
        st.tuples(st.sampled_from([*ONE_ARGUMENT]), inner).map("{0[0]}({0[1]})".format),
        st.tuples(st.sampled_from(["max", "min"]), inner, inner).map("{0[0]}({0[1]}, {0[2]})".format),
        st.tuples(inner, COMPARISONS, inner, inner).map("where({0[0]} {0[1]} {0[2]}, {0[3]}, {0[0]})".format),
        inner.map("(-{})".format),
    )


EXPRESSIONS = st.recursive(st.sampled_from(["a", "b", "x", "2.5", "3", "0.1"]), grown, max_leaves=10)
