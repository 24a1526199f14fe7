"""Stochastic gradient descent: compiled fits, sweeps of settings, comparisons with intervals, reports.

Everything that users need is imported from here, on first use. `sgdbench.data` reads tables, and `sgdbench.kernels` is
the mathematics.
"""

# Not imported from `typing`, whose import takes milliseconds in which Ctrl-C would print a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sgdbench import data as data
    from sgdbench import kernels as kernels
    from sgdbench.api.results import SweepResult, TuneResult, load_run, load_tuning
    from sgdbench.api.sweep import sweep
    from sgdbench.api.tune import tune as tune
    from sgdbench.estimators.classifier import SGDCurveClassifier as SGDCurveClassifier
    from sgdbench.estimators.regressor import SGDCurveRegressor as SGDCurveRegressor
    from sgdbench.kernels import (
        FitResult,
        Model,
        fit,
        minimize,
        models,
        register_loss,
        register_model,
        register_optimizer,
        register_schedule,
        source,
    )
    from sgdbench.kernels.base.plugins import load_plugin
    from sgdbench.kernels.optimizers import make_optimizer
    from sgdbench.study.grid import Grid
    from sgdbench.study.space import Space
    from sgdbench.timing.own_variants import register_variant
    from sgdbench.timing.problem import classic

    __version__: str

# Estimators and tune are omitted: `from sgdbench import *` must work without scikit-learn and Optuna.
__all__ = [
    "FitResult",
    "Grid",
    "Model",
    "Space",
    "SweepResult",
    "TuneResult",
    "classic",
    "fit",
    "load_plugin",
    "load_run",
    "load_tuning",
    "make_optimizer",
    "minimize",
    "models",
    "register_loss",
    "register_model",
    "register_optimizer",
    "register_schedule",
    "register_variant",
    "source",
    "sweep",
]

# Names are imported on first use: `sgdbench --help` must not wait for numba and pandas.
_PACKAGES = ("data", "kernels")
_HOMES = dict.fromkeys(("SweepResult", "TuneResult", "load_run", "load_tuning"), "api.results")
_HOMES |= {"Grid": "study.grid", "Space": "study.space", "sweep": "api.sweep", "tune": "api.tune"}
_HOMES |= {"register_variant": "timing.own_variants", "SGDCurveRegressor": "estimators.regressor"}
_HOMES |= {"SGDCurveClassifier": "estimators.classifier"}
_HOMES |= {"classic": "timing.problem", "load_plugin": "kernels.base.plugins", "make_optimizer": "kernels.optimizers"}
_HOMES |= {name: "kernels" for name in __all__ if name not in _HOMES}


def __dir__() -> list[str]:
    """Return all names of the module, including those not imported yet, so that consoles can complete them."""
    return sorted({*globals(), *_PACKAGES, *_HOMES, "__version__"} - {"TYPE_CHECKING"})


if not TYPE_CHECKING:  # with this function, type checkers would accept any name

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415

        if name in _PACKAGES:
            return import_module(f"sgdbench.{name}")
        if name in _HOMES:
            return getattr(import_module(f"sgdbench.{_HOMES[name]}"), name)
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 (slow, and only needed here)

            return version("sgdbench")
        close = ""
        if not name.startswith("__"):  # which libraries look for
            from sgdbench.kernels.base.checks import did_you_mean  # noqa: PLC0415

            close = did_you_mean(name, [*_PACKAGES, *_HOMES])
        # With a name, the interpreter does not add a suggestion of its own to a traceback.
        raise AttributeError(f"module 'sgdbench' has no attribute {name!r}{close}", name=name)
