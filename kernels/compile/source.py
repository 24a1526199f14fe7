"""The text of kernels for people: source, machine code, and standalone modules."""

from collections.abc import Sequence

from sgdbench.kernels.base.checks import check_bool, check_integer
from sgdbench.kernels.compile.build import build_anew
from sgdbench.kernels.compile.kinds import check_kernel
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.compile.standalone import standalone_text
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.column_names import number_columns
from sgdbench.kernels.model.model import Model, ModelLike
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer

COMPILED = ("fused", "fused-fma", "lanes", "lanes-fma")


def source(
    model: ModelLike,
    *,
    inputs: int | Sequence[str] = 1,
    optimizer: Optimizer | str = "sgd",
    loss: Loss | str = "squared",
    kernel: str = "fused",
    dtype: str = "float64",
    standalone: bool = False,
) -> str:
    """Return the Python source of the kernel that trains a model: the module that numba compiles.

    Parameters
    ----------
    model : Model, str, callable or SymPy expression
    inputs : int or sequence of str
        The names of the inputs of a model given as text, or their number: ``x``, or ``x1``, ``x2``, ...
    optimizer : Optimizer or str
    loss : Loss or str
    kernel : str
        ``"fused"`` for one run, ``"lanes"`` for runs side by side, or either with ``-fma``.
    dtype : str
        ``"float64"`` or ``"float32"``.
    standalone : bool
        Return instead a module with a function `train` that needs only NumPy and numba.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.

    Examples
    --------
    >>> print(source("a*x**2 + b*x + c", optimizer="momentum(0.9)"))  # doctest: +SKIP
    """
    spec = make_spec(model, inputs, optimizer=optimizer, loss=loss, kernel=kernel, dtype=dtype)
    if not check_bool("standalone", standalone):
        return module_of(spec).text
    if spec.width > 1 or spec.dtype != "float64":
        raise ValueError("a standalone module is for one run in float64 (kernel 'fused' or 'fused-fma')")
    return standalone_text(spec)


def make_spec(
    model: ModelLike,
    inputs: int | Sequence[str] = 1,
    *,
    optimizer: Optimizer | str,
    loss: Loss | str,
    kernel: str,
    dtype: str = "float64",
) -> KernelSpec:
    """Return the specification of a kernel, from the texts of its parts."""
    names = number_columns(check_integer("inputs", inputs, 1)) if isinstance(inputs, int) else inputs
    if callable(model) and inputs == 1:  # its first parameter, whatever it is called
        parsed = Model(model)
    else:
        parsed = model if isinstance(model, Model) else make_model(model, names)
    return KernelSpec(check_kernel(kernel, COMPILED), parsed, make_loss(loss), make_optimizer(optimizer), dtype=dtype)


def machine_code(spec: KernelSpec, *, llvm: bool = False) -> str:
    """Return the machine code of a kernel as assembly, or its LLVM IR."""
    library = build_anew(module_of(spec))
    return str(library.get_llvm_str() if llvm else library.get_asm_str())
