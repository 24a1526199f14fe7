"""A model: an expression in inputs and parameters, with its derivatives."""

from __future__ import annotations  # so that `help` shows the names of types

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kernels.base.checks import check_array, did_you_mean, meant_by
from kernels.base.columns import Inputs, input_columns, stack_columns
from kernels.base.run import Floats
from kernels.model.column_names import is_name
from kernels.model.expression import Name, names, parse, reads_as_number
from kernels.model.linear_data import make_rows
from kernels.model.products import expand_products
from kernels.model.program import Program, evaluate
from kernels.model.program_cache import compile_program

if TYPE_CHECKING:
    import sympy

# numba builds no tuple of more than 30 items, and the optimizer's state has one for each parameter and one more.
MAX_PARAMS = 29


class Model:
    """An expression such as ``a*x**2 + b*x + c``, to be fitted to data.

    Parameters
    ----------
    expression : str
        Numbers, names, ``+ - * / **``, parentheses, ``pi`` and the functions exp, expm1, log, log1p, sqrt, sin, cos,
        tan, sinh, cosh, tanh, arcsin, arccos, arctan, erf, sigmoid, softplus, relu, abs, ``max(a, b)``, ``min(a, b)``
        and ``where(x < a, b, c)`` with one of ``< <= > >=``. It is parsed, never evaluated. At kinks the derivatives
        are those of PyTorch: of relu and abs at 0 it is 0, of max and min at a tie half that of each argument; that of
        ``where`` is the one of the branch taken. ``w @ x`` is written out as a sum of products with all inputs, as in
        ``w1*x1 + w2*x2``; see `kernels.model.products.expand_products`.
    inputs : sequence of str
        The names that stand for data, all of which the expression uses; there may be none.
    params : sequence of str, optional
        The names that are fitted, in the order in which parameter vectors list them. Without it: all names that are
        no inputs, in order of appearance.

    Raises
    ------
    ValueError
        If the expression cannot be read, with the place; if the names do not fit it.
    """

    def __init__(self, expression: str, inputs: Sequence[str] = ("x",), params: Sequence[str] | None = None) -> None:
        expression = expand_products(expression, _check_names("inputs", inputs))
        found = names(parse(expression))
        self.expression = expression
        self._program: Program | None = None
        self.inputs = tuple(inputs)
        self.params = _check_names(
            "params", [name for name in found if name not in inputs] if params is None else params
        )
        if not self.params:
            raise ValueError(f"the expression {expression!r} has no parameters besides its inputs {self.inputs}")
        if len(self.params) > MAX_PARAMS:
            raise ValueError(f"the expression has {len(self.params)} parameters; at most {MAX_PARAMS} are accepted")
        for name in self.inputs:
            if name in self.params:
                raise ValueError(f"{name!r} is both an input and a parameter")
        for name in found:
            if name not in self.params + self.inputs:
                raise ValueError(f"the expression uses {name!r}, which is neither in inputs nor in params")
        for name in self.params:
            if name not in found:
                raise ValueError(f"the parameter {name!r} does not occur in the expression {expression!r}")
        # A misspelt or renamed column would become a parameter.
        for name in self.inputs:
            if name not in found:
                meant = meant_by(name, found)
                raise ValueError(
                    f"the expression {expression!r} must use its input {name!r}{meant}: inputs must say which of "
                    f"{', '.join(found) or 'no names'} stand for data"
                )

    def __repr__(self) -> str:
        return f"Model({self.expression!r}, inputs={self.inputs}, params={self.params})"

    @property
    def program(self) -> Program:
        """The residual and its derivatives as straight-line code."""
        # No cached_property: up to Python 3.11 it has a lock, which would stay held in a fork while a thread derives.
        if self._program is None:
            self._program = compile_program(self.expression, self.inputs, self.params)
        return self._program

    @property
    def is_linear(self) -> bool:
        """Whether the model is linear in its parameters."""
        return self.program.is_linear

    def predict(self, params: ArrayLike | Mapping[str, float], x: Inputs) -> Floats:
        """Return the model at x.

        Parameters
        ----------
        params : array, shape (params,), or a mapping of all names to values
        x : array, shape (n,) or (n, inputs), or a table
            A data frame or a mapping, whose columns are found by the names of the inputs.

        Returns
        -------
        array, shape (n,)
        """
        return self.predict_columns(self.vector(params), self.columns(x))

    def predict_columns(self, params: Floats, columns: tuple[Floats, ...]) -> Floats:
        """Return the model at samples whose inputs are columns, shape (n,)."""
        shape = columns[0].shape if columns else (1,)
        with np.errstate(all="ignore"):
            f, _ = evaluate(self.program, params, stack_columns(columns, *shape), np.zeros(()))
        return np.array(np.broadcast_to(f, shape))

    def design_matrix(self, x: Inputs) -> Floats:
        """Return the derivatives of a linear model by its parameters, a row for each sample.

        A term without parameters, such as the x in ``x + a``, is in none of them: it is `predict` for parameters of 0.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table
            A data frame or a mapping, whose columns are found by the names of the inputs.

        Returns
        -------
        array, shape (n, P)

        Raises
        ------
        ValueError
            If the model is not linear in its parameters, or x does not fit it.
        """
        self.check_linear()
        columns = self.columns(x)
        y = np.zeros(columns[0].size if columns else 1)
        return np.ascontiguousarray(make_rows(self.program, columns, y)[:, :-1])

    def check_linear(self) -> None:
        """Raise a ValueError if the model is not linear in its parameters."""
        if not self.is_linear:
            raise ValueError(f"the model must be linear in its parameters, and {self.expression!r} is not")

    def columns(self, x: Inputs) -> tuple[Floats, ...]:
        """Return the inputs as contiguous columns; see `kernels.base.columns.input_columns`."""
        return input_columns(self.inputs, x)

    def vector(self, params: ArrayLike | Mapping[str, float], what: str = "params") -> Floats:
        """Return parameter values as an array in the order of `params`.

        Parameters
        ----------
        params : array, shape (params,), or a mapping of all names to values
        what : str
            Their name in error messages.

        Raises
        ------
        ValueError
            If there are not as many as parameters, a name is missing or unknown, or a value is not finite.
        """
        if isinstance(params, Mapping):
            named = ", ".join(self.params)
            if unknown := next((name for name in params if name not in self.params), None):
                close = did_you_mean(str(unknown), self.params)
                raise ValueError(f"{what} has a value for {unknown}, which is no parameter{close}; these are {named}")
            if missing := [name for name in self.params if name not in params]:
                raise ValueError(f"{what} has no value for {', '.join(missing)}; the parameters are {named}")
            params = [params[name] for name in self.params]
        vector = check_array(what, params)
        if vector.shape != (len(self.params),):
            wanted = f"{len(self.params)} numbers for {', '.join(self.params)}"
            raise ValueError(f"{what} must be {wanted}, not an array of shape {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError(f"{what} must be finite numbers, not {vector.tolist()}")
        return vector

    def sympy(self) -> tuple[sympy.Expr, tuple[sympy.Symbol, ...], tuple[sympy.Symbol, ...]]:
        """Return the model as a sympy expression, with the symbols of its parameters and of its inputs."""
        from kernels.model.derive import to_sympy  # noqa: PLC0415 (sympy, only when asked for)

        params, inputs = (tuple(to_sympy(Name(name)) for name in group) for group in (self.params, self.inputs))
        return to_sympy(parse(self.expression)), params, inputs


def _check_names(what: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return names that an expression can use, each once."""
    if isinstance(given, str):
        raise ValueError(f"{what} must be a sequence of names such as ({given!r},), not the text {given!r}")
    for name in given:
        if not is_name(name):
            fault = "reads as a number" if isinstance(name, str) and reads_as_number(name) else "is none"
            raise ValueError(f"{what} must be names, and {name!r} {fault}")
        if list(given).count(name) > 1:
            raise ValueError(f"{what} must be distinct, and {name!r} is there twice")
    return tuple(given)
