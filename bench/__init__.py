"""The harness of sgdbench: studies, sweeps, measurement, tables, figures and reports."""

# As in `typing`: Ctrl-C in the time that its import takes would print a traceback.
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

# Neither the estimators nor tune: `from bench import *` must work where there is no scikit-learn and no Optuna.
__all__ = ["Grid", "Space", "SweepResult", "TuneResult", "load_run", "load_tuning", "register_variant", "sweep"]

# Imported when asked for: `sgdbench --help` must not wait for numba and pandas.
_HOMES = dict.fromkeys(("SweepResult", "TuneResult", "load_run", "load_tuning"), "api.results")
_HOMES |= {"Grid": "study.grid", "Space": "study.space", "sweep": "api.sweep", "tune": "api.tune"}
_HOMES |= {"register_variant": "timing.own_variants", "SGDCurveRegressor": "estimators.regressor"}
_HOMES |= {"SGDCurveClassifier": "estimators.classifier"}


def __dir__() -> list[str]:
    """Return the names of the module, those that are not imported yet too: consoles complete them."""
    return sorted({*globals(), *_HOMES} - {"TYPE_CHECKING"})


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"bench.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
