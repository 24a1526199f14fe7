"""A model: an expression in inputs and parameters, with its derivatives."""

from __future__ import annotations  # so that `help` shows the names of types

import copy
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, Union, cast

import numpy as np
from numpy.random import default_rng  # by name: no fork waits for the import when `np.random` is first used
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import (
    check_array,
    check_integer,
    check_seed,
    describe,
    did_you_mean,
    list_names,
    meant_by,
)
from sgdbench.kernels.base.columns import Inputs, Params, column_names, input_columns, stack_columns
from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.column_names import ALL_INPUTS, headings_by_name
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.expression import Name, names, parse
from sgdbench.kernels.model.inputs import Given, check_distinct, check_names, read_inputs
from sgdbench.kernels.model.layers import (
    MAX_CLASSES,
    MAX_PARAMS,
    MAX_UNITS,
    Draft,
    Vector,
    build_network,
    flat_names,
    plan_network,
)
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program
from sgdbench.kernels.model.program_cache import compile_program

if TYPE_CHECKING:
    import sympy

    from sgdbench.kernels.model.categories import Categories


X_ALONE = (ALL_INPUTS,)
CHECKED_ROWS = 8


ModelLike = Union["Model", str, Callable[..., Any]]
"""A model, its expression or its function; an expression of SymPy has no type."""


def sympy_as_text(model: Any) -> Any:
    """Return the text of an expression of SymPy, and anything else unchanged."""
    sympy = sys.modules.get("sympy")  # imported by anyone who has an expression
    if sympy is None or not isinstance(model, sympy.Basic):
        return model
    with IMPORT_LOCK:
        from sgdbench.kernels.model.sympy_text import write_sympy  # noqa: PLC0415 (only for these)

    return write_sympy(model)


class Model:
    """An expression such as ``a*x**2 + b*x + c``, to be fitted to data.

    Parameters
    ----------
    expression : str, callable or SymPy expression
        Text of numbers, names, ``+ - * / **``, parentheses, ``pi`` and the functions exp, expm1, log, log1p, sqrt, sin,
        cos, tan, sinh, cosh, tanh, arcsin, arccos, arctan, erf, sigmoid, softplus, relu, abs, ``max(a, b)``,
        ``min(a, b)`` and ``where(x < a, b, c)`` with one of ``< <= > >=``. It is parsed, never evaluated. At kinks the
        derivatives are PyTorch's: 0 for relu and abs at 0, half for each argument of max and min at a tie; the
        derivative of ``where`` is that of the branch taken.

        ``w @ x`` is the dot product of weights with all inputs, or with a group of any number of inputs:
        ``np.add.reduce(w * x)``. At most 29 scalars and products are allowed per layer. ``v @ tanh(W @ x + c)`` has a
        hidden layer with `hidden` units. See `sgdbench.kernels.model.network`.

        Or a function, such as ``lambda x, a, b: a*np.exp(-b*x)``, of numbers: one sample and the parameters, whose
        defaults are starting values. It is called with symbols, and `expression` is the text that they leave. It is
        made of operators and functions that expressions have, of NumPy, `math` or scipy.special; it cannot branch.
    inputs : sequence of str, or mapping, optional
        The names that stand for data, all of which the expression must use; may be empty. By default ``("x",)``, or of
        a function the first parameter. Together they are the group ``x`` on the right of ``@``. A mapping names columns
        and groups of columns: ``{"x": ["hp", "weight"], "age": "Age (years)"}``.
    params : sequence of str, optional
        The names that are fitted, in the order of parameter vectors; by default all names that are not inputs, in
        order of appearance, or of a function's signature. Models with vectors have names such as ``w[hp]`` and ``b``,
        in that order.
    classes : int
        The number of scores, at most 100: if more than one, each class has a score with its own parameters.
    hidden : int, optional
        The number of units of the hidden layer, at most 1,000.

    Raises
    ------
    ValueError
        If the expression cannot be parsed (the message has the column), or the names do not fit it; if a function does
        something that expressions cannot say (the message has its file and line).
    """

    def __init__(
        self,
        expression: str | Callable[..., Any],
        inputs: Given | None = None,
        params: Sequence[str] | None = None,
        *,
        classes: int = 1,
        hidden: int | None = None,
    ) -> None:
        self.start: dict[str, float] = {}
        expression = sympy_as_text(expression)
        if callable(expression):
            self._read_function(expression, inputs, params, classes, hidden)
        else:
            self._read(expression, X_ALONE if inputs is None else inputs, params, classes, hidden)

    def _read_function(
        self,
        function: Callable[..., Any],
        inputs: Given | None,
        params: Sequence[str] | None,
        classes: int,
        hidden: int | None,
    ) -> None:
        """Read the text that a function leaves, and compare the two at random numbers."""
        with IMPORT_LOCK:
            from sgdbench.kernels.model.function_check import check_function  # noqa: PLC0415 (only for functions)
            from sgdbench.kernels.model.function_text import faults_of, write_function  # noqa: PLC0415

        written = write_function(function, inputs)
        has_vectors = "@" in written.text
        if inputs is None:
            inputs = X_ALONE if has_vectors else written.names[:1]
        if params is None and not has_vectors and classes == 1:
            params = [name for name in written.names if name not in set(inputs)]
        with faults_of(written.function, written.place):
            self._read(written.text, inputs, params, classes, hidden)
        self.start = {name: value for name, value in written.start.items() if name in self.shapes}
        draws = list(default_rng(0).standard_normal((len(self.headings), CHECKED_ROWS)))
        check_function(written, self.shapes, self.inputs_by_name(draws))

    def _read(
        self, expression: str, inputs: Given, params: Sequence[str] | None, classes: int, hidden: int | None
    ) -> None:
        """Read the text of the expression, and the names in it."""
        check_integer("classes", classes, 1, MAX_CLASSES)
        columns = read_inputs(inputs, has_products=isinstance(expression, str) and "@" in expression)
        self.given_inputs: Given = columns.columns
        if isinstance(inputs, Mapping):  # copied, because lists of columns may grow
            self.given_inputs = {name: one if isinstance(one, str) else list(one) for name, one in inputs.items()}
        used = names(parse(expression, products=True))
        self.expression, self.inputs, self.headings = expression, columns.columns, columns.columns
        self.classes, self.hidden = classes, hidden
        self.categories: Categories | None = None
        self._given = columns
        self._program: Program | Network | None = None
        self._network: Network | None = None
        self._drafts: list[Draft] = []
        self.vectors: dict[str, Vector] = {}
        if "@" in expression or classes > 1 or hidden is not None:
            if params is not None:
                raise ValueError(f"params must be omitted for a model with vectors, such as {expression!r}")
            if classes > 1 and not columns.columns:
                raise ValueError(f"inputs must be given for a model with a score for each class, {expression!r}")
            self.hidden = None if hidden is None else check_integer("hidden", hidden, 1, MAX_UNITS)
            self._drafts, self.vectors = plan_network(expression, columns, classes, self.hidden)
            self.params = flat_names(self.vectors)
            self._check_inputs(used)
            return
        self.inputs = tuple(columns.single)
        self.params = check_names(
            "params", [name for name in used if name not in columns.single] if params is None else params
        )
        if not self.params:
            named = f"inputs ({', '.join(self.inputs)})" if self.inputs else "numbers"
            raise ValueError(f"the expression {expression!r} has no parameter to fit, only {named}")
        if len(self.params) > MAX_PARAMS:
            raise ValueError(f"the expression has {len(self.params)} parameters; at most {MAX_PARAMS} are accepted")
        for name in self.inputs:
            if name in self.params:
                raise ValueError(f"{name!r} is both an input and a parameter")
        for name in used:
            if name not in self.params + self.inputs:
                raise ValueError(f"the expression uses {name!r}, which is neither in inputs nor in params")
        for name in self.params:
            if name not in used:
                raise ValueError(f"the parameter {name!r} does not occur in the expression {expression!r}")
        self._check_inputs(used)

    def _check_inputs(self, used_names: Sequence[str]) -> None:
        """Refuse an unused input: a misspelt or renamed column would become a parameter."""
        given = self._given
        used = [group for group in given.groups if group in used_names and "@" in self.expression]
        covered = {place for group in used for place in range(given.groups[group][0], sum(given.groups[group]))}
        for name, place in given.single.items():
            if name not in used_names and place not in covered:
                meant = meant_by(name, used_names)
                raise ValueError(
                    f"the expression {self.expression!r} must use its input {name!r}{meant}: inputs must say which of "
                    f"{', '.join(used_names) or 'no names'} stand for data"
                )
        for name, (first, _) in given.groups.items():
            if name not in used and first not in given.single.values():
                raise ValueError(f"the expression {self.expression!r} must use its group of inputs {name!r}")

    def __repr__(self) -> str:
        return f"Model({self.expression!r}, {self.arguments})"

    @property
    def arguments(self) -> str:
        """The arguments of `Model` besides the expression, as Python source."""
        if not self.vectors:
            return f"inputs={self.given_inputs}, params={self.params}"
        classes = f", classes={self.classes}" if self.classes > 1 else ""
        return f"inputs={self.given_inputs}{classes}" + (f", hidden={self.hidden}" if self.hidden else "")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by its name in the expression; () for a number."""
        return {name: vector.shape for name, vector in self.vectors.items()} or dict.fromkeys(self.params, ())

    def inputs_by_name(self, columns: Sequence[Floats]) -> dict[str, Floats]:
        """Return columns, shape (n,), by their names in the expression, and groups of them, shape (n, size)."""
        named = {name: columns[place] for name, place in self._given.single.items()}
        if self.vectors:
            for name, (first, size) in self._given.groups.items():
                named[name] = np.stack(columns[first : first + size], axis=-1)
        return named

    @property
    def program(self) -> Program | Network:
        """The residual and its derivatives as straight-line code, in layers if the model has long vectors."""
        # Not a cached_property: before Python 3.12 its lock could be held during a fork, while a thread derives.
        if self._program is None and self._drafts:
            with IMPORT_LOCK:
                from sgdbench.kernels.model.written_out import write_out  # noqa: PLC0415 (only for vectors)

            network = build_network(self._drafts, self.vectors, self._given, self.classes, self.hidden)
            self._network, self._program = network, write_out(network) or network
        elif self._program is None:
            self._program = compile_program(self.expression, self.inputs, self.params)
        return self._program

    @property
    def formula(self) -> Program:
        """The residual and its derivatives of a model without vectors; a model with vectors is refused."""
        program = self.program
        if self.vectors or isinstance(program, Network):
            raise ValueError(f"the model must be an expression of single inputs, and {self.expression!r} has vectors")
        return program

    @property
    def network(self) -> Network | None:
        """The layers of a model with vectors; None for others."""
        program = self.program
        return program if isinstance(program, Network) else self._network

    @property
    def by_row(self) -> bool:
        """Whether the inputs of a sample must be adjacent."""
        return isinstance(self.program, Network)

    def with_classes(self, classes: int) -> Model:
        """Return the model with `classes` scores, each with its own parameters."""
        made = Model(self.expression, self.given_inputs, classes=classes, hidden=self.hidden)
        made.start = self.start
        return made.with_categories(self.categories)

    def with_categories(self, categories: Categories | None) -> Self:
        """Return the model for tables with categorical columns, whose indicators are its inputs."""
        made = copy.copy(self)
        made.categories = categories
        return made

    def with_inputs(self, inputs: Given) -> Model:
        """Return a model with vectors for other inputs; its parameters stay even if an input has the same name."""
        inputs = inputs if isinstance(inputs, Mapping) else check_distinct("inputs", inputs)
        scalars = {name for draft in self._drafts for name in draft.scalars}
        if taken := scalars & set(inputs):
            if isinstance(inputs, Mapping):
                raise ValueError(f"inputs must have other names than {min(taken)!r}, a constant in {self.expression!r}")
            inputs = {ALL_INPUTS: list(inputs)}
        made = Model(self.expression, inputs, classes=self.classes, hidden=self.hidden)
        made.start = self.start
        return made

    @property
    def is_linear(self) -> bool:
        """Whether the model is linear in its parameters."""
        return self.program.is_linear

    def predict(self, params: Params, x: Inputs) -> Floats:
        """Return the model at x.

        Parameters
        ----------
        params : array, shape (params,), or a mapping of all names to values
        x : array, shape (n,) or (n, inputs), or a table
            A data frame or a mapping, whose columns are found by the names of the inputs.

        Returns
        -------
        array, shape (n,); of a model with classes (n, classes)
        """
        return self.predict_columns(self.vector(params), self.columns(x))

    def predict_columns(self, params: Floats, columns: tuple[Floats, ...]) -> Floats:
        """Return the model at samples whose inputs are columns, shape (n,) or (n, classes)."""
        shape = columns[0].shape if columns else (1,)
        with np.errstate(all="ignore"):
            f, _ = evaluate(self.program, params, stack_columns(columns, *shape), np.zeros(()))
        return np.array(f.T if self.classes > 1 else np.broadcast_to(f, shape))

    def design_matrix(self, x: Inputs) -> Floats:
        """Return the derivatives of a linear model with respect to its parameters, a row per sample.

        A term without parameters, such as x in ``x + a``, is in none of the columns: it is `predict` at parameters 0.

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
            If the model is not linear in its parameters or has a score per class, or x does not fit it.
        """
        with IMPORT_LOCK:
            from sgdbench.kernels.model.linear_data import make_rows  # noqa: PLC0415 (only when asked for)

        self.check_linear()
        if self.classes > 1:
            raise ValueError(f"the model must have one value for each sample, and has {self.classes} scores")
        columns = self.columns(x)
        y = np.zeros(columns[0].size if columns else 1)
        return np.ascontiguousarray(make_rows(self.program, columns, y)[:, :-1])

    def check_linear(self) -> None:
        """Raise a ValueError if the model is not linear in its parameters."""
        if not self.is_linear:
            raise ValueError(f"the model must be linear in its parameters, and {self.expression!r} is not")

    def columns(self, x: Inputs) -> tuple[Floats, ...]:
        """Return the inputs as columns; see `sgdbench.kernels.base.columns.input_columns`.

        They are contiguous, except for models with long vectors, where columns of an array are views of its rows.
        """
        x = x if self.categories is None else self.categories.encode(x)
        headings = [name for name in column_names(x) or [] if isinstance(name, str)]
        if headings and not set(self.headings) <= set(
            headings
        ):  # a heading that is not a name may be given by its name
            called = headings_by_name(headings, self.headings)
            if set(self.headings) <= set(called):
                x = {name: cast(Mapping[str, ArrayLike], x)[called[name]] for name in self.headings}
        return input_columns(self.headings, x, by_row=bool(self.vectors) and self.by_row)

    def coef(self, params: Floats, name: str) -> Floats:
        """Return the parameters of one name in their shape, as a view.

        Parameters
        ----------
        params : array, shape (params,)
        name : str
            Such as ``"w"``: shape (length,), with classes or hidden units before it; of a scalar () or (classes,).

        Raises
        ------
        ValueError
            If there is no parameter of that name.
        """
        if not isinstance(name, str):
            raise ValueError(f"name must be the name of a parameter, not {describe(name)}")
        params = self._check_count("params", check_array("params", params))
        if not self.vectors and name in self.params:
            return np.asarray(params[self.params.index(name)])
        if name not in self.vectors:
            accepted = tuple(self.vectors or self.params)
            raise ValueError(
                f"there is no parameter {describe(name)}{did_you_mean(name, accepted)}; these are "
                f"{list_names(accepted)}"
            )
        first, shape, _ = self.vectors[name]
        return params[first : first + math.prod(shape)].reshape(shape)

    def draw_start(self, seed: int) -> Floats:
        """Return the default initial parameters, shape (params,).

        They are standard normal draws of the seed. In models with vectors they are zeros if the model is linear;
        otherwise weights are divided by the square root of their length, and added constants are zero. Parameters that
        have defaults in the function from which the model was made start there.
        """
        draws = default_rng(check_seed(seed)).standard_normal(len(self.params))
        # Adding 0.0 turns -0.0 into 0.0.
        draws = draws if self.network is None else draws * self.network.start_scale + 0.0
        for name, value in self.start.items():
            first, shape, _ = self.vectors.get(name) or (self.params.index(name), (), ())
            draws[first : first + math.prod(shape)] = value
        return draws

    def vector(self, params: Params, what: str = "params") -> Floats:
        """Return parameter values as an array in the order of `params`.

        Parameters
        ----------
        params : array, shape (params,), or a mapping of all names to values
            In models with vectors, a name such as ``w`` stands for all its numbers, and one number is used for each of
            them; a Series or a mapping gives them by the names of the inputs, as `sgdbench.FitResult.coef` returns
            them, and a data frame gives those of a matrix, with a row per class or unit.
        what : str
            The name of `params` in error messages.

        Raises
        ------
        ValueError
            If the number of values is wrong, a name is missing or unknown, or a value is not finite.
        """
        params = by_name(params)
        if isinstance(params, Mapping):
            params = self._flatten(params, what) if self.vectors else dict(params)
            named, accepted = list_names(self.params), set(self.params)
            if unknown := next((name for name in params if name not in accepted), None):
                close = did_you_mean(str(unknown), self.params)
                raise ValueError(
                    f"{what} has a value for {unknown}, which is not a parameter{close}; these are {named}"
                )
            if missing := [name for name in self.params if name not in params]:
                raise ValueError(f"{what} has no value for {list_names(missing)}; the parameters are {named}")
            for name, value in params.items():
                if isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0:
                    raise ValueError(f"{what}[{name!r}] must be a number, not {describe(value)}")
            params = cast(ArrayLike, [params[name] for name in self.params])
        vector = self._check_count(what, check_array(what, params))
        if not np.isfinite(vector).all():
            raise ValueError(f"{what} must be finite numbers, not {describe(vector.tolist())}")
        return vector

    def _check_count(self, what: str, vector: Floats) -> Floats:
        if vector.shape != (len(self.params),):
            count = len(self.params)
            required = f"{count} number{'s' if count > 1 else ''} for {list_names(self.params)}"
            got = str(vector.size) if vector.ndim == 1 else f"an array of shape {vector.shape}"
            raise ValueError(f"{what} must be {required}, not {got}")
        return vector

    def _flatten(self, params: Mapping[str, ArrayLike | Mapping[str, float]], what: str) -> dict[str, Any]:
        """Return a value per parameter, from numbers and arrays by the names of vectors or of parameters."""
        flat: dict[str, Any] = {}
        for name, value in params.items():
            values = {name: value}
            if name in self.vectors:
                first, shape, columns = self.vectors[name]
                numbers = by_name(value)
                if isinstance(numbers, Mapping) and columns:
                    if set(numbers) != set(columns):
                        raise ValueError(f"{what}[{name!r}] must have a value for each of {list_names(columns)}")
                    # The columns of a matrix, each with a number per row.
                    given = check_array(f"{what}[{name!r}]", [numbers[column] for column in columns]).T
                else:
                    given = check_array(f"{what}[{name!r}]", numbers)
                if given.shape not in {(), shape}:
                    raise ValueError(f"{what}[{name!r}] must have shape {shape}, not {given.shape}")
                names = self.params[first : first + math.prod(shape)]
                values = dict(zip(names, np.broadcast_to(given, shape).ravel().tolist(), strict=True))
            if twice := flat.keys() & values.keys():
                raise ValueError(f"{what} has two values for {min(twice)}, by its name and in its vector")
            flat |= values
        return flat

    def sympy(self) -> tuple[sympy.Expr, tuple[sympy.Symbol, ...], tuple[sympy.Symbol, ...]]:
        """Return the model as a sympy expression, with the symbols of its parameters and of its inputs."""
        from sgdbench.kernels.model.derive import to_sympy  # noqa: PLC0415 (sympy, only when asked for)

        if self.vectors:
            raise ValueError(f"{self.expression!r} has vectors, which sympy expressions cannot represent")
        params, inputs = (tuple(to_sympy(Name(name)) for name in group) for group in (self.params, self.inputs))
        return to_sympy(parse(self.expression)), params, inputs


def by_name(params: Any) -> Any:
    """Return a Series or a table with names as labels as a mapping, so that their order does not matter."""
    columns = column_names(params)
    if columns is not None:
        return {name: params[name] for name in columns} if all(isinstance(name, str) for name in columns) else params
    labels = getattr(params, "index", None) if hasattr(params, "to_dict") else None
    return params.to_dict() if labels is not None and all(isinstance(label, str) for label in labels) else params
