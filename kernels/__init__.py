"""The mathematics of sgdbench: models, update rules and training loops."""

# Importing `typing` for TYPE_CHECKING takes milliseconds, in which Ctrl-C would print a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from kernels.compile.source import source
    from kernels.extend.register import register_loss, register_model, register_optimizer, register_schedule
    from kernels.model import models
    from kernels.model.model import Model
    from kernels.train.fit import fit
    from kernels.train.fit_result import FitResult
    from kernels.train.minimize import minimize

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


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415

        if name == "models":
            return import_module("kernels.model.models")
        return getattr(import_module(f"kernels.{_HOMES.get(name, 'extend.register')}"), name)
    raise AttributeError(f"module 'kernels' has no attribute {name!r}")
