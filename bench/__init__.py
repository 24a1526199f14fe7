"""The harness of sgdbench: studies, sweeps, measurement, tables, figures and reports."""

# Not imported from `typing`, whose import takes milliseconds in which Ctrl-C would print a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from bench.api.results import SweepResult, TuneResult, load_run, load_tuning
    from bench.api.sweep import sweep
    from bench.api.tune import tune as tune
    from bench.estimators.classifier import SGDCurveClassifier as SGDCurveClassifier
    from bench.estimators.regressor import SGDCurveRegressor as SGDCurveRegressor
    from bench.study.grid import Grid
    from bench.study.space import Space
    from bench.timing.own_variants import register_variant

# Estimators and tune are omitted: `from bench import *` must work without scikit-learn and Optuna.
__all__ = ["Grid", "Space", "SweepResult", "TuneResult", "load_run", "load_tuning", "register_variant", "sweep"]

# Names are imported on first use: `sgdbench --help` must not wait for numba and pandas.
_HOMES = dict.fromkeys(("SweepResult", "TuneResult", "load_run", "load_tuning"), "api.results")
_HOMES |= {"Grid": "study.grid", "Space": "study.space", "sweep": "api.sweep", "tune": "api.tune"}
_HOMES |= {"register_variant": "timing.own_variants", "SGDCurveRegressor": "estimators.regressor"}
_HOMES |= {"SGDCurveClassifier": "estimators.classifier"}


def __dir__() -> list[str]:
    """Return all names of the module, including those not imported yet, so that consoles can complete them."""
    return sorted({*globals(), *_HOMES} - {"TYPE_CHECKING"})


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"bench.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
