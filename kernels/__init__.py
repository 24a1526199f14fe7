"""The mathematics of sgdbench: models, update rules and training loops. Users import its names from `sgdbench`."""

# Importing `typing` for TYPE_CHECKING takes milliseconds, in which Ctrl-C would print a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sgdbench.kernels.compile.source import source
    from sgdbench.kernels.extend.register import register_loss, register_model, register_optimizer, register_schedule
    from sgdbench.kernels.model import models
    from sgdbench.kernels.model.model import Model
    from sgdbench.kernels.train.fit import fit
    from sgdbench.kernels.train.fit_result import FitResult
    from sgdbench.kernels.train.minimize import minimize

__all__ = [
    "FitResult",
    "Model",
    "fit",
    "minimize",
    "models",
    "register_loss",
    "register_model",
    "register_optimizer",
    "register_schedule",
    "source",
]

# Names are imported on first use: a fit needs no registration code, and models need no compiler.
_HOMES = {"Model": "model.model", "FitResult": "train.fit_result", "fit": "train.fit", "minimize": "train.minimize"}
_HOMES["source"] = "compile.source"


def __dir__() -> list[str]:
    """Return all names of the module, including those not imported yet, so that consoles can complete them."""
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})


if not TYPE_CHECKING:  # with this function, type checkers would accept any name

    def __getattr__(name: str) -> object:
        if name in __all__:
            from importlib import import_module  # noqa: PLC0415

            if name == "models":
                return import_module("sgdbench.kernels.model.models")
            return getattr(import_module(f"sgdbench.kernels.{_HOMES.get(name, 'extend.register')}"), name)
        raise AttributeError(f"module 'sgdbench.kernels' has no attribute {name!r}")
